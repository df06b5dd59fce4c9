"""Errors."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

RequestId = Annotated[
    str, Field(description="The id in the header `X-Request-ID` of request and response. The log has it, too.")
]


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str
    request_id: RequestId


class ParameterError(BaseModel):
    """What is wrong with one parameter."""

    type: str
    loc: list[str | int] = Field(description="`query` or `path`, and the parameter.", examples=[["query", "from_date"]])
    msg: str = Field(description="What is wrong, and what is allowed.")
    input: Any = Field(default=None, description="The value that was sent.")
    ctx: dict[str, Any] = Field(default_factory=dict, description="Values that `msg` mentions, such as a limit.")


class ValidationProblem(BaseModel):
    """Why the parameters are not accepted."""

    detail: list[ParameterError]
    request_id: RequestId
