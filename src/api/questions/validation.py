"""Validation errors of parameters, in the form that FastAPI gives its own."""

import re
from datetime import date

from fastapi.exceptions import RequestValidationError
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def validation_error(parameter: str, value: date | str | None, message: str) -> RequestValidationError:
    """The error (status 422) of one parameter of the query. `value`: as it was sent."""
    sent = value.isoformat() if isinstance(value, date) else value
    return RequestValidationError([{"type": "value_error", "loc": ("query", parameter), "msg": message, "input": sent}])


def of_form(pattern: str, error: str, message: str) -> BeforeValidator:
    """Lets only texts through that match a regular expression: pydantic alone takes a number for seconds since 1970.

    `error`, `message`: type and text of the validation error.
    """
    form = re.compile(pattern, re.ASCII)

    def check(text: object) -> object:
        if isinstance(text, str) and not form.fullmatch(text):
            raise PydanticCustomError(error, message)
        return text

    return BeforeValidator(check)
