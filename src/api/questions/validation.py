"""Validation errors of parameters, in the form that FastAPI gives its own."""

from datetime import date

from fastapi.exceptions import RequestValidationError


def validation_error(parameter: str, value: date | str | None, message: str) -> RequestValidationError:
    """The error (status 422) of one parameter of the query. `value`: as it was sent."""
    sent = value.isoformat() if isinstance(value, date) else value
    return RequestValidationError([{"type": "value_error", "loc": ("query", parameter), "msg": message, "input": sent}])
