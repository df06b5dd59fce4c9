"""The meaning of status, size, method and request line in all formats but `simple`. None of them rejects a request."""

import re
from decimal import Decimal

from request_log.meanings import Cache
from request_log.requests import NONE

NOT_LOGGED = "-"
"""Stands for an empty field, as in the common log format. It is the customer of requests without a customer."""
NO_STATUS = 0
"""The status of a request without one."""
LEAST_STATUS, GREATEST_STATUS = 100, 999
LONGEST_SIZE = 15
"""Digits of a size in bytes."""
GREATEST_SIZE = 10**LONGEST_SIZE - 1
# 200.0 is 200.
_STATUS = re.compile(r"([1-9][0-9]{2})(?:\.0+)?")
_VERSIONS = frozenset({"1.0", "1.1", "2", "3"})
LIST = re.compile(r", | : ")
"""Separates the values of several upstreams, as nginx writes them: `, ` between servers, ` : ` between groups."""
_LONGEST_METHOD = 32
"""Characters."""
_METHOD = re.compile(r"[A-Za-z!#$%&'*+.^_`|~0-9-]+")


def _status(text: str) -> int:
    texts = LIST.split(text)
    match = _STATUS.fullmatch(texts[-1])
    status = int(match[1]) if match else NO_STATUS
    return status if len(texts) == 1 else -status


STATUSES = Cache(_status)
"""Text -> status, NO_STATUS if it is none. Negative if the text is a list, of which it is the last."""


def _size(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_SIZE else NONE


SIZES = Cache(_size)
"""Text -> bytes; NONE if it is no such number."""


def _method(text: str) -> str:
    return text if text != NOT_LOGGED and len(text) <= _LONGEST_METHOD and _METHOD.fullmatch(text) else ""


METHODS = Cache(_method)
"""Text -> method; "" if it is none."""


def request_line(request: str) -> tuple[str, str]:
    """Method and path of `GET /a HTTP/1.1`, which Hypercorn writes as `GET /a 1.1`. Both are "" if the text is no
    request line. So it is when a client speaks TLS to a server without it."""
    method, _, path = request.partition(" ")
    target, _, protocol = path.rpartition(" ")
    if target and (protocol.startswith("HTTP/") or protocol in _VERSIONS):
        path = target
    method = METHODS[method]
    return (method, path) if method else ("", "")


def text_of_number(number: float) -> str:
    """A plain decimal, without an exponent."""
    text = repr(number)
    if "e" in text:
        return f"{Decimal(text):f}"
    return text if number else "0.0"
