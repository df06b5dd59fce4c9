"""Logs of which a regular expression says what is where."""

import re

from request_log.escapes import unescaped
from request_log.line_by_line import Divide, Fields

NEEDED = ("time", "path", "status")


def pattern(expression: re.Pattern[str]) -> Divide:
    """Divides lines by the groups of an expression that matches whole lines: it has those `NEEDED`, and perhaps
    `customer` and `duration`."""
    has = [name in expression.groupindex for name in Fields._fields]

    def divide(line: str) -> Fields | None:
        match = expression.fullmatch(line)
        if match is None:
            return None
        return Fields._make(
            unescaped(match[name] or "") if there else "" for name, there in zip(Fields._fields, has, strict=True)
        )

    return divide
