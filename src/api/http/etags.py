"""ETags: whether the client has what it asks for (RFC 9110, section 13.1.2)."""

import re

from starlette.types import Scope

_QUOTED = re.compile(r'"[^"]*"')


def client_has(scope: Scope, tag: str) -> bool:
    """Whether `If-None-Match` has this tag, which is in quotation marks."""
    values = [value for name, value in scope["headers"] if name == b"if-none-match"]
    if not values:
        return False
    tags = b",".join(values).decode("latin-1")
    return tags == "*" or tag in _QUOTED.findall(tags)
