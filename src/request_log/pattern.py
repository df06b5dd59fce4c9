"""Logs of which a regular expression says what is where."""

import re

from request_log.escapes import unescaped
from request_log.line_by_line import FIELDS, Divide, Fields

NEEDED = ("time", "path", "status")
_MISSING = 0


def pattern(expression: re.Pattern[str]) -> Divide:
    """Divides lines by the groups of an expression that matches whole lines: it has those `NEEDED`, and perhaps
    `customer` and `duration`."""
    groups = [expression.groupindex.get(name, _MISSING) for name in FIELDS]

    def divide(line: str) -> Fields | None:
        match = expression.fullmatch(line)
        if match is None:
            return None
        values = (None, *match.groups())
        time, customer, path, status, duration = (values[group] or "" for group in groups)
        return time, unescaped(customer), unescaped(path), status, duration

    return divide
