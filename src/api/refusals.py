"""How a parameter is refused."""

from fastapi.exceptions import RequestValidationError


def refusal(parameter: str, value: object, message: str) -> RequestValidationError:
    """The error, status 422, that says what is wrong with a parameter of the query."""
    return RequestValidationError(
        [{"type": "value_error", "loc": ("query", parameter), "msg": message, "input": str(value)}]
    )
