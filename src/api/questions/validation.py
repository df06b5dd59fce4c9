"""How a parameter is refused."""

from datetime import date

from fastapi.exceptions import RequestValidationError


def refusal(parameter: str, value: date | str | None, message: str) -> RequestValidationError:
    """The error, status 422, that says what is wrong with a parameter of the query."""
    given = value.isoformat() if isinstance(value, date) else value
    return RequestValidationError(
        [{"type": "value_error", "loc": ("query", parameter), "msg": message, "input": given}]
    )
