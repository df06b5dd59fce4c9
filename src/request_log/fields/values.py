"""What the values of a request mean in all formats but `simple`, which is strict: there no value rejects a request."""

import re

from request_log.cache import Cache
from request_log.requests import NONE

NOT_LOGGED = "-"
"""Stands for a field that is empty, as in the common log format: so requests without a customer have this one."""
NO_STATUS = 0
LEAST_STATUS, GREATEST_STATUS = 100, 999
LONGEST_SIZE = 15
GREATEST_SIZE = 10**LONGEST_SIZE - 1
# 200.0 is 200.
_STATUS = re.compile(r"([1-9][0-9]{2})(?:\.0+)?")
LIST = re.compile(r", | : ")
"""Separates the values of several upstreams, as nginx writes them: `, ` between servers, ` : ` between groups."""
_LONGEST_METHOD = 32
_METHOD = re.compile(r"[A-Za-z!#$%&'*+.^_`|~0-9-]+")


def _status(text: str) -> int:
    texts = LIST.split(text)
    match = _STATUS.fullmatch(texts[-1])
    status = int(match[1]) if match else NO_STATUS
    return status if len(texts) == 1 else -status


STATUSES = Cache(_status)
"""The status that a text says, NO_STATUS where it says none. It is negative where it is the last one of a list."""


def _size(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_SIZE else NONE


SIZES = Cache(_size)
"""Bytes; NONE where a text is no number of them."""


def _method(text: str) -> str:
    return text if text != NOT_LOGGED and len(text) <= _LONGEST_METHOD and _METHOD.fullmatch(text) else ""


METHODS = Cache(_method)
"""The method of a request; empty where a text is none."""


def request_line(request: str) -> tuple[str, str]:
    """Method and path of `GET /a HTTP/1.1`. Both are empty where it is no request, as when TLS is spoken to a server
    that does not."""
    method, _, path = request.partition(" ")
    target, _, protocol = path.rpartition(" ")
    if target and protocol.startswith("HTTP/"):
        path = target
    method = METHODS[method]
    return (method, path) if method else ("", "")
