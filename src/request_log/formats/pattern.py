"""The format `regex`: a regular expression finds the fields of a line by its named groups.

RE2 runs the expressions, in time proportional to the length of the line, whatever the expression is.
"""

import re

import re2

from request_log.fields.escapes import unescaped
from request_log.fields.values import request_line
from request_log.formats.line_by_line import CustomerOf, Divide, Fields

NEEDED = ("time", "path", "status")
GROUPS = (*NEEDED, "customer", "duration", "duration_2", "duration_3", "method", "bytes", "request")
"""`request` is a line such as `GET /a HTTP/1.1`. It replaces `path`, or `path` and `method`."""
_REQUEST = "request"
_LARGEST_PROGRAM = 2_000
"""Instructions of RE2. Many more could take microseconds a byte."""
_COUNTED = re.compile(r"\{(?:[0-9]+,)?([0-9]+),?\}")
_MORE_DURATIONS = ("duration_2", "duration_3")
_MISSING = 0


class Expression:
    """A regular expression in RE2's syntax (https://github.com/google/re2/wiki/Syntax)."""

    def __init__(self, text: str) -> None:
        """ValueError, with the place of the error, if RE2 does not accept the expression or it is too large."""
        options = re2.Options()
        options.log_errors = False
        try:
            self._compiled = re2.compile(text.encode(), options)
        except re2.error as error:
            raise ValueError(_error_message(text, error.args[0].decode())) from None
        if self._compiled.programsize > _LARGEST_PROGRAM:
            largest = max(_COUNTED.finditer(text), key=lambda match: int(match[1]), default=None)
            place = f", most of all by {largest[0]} at character {largest.start() + 1}" if largest else ""
            raise ValueError(f"the regular expression is too large{place}")
        self.groups: dict[str, int] = {name.decode(): place for name, place in self._compiled.groupindex.items()}
        """Name of a group -> its number."""
        self.count: int = self._compiled.groups
        """Number of groups, with and without a name."""
        for name in self.groups:
            if len(places := [match.start() for match in re.finditer(rf"\(\?P?<{name}>", text)]) > 1:
                raise ValueError(f"not a regular expression: the group {name} again at character {places[1] + 1}")

    def full_match(self, text: str) -> "re2._Match[bytes] | None":
        return self._compiled.fullmatch(text.encode(errors="surrogatepass"))

    def search(self, text: str) -> "re2._Match[bytes] | None":
        return self._compiled.search(text.encode(errors="surrogatepass"))


def pattern(expression: Expression) -> Divide:
    """Divides lines by the groups of an expression that matches whole lines. It has all groups that are `NEEDED`."""
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
    """Finds the customer in a path by the first group of an expression."""

    def customer_of(path: str) -> str:
        match = expression.search(path)
        return (match[1] or b"").decode() if match is not None else ""

    return customer_of


def missing_group(expression: Expression) -> str | None:
    """A needed group that the expression lacks; None if it has all."""
    has_path = _REQUEST in expression.groups
    return next((name for name in NEEDED if name not in expression.groups and not (has_path and name == "path")), None)


def _error_message(text: str, message: str) -> str:
    """The validation error for an expression. RE2 names the faulty part, and not its place."""
    what, _, fragment = message.partition(": ")
    if fragment and fragment != text:
        place = f" at character {text.find(fragment) + 1}"
    else:
        # Python's own parser tells the place, as of an unbalanced parenthesis.
        fragment, place = "", ""
        try:
            re.compile(text)
        except re.error as error:
            place = "" if error.pos is None else f" at character {error.pos + 1}"
        except (RecursionError, OverflowError):
            # It is nested too deeply for that parser, or repeats too often.
            place = ""
    reason = f"not a regular expression of RE2: {what}{f' {fragment}' if fragment else ''}{place}"
    return f"{reason}; look-around has no bound in time" if what == "invalid perl operator" else reason
