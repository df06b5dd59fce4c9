"""Logs that have an object in JSON on each line."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic_core import from_json

from request_log.line_by_line import FIELDS, Divide, Fields


def json_lines(names: Mapping[str, str]) -> Divide:
    """Divides objects. `names`: what each of `FIELDS` is called; `a.b` is b in the object a, where no member is called
    so itself."""
    time_path, customer_path, path_path, status_path, duration_path = [names[field].split(".") for field in FIELDS]

    def divide(line: str) -> Fields | None:
        try:
            record = from_json(line, allow_inf_nan=False)
        except ValueError:
            return None
        if not isinstance(record, dict):
            return None
        time = _text(_member(record, time_path))
        customer = _text(_member(record, customer_path))
        path = _text(_member(record, path_path))
        status = _text(_member(record, status_path))
        duration = _text(_member(record, duration_path))
        if time is None or customer is None or path is None or status is None or duration is None:
            return None
        return time, customer, path, status, duration

    return divide


def _member(record: dict[str, Any], path: list[str]) -> Any:
    """The member at a path, None where there is none."""
    name, *rest = path
    if not rest:
        return record.get(name)
    whole = ".".join(path)
    if whole in record:
        return record[whole]
    inner = record.get(name)
    return _member(inner, rest) if isinstance(inner, dict) else None


def _text(value: Any) -> str | None:
    """What a member says; None where it is not something that a field can be."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) == 1:
        # Headers are logged so, because one may come more than once.
        (value,) = value
    match value:
        case None:
            return ""
        case str():
            return value
        case bool() | list() | dict():
            return None
        case float():
            return f"{Decimal(repr(value)):f}"
    return str(value)
