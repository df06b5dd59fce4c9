"""The formats of web servers: the common log format, and `combined`, as nginx and Apache write them.

https://httpd.apache.org/docs/2.4/logs.html#accesslog and https://nginx.org/en/docs/http/ngx_http_log_module.html
"""

import re

from request_log.escapes import unescaped
from request_log.fields import Cache
from request_log.line_by_line import NOT_LOGGED, Divide, Fields

CUSTOMER_FIELDS = re.compile(r"remote_addr|remote_user|referer|user_agent|extra[1-9][0-9]?")
"""What may name the customer. `extra1` and so on: what is logged behind the user agent in quotation marks."""
_QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
_COMMON = rf"(?P<remote_addr>\S+) \S+ (?P<remote_user>.+?) \[(?P<time>[^\]]*)\] {_QUOTED} (?P<status>\S+) \S+"
_COMMON_LINE = re.compile(rf"{_COMMON}(?: (?P<duration>[0-9]+(?:\.[0-9]+)?|-))?")
_COMBINED_LINE = re.compile(rf'{_COMMON} {_QUOTED} {_QUOTED}(?P<extras>(?: (?:"[^"\\]*(?:\\.[^"\\]*)*"|[0-9.]+|-))*)')
_EXTRA = re.compile(rf"{_QUOTED}|(\S+)")
_METHOD = re.compile(r"[A-Za-z!#$%&'*+.^_`|~0-9-]+")
_METHODS = Cache(lambda text: _METHOD.fullmatch(text) is not None)


def common(customer_field: str) -> Divide:
    """Divides lines of the common log format, with the duration behind it where it is logged."""

    def divide(line: str) -> Fields | None:
        match = _COMMON_LINE.fullmatch(line)
        if match is None:
            return None
        customer = unescaped(match[customer_field])
        return match["time"], _logged(customer), _path(match[4]), match["status"], match["duration"] or ""

    return divide


def combined(customer_field: str) -> Divide:
    """Divides lines of the combined format: behind it may come more fields in quotation marks, and one number, which is
    the duration."""
    extra = int(customer_field.removeprefix("extra")) if customer_field.startswith("extra") else 0
    group: str | int = {"referer": 6, "user_agent": 7}.get(customer_field, customer_field)

    def divide(line: str) -> Fields | None:
        match = _COMBINED_LINE.fullmatch(line)
        if match is None:
            return None
        extras = match["extras"]
        found = _EXTRA.findall(extras) if extras else []
        numbers = [number for _, number in found if number]
        if len(numbers) > 1:
            return None
        if extra:
            quoted = [text for text, number in found if not number]
            customer = quoted[extra - 1] if extra <= len(quoted) else ""
        else:
            customer = match[group]
        duration = numbers[0] if numbers else ""
        return match["time"], _logged(unescaped(customer)), _path(match[4]), match["status"], duration

    return divide


def _logged(text: str) -> str:
    # Apache writes an empty user as two quotation marks.
    return "" if text in (NOT_LOGGED, '""') else text


def _path(request: str) -> str:
    """The path of a request line; empty where it is none, as when TLS is spoken to a server that does not."""
    method, _, path = request.partition(" ")
    target, _, protocol = path.rpartition(" ")
    if target and protocol.startswith("HTTP/"):
        path = target
    return unescaped(path) if _METHODS[method] else ""
