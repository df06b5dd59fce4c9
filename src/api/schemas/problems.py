"""Errors, as problem details (RFC 9457)."""

from typing import Any

from pydantic import BaseModel, Field


class ProblemDetails(BaseModel):
    """What the details of all errors have."""

    type: str = Field(description="`about:blank`: the status says what kind of problem it is.")
    title: str = Field(description="The name of the HTTP status.")
    status: int = Field(description="The HTTP status.")
    request_id: str = Field(
        description="The id in the header `X-Request-ID` of request and response. The log has it, too."
    )


class Problem(ProblemDetails):
    """Why there is no answer."""

    detail: str = Field(description="A sentence about what is wrong.")


class ParameterError(BaseModel):
    """What is wrong with one parameter."""

    type: str
    loc: list[str | int] = Field(description="`query` or `path`, and the parameter.", examples=[["query", "from_date"]])
    msg: str = Field(description="What is wrong, and what is allowed.")
    input: Any = Field(default=None, description="The value that was sent.")
    ctx: dict[str, Any] = Field(default_factory=dict, description="Values that `msg` mentions, such as a limit.")


class ValidationProblem(ProblemDetails):
    """Why the parameters are not accepted."""

    detail: list[ParameterError]
