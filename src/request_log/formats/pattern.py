"""Logs of which a regular expression says what is where.

Expressions are run by RE2, in time that is proportional to a line's length whatever is in both.
"""

import re

import re2

from request_log.fields.escapes import unescaped
from request_log.fields.values import request_line
from request_log.formats.line_by_line import CustomerOf, Divide, Fields

NEEDED = ("time", "path", "status")
GROUPS = (*NEEDED, "customer", "duration", "duration_2", "duration_3", "method", "bytes", "request")
"""`request` is a line such as `GET /a HTTP/1.1`, instead of `path`, or of it and `method`."""
_REQUEST = "request"
# Of RE2's instructions: many more could take microseconds a byte.
_LARGEST_PROGRAM = 2_000
_COUNTED = re.compile(r"\{(?:[0-9]+,)?([0-9]+),?\}")
_MORE_DURATIONS = ("duration_2", "duration_3")
_MISSING = 0


class Expression:
    """A regular expression in RE2's syntax (https://github.com/google/re2/wiki/Syntax)."""

    def __init__(self, text: str) -> None:
        """ValueError, with the place in it: it is none, or one that cannot be run in linear time."""
        options = re2.Options()
        options.log_errors = False
        try:
            self._compiled = re2.compile(text.encode(), options)
        except re2.error as error:
            raise ValueError(_refusal(text, error.args[0].decode())) from None
        if self._compiled.programsize > _LARGEST_PROGRAM:
            largest = max(_COUNTED.finditer(text), key=lambda match: int(match[1]), default=None)
            place = f", most of all by {largest[0]} at character {largest.start() + 1}" if largest else ""
            raise ValueError(f"the regular expression is too large{place}")
        self.groups: dict[str, int] = {name.decode(): place for name, place in self._compiled.groupindex.items()}
        """Places of named groups."""
        self.count: int = self._compiled.groups
        """Groups, with a name or without."""
        for name in self.groups:
            if len(places := [match.start() for match in re.finditer(rf"\(\?P?<{name}>", text)]) > 1:
                raise ValueError(f"not a regular expression: the group {name} again at character {places[1] + 1}")

    def full_match(self, text: str) -> "re2._Match[bytes] | None":
        """How it matches the whole text."""
        return self._compiled.fullmatch(text.encode(errors="surrogatepass"))

    def search(self, text: str) -> "re2._Match[bytes] | None":
        """How it matches the text at the first place where it does."""
        return self._compiled.search(text.encode(errors="surrogatepass"))


def pattern(expression: Expression) -> Divide:
    """Divides lines by the groups of an expression that matches whole lines: some of `GROUPS`, and those `NEEDED`."""
    place_of = expression.groups
    places = [place_of.get(name, _MISSING) for name in ("time", "customer", "path", "status", "duration", "method")]
    places += [place_of.get(name, _MISSING) for name in ("bytes", _REQUEST, *_MORE_DURATIONS)]
    has_request = _REQUEST in place_of

    def divide(line: str) -> Fields | None:
        match = expression.full_match(line)
        if match is None:
            return None
        time, customer, path, status, duration, method, size, request, *more_durations = [
            (match[place] or b"").decode(errors="surrogatepass") if place else "" for place in places
        ]
        if has_request:
            its_method, its_path = request_line(request)
            method, path = method or its_method, path or its_path
        return Fields(
            time,
            unescaped(customer),
            unescaped(path),
            status,
            duration,
            method,
            size,
            tuple(filter(None, more_durations)),
        )

    return divide


def customer_in_path(expression: Expression) -> CustomerOf:
    """Finds customers by the first group of an expression."""

    def customer_of(path: str) -> str:
        match = expression.search(path)
        return (match[1] or b"").decode() if match is not None else ""

    return customer_of


def missing_group(expression: Expression) -> str | None:
    """A group of those `NEEDED` that an expression lacks."""
    return next((name for name in NEEDED if name not in expression.groups and name not in _instead(expression)), None)


def _instead(expression: Expression) -> tuple[str, ...]:
    return ("path",) if _REQUEST in expression.groups else ()


def _refusal(text: str, message: str) -> str:
    """Why an expression is refused; RE2 says of what, and not where that is."""
    what, _, fragment = message.partition(": ")
    if fragment and fragment != text:
        place = f" at character {text.find(fragment) + 1}"
    else:
        # Of parentheses, which Python's own expressions have as well.
        fragment, place = "", ""
        try:
            re.compile(text)
        except re.error as error:
            place = "" if error.pos is None else f" at character {error.pos + 1}"
    reason = f"not a regular expression of RE2: {what}{f' {fragment}' if fragment else ''}{place}"
    return f"{reason}; look-around has no bound in time" if what == "invalid perl operator" else reason
