"""The common log format, and `combined`, as nginx and Apache write them.

https://httpd.apache.org/docs/2.4/logs.html#accesslog and https://nginx.org/en/docs/http/ngx_http_log_module.html
"""

import re
from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from request_log.fields.escapes import closing_quote, unescaped
from request_log.fields.values import LEAST_STATUS, LONGEST_SIZE, METHODS, NOT_LOGGED, request_line
from request_log.formats.line_by_line import COMMENT, NO_COLUMNS, Columns, Divide, DivideChunk, Fields, Flags, Repeated
from request_log.requests import NONE, Integers

VALUE = "value:"
"""Prefix in LOG_CUSTOMER_FROM of the name of a value, for lines with `name=value` after the user agent."""
CUSTOMER_FIELDS = re.compile(
    rf"remote_addr|remote_user|referer|user_agent|extra[1-9][0-9]?|{VALUE}[A-Za-z_][A-Za-z0-9_.-]*"
)
"""Fields that may be the customer. `extra1`, `extra2`, ... are the quoted texts after the user agent that have no
name."""
_EXTRA = "extra"
_QUOTED = {"referer": 0, "user_agent": 1}
"""Field -> its place among the quoted texts after the size of the response."""
_TIME_ENDS = '] "'
# The forms of a duration: `0.004`, `-`, `12.5 ms`, `0.001, 0.002 : 0.003`, or several of these.
_DURATION = re.compile(r'[-.0-9][^ "]*(?: (?:[mnu\u00b5\u03bc]?s|(?:: )?[-.0-9][^ "]*))*')
# A value with its name: `rt=0.004`, `urt="0.001, 0.002"`, `urt=0.001, 0.002`, and `kong_request_id: "5d6e"`. The value
# is empty where a quoted text comes next.
_NAMED = re.compile(
    r'(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)(?:=|: )(?P<value>(?:[-.0-9][^ "]*?(?:(?:,| :) [-.0-9][^ ",]*)+|[^ "]*))'
)
_NAMES_OF_DURATIONS = ("rt", "request_time", "req_time", "duration", "response_time", "latency", "elapsed")
"""The names that the duration of a request may have, the likeliest first."""
# Two whole numbers after a line, as of mod_logio.
_TWO_NUMBERS = re.compile(r"([0-9]{1,18}), ([0-9]{1,18})")
# Between several durations, as of `$request_time $upstream_response_time`. They become a list.
_BETWEEN_DURATIONS = re.compile(r"(?<![,:]) (?=[-.0-9])")
_QUOTE, _SPACE, _COMMA, _DASH, _NEWLINE, _RETURN, _BACKSLASH = b'" ,-\n\r\\'
_QUOTE_TEXT = '"'
_DELETE = 0x7F
_STAMP_LENGTH = len("[25/Nov/2026:12:00:01 +0000] ")
_SHORTEST_HEAD = len("a - b ") + _STAMP_LENGTH
_PROTOCOL_LENGTH = len(" HTTP/1.1")
_QUOTES_OF_COMBINED = 6
_LONGEST_ADDRESS = 48
_LONGEST_METHOD = 12
"""Bytes of an address and of a method with the space after it. Lines with longer ones are divided one by one."""
Bytes = NDArray[np.uint8]


def common(customer_field: str) -> Divide:
    """Divides lines of the common log format, which may have a duration at the end."""
    is_address = customer_field == "remote_addr"

    def divide(line: str) -> Fields | None:
        head = _head(line)
        end = closing_quote(line, head.quote + 1) if head is not None else -1
        if head is None or end < 0:
            return None
        first, *answer = line[end + 1 :].split(" ", 3)
        duration = answer.pop() if len(answer) == 3 else ""
        if first or len(answer) < 2 or not all(answer) or _QUOTE_TEXT in "".join(answer):
            return None
        if duration and not _DURATION.fullmatch(duration):
            return None
        customer = head.address if is_address else head.user
        method, path = request_line(line[head.quote + 1 : end])
        duration = _without_sizes(_BETWEEN_DURATIONS.sub(", ", duration), answer[1])
        return Fields(head.time, _logged(customer), unescaped(path), answer[0], duration, method, answer[1])

    return divide


class Combined(DivideChunk):
    """Divides lines of the combined format, which may have more quoted texts, and a duration, at the end."""

    def __init__(self, customer_field: str) -> None:
        """`customer_field`: one of `CUSTOMER_FIELDS`."""
        self._customer_field = customer_field
        self._name = customer_field.removeprefix(VALUE) if customer_field.startswith(VALUE) else ""
        if customer_field.startswith(_EXTRA):
            self._quoted = int(customer_field.removeprefix(_EXTRA)) + 1
        else:
            self._quoted = _QUOTED.get(customer_field, -1)

    def __call__(self, line: str) -> Fields | None:
        head = _head(line)
        end = closing_quote(line, head.quote + 1) if head is not None else -1
        quote = line.find(_QUOTE_TEXT, end + 1)
        if head is None or end < 0 or quote < 0:
            return None
        match line[end + 1 : quote].split(" "):
            case ["", status, size, ""] if status and size:
                pass
            case _:
                return None
        tail = _tail(line, quote, size)
        if tail is None:
            return None
        quoted, named, duration = tail
        if self._name:
            customer = named.get(self._name, "")
        elif self._quoted >= 0:
            customer = quoted[self._quoted] if self._quoted < len(quoted) else ""
        else:
            customer = head.address if self._customer_field == "remote_addr" else head.user
        method, path = request_line(line[head.quote + 1 : end])
        return Fields(head.time, unescaped(_logged(customer)), unescaped(path), status, duration, method, size)

    def columns(self, data: bytes, starts: Integers) -> tuple[Columns, Sequence[int] | Integers]:
        """See `DivideChunk`. Takes lines with the most frequent number of quotation marks and a time as of nginx."""
        if self._name:
            return NO_COLUMNS, ()
        bytes_ = np.frombuffer(data + b"\n" * _LONGEST_ADDRESS, np.uint8)
        own = bytes_[: len(data)]
        marks = np.flatnonzero((own == _QUOTE) | (own == _NEWLINE))
        line_ends = np.flatnonzero(own[marks] == _NEWLINE)
        counts = np.diff(line_ends, prepend=-1) - 1
        count = int(np.bincount(counts).argmax())
        if count < _QUOTES_OF_COMBINED or count % 2:
            return NO_COLUMNS, ()
        ends = marks[line_ends]
        ends = ends - (own[ends - 1] == _RETURN)
        is_regular = (counts == count) & ~_are_odd(data, own, marks[line_ends])
        first_quotes = line_ends - counts
        is_regular &= marks[np.minimum(first_quotes, len(marks) - 1)] - starts >= _SHORTEST_HEAD
        places = np.flatnonzero(is_regular)
        quotes = marks[np.arange(count)[:, np.newaxis] + first_quotes[places]]
        found = _Boundaries(bytes_, starts[places], ends[places], quotes)
        is_good = found.are_good()
        if not is_good.all():
            places = places[is_good]
            found = _Boundaries(bytes_, starts[places], ends[places], quotes[:, is_good])
        if not len(places):
            return NO_COLUMNS, ()
        return self._cut(data, found, places)

    def _cut(self, data: bytes, found: "_Boundaries", places: Integers) -> tuple[Columns, Sequence[int] | Integers]:
        # Each character is a byte, because the lines are ASCII.
        text = data.decode("latin-1")
        quotes = found.quotes
        times = found.times(text)
        paths = _texts(text, found.method_ends + 1, quotes[1] - _PROTOCOL_LENGTH)
        if (quotes[-1] + 1 == found.ends).all():
            durations = [""] * len(places)
        else:
            durations = _texts(text, quotes[-1] + 2, found.ends)
        # The first two marks are those of the request. Each quoted text has two more.
        first = 2 + 2 * self._quoted
        if first >= len(quotes):
            customers = [""] * len(places)
        elif self._quoted >= 0:
            customers = _texts(text, quotes[first] + 1, quotes[first + 1])
        elif self._customer_field == "remote_addr":
            customers = _texts(text, found.starts, found.address_ends)
        else:
            customers = _texts(text, found.address_ends + 3, quotes[0] - _STAMP_LENGTH - 1)
        if NOT_LOGGED in customers:
            customers = list(map(_logged, customers))
        methods = _texts(text, quotes[0] + 1, found.method_ends)
        statuses, sizes = found.statuses, found.sizes
        no_methods = {method for method in set(methods) if METHODS[method] != method}
        if no_methods or " " in "".join(durations) or "[" in "".join(times.texts):
            # Lines with these are divided one by one.
            rows = zip(times.places.tolist(), durations, methods, strict=True)
            is_good = [
                "[" not in times.texts[time] and " " not in duration and method not in no_methods
                for time, duration, method in rows
            ]
            places, statuses, sizes = places[is_good], statuses[is_good], sizes[is_good]
            times = times._replace(places=times.places[is_good])
            customers, paths, durations, methods = (
                list(compress(column, is_good)) for column in (customers, paths, durations, methods)
            )
        return Columns(times, customers, paths, statuses, durations, methods, sizes, are_printable=True), places


class _Head(NamedTuple):
    """The beginning of a line."""

    address: str
    user: str
    time: str
    quote: int
    """The place of the quotation mark before the request."""


def _head(line: str) -> _Head | None:
    end = line.find(_TIME_ENDS)
    before, bracket, time = line[: max(end, 0)].rpartition(" [")
    address, dash, user = before.partition(" - ")
    if not (bracket and address and dash and user) or " " in address or "," in address:
        return None
    if user[0] == " " or user[-1] == " ":
        return None
    return _Head(address, user, time, end + len(_TIME_ENDS) - 1)


class _Tail(NamedTuple):
    """The end of a line, from the quotation mark of the referrer on."""

    quoted: list[str]
    """The quoted texts without a name."""
    named: dict[str, str]
    """Name -> value."""
    duration: str


def _tail(line: str, quote: int, size: str) -> _Tail | None:
    """The end of a line, whose first quoted text begins at `quote`. None if it is not as it should be. `size`: of the
    response."""
    quoted: list[str] = []
    named: dict[str, str] = {}
    duration = name = ""
    while True:
        end = closing_quote(line, quote + 1)
        if end < 0:
            return None
        text = line[quote + 1 : end]
        if name:
            named[name] = text
        else:
            quoted.append(text)
        if end + 1 == len(line):
            break
        quote = line.find(_QUOTE_TEXT, end + 1)
        between = line[end + 1 : quote if quote >= 0 else len(line)]
        name = ""
        if between != " " or quote < 0:
            found = _between(between, quote >= 0, named) if len(quoted) >= 2 else None
            if found is None or (duration and found[0]):
                return None
            duration, name = found[0] or duration, found[1]
        if quote < 0:
            break
    if len(quoted) < 2:
        return None
    duration = _without_sizes(duration, size)
    if not duration:
        duration = next((named[name] for name in _NAMES_OF_DURATIONS if name in named), "")
    return _Tail(quoted, named, duration)


def _between(text: str, is_before_quote: bool, named: dict[str, str]) -> tuple[str, str] | None:
    """The duration in the text between two quoted ones or after the last, and the name of the next quoted text; "" for
    none. Values with names are added to `named`. None if the text has anything else."""
    duration = ""
    place = 0
    while place < len(text):
        if text[place] == " ":
            place += 1
            if place == len(text):
                return (duration, "") if is_before_quote else None
        elif place:
            return None
        if match := _NAMED.match(text, place):
            if match.end() == len(text) and not match["value"] and is_before_quote:
                return duration, match["name"]
            named[match["name"]] = match["value"]
        else:
            match = _DURATION.match(text, place) if place else None
            if match is None or duration:
                return None
            duration = _BETWEEN_DURATIONS.sub(", ", match[0])
        place = match.end()
    return None if is_before_quote else (duration, "")


def _without_sizes(durations: str, size: str) -> str:
    """The durations after a line; "" if they are the bytes of the request and of the whole response, as mod_logio's
    `%I %O`.

    With its headers a response is larger than its `size`. Few durations are two whole numbers of which the second is
    larger than that.
    """
    match = _TWO_NUMBERS.fullmatch(durations)
    if match is None:
        return durations
    received, sent = int(match[1]), int(match[2])
    is_size = sent >= int(size[:18] if size.isdecimal() else 0) and (sent or not received)
    return "" if is_size else durations


def _logged(text: str) -> str:
    # Apache writes an empty user as two quotation marks.
    return "" if text in (NOT_LOGGED, '""') else text


def _are_odd(data: bytes, own: Bytes, newlines: Integers) -> Flags:
    """For each line, whether it is a comment, or has a backslash, a control character or a byte that is not ASCII."""
    starts = np.concatenate(([0], newlines[:-1] + 1))
    is_odd: Flags = own[starts] == COMMENT[0]
    controls = np.count_nonzero(own < _SPACE) - len(newlines)
    if controls or not data.isascii() or b"\\" in data or b"\x7f" in data:
        is_control = (own < _SPACE) & (own != _NEWLINE)
        is_control[newlines - 1] &= own[newlines - 1] != _RETURN
        odd = np.flatnonzero(is_control | (own >= _DELETE) | (own == _BACKSLASH))
        is_odd[np.searchsorted(newlines, odd)] = True
    return is_odd


def _texts(text: str, begins: Integers, ends: Integers) -> list[str]:
    return [text[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]


class _Boundaries:
    """Where the fields of many lines begin and end."""

    def __init__(self, bytes_: Bytes, starts: Integers, ends: Integers, quotes: Integers) -> None:
        """`bytes_`: the lines, and some bytes after them. `quotes`: the places of quotation marks: a row for the first
        mark of each line, a row for the second, and so on."""
        self._bytes = bytes_
        self.starts = starts
        self.ends = ends
        self.quotes = quotes
        addresses = self._windows(starts, _LONGEST_ADDRESS)
        self.address_ends = starts + ((addresses == _SPACE) | (addresses == _COMMA)).argmax(axis=1)
        methods = self._windows(quotes[0] + 1, _LONGEST_METHOD)
        self.method_ends = quotes[0] + 1 + (methods == _SPACE).argmax(axis=1)
        self.statuses, self._are_statuses = self._numbers(quotes[1] + 2, quotes[1] + 5, 3)
        self.sizes, self._are_sizes = self._numbers(quotes[1] + 6, quotes[2] - 1, LONGEST_SIZE)
        is_none = (quotes[2] == quotes[1] + 8) & (bytes_[quotes[1] + 6] == _DASH)
        self.sizes[is_none] = NONE
        self._are_sizes |= is_none

    def are_good(self) -> Flags:
        """For each line, whether the bytes between its fields are as they should be."""
        quotes = self.quotes
        users = self.address_ends + 3
        user_ends = quotes[0] - _STAMP_LENGTH - 1
        expected = [
            (self.address_ends, " - "),
            (user_ends, " ["),
            (quotes[0] - 2, "] "),
            (self.method_ends, " "),
            (quotes[1] - _PROTOCOL_LENGTH, " HTTP/"),
            (quotes[1] + 1, " "),
            (quotes[1] + 5, " "),
            (quotes[2] - 1, " "),
            *((closing + 1, " ") for closing in quotes[3:-1:2]),
        ]
        places = np.array([begin + shift for begin, text in expected for shift in range(len(text))])
        bytes_ = np.frombuffer("".join(text for _, text in expected).encode(), np.uint8)
        is_good: Flags = (self._bytes[places] == bytes_[:, np.newaxis]).all(axis=0)
        others = np.array([users, user_ends - 1, quotes[1] - 3, quotes[1] - 2, quotes[1] - 1])
        is_good &= (self._bytes[others] != _SPACE).all(axis=0)
        is_good &= (self.address_ends > self.starts) & (users < user_ends)
        is_good &= (self.method_ends > quotes[0] + 1) & (self.method_ends + 1 < quotes[1] - _PROTOCOL_LENGTH)
        is_good &= self._are_statuses & (self.statuses >= LEAST_STATUS) & self._are_sizes
        is_good &= (quotes[4::2] == quotes[3:-1:2] + 2).all(axis=0)
        tails = quotes[-1] + 2
        has_tail = self.ends != tails - 1
        if has_tail.any():
            first = self._bytes[tails]
            is_number = ((first >= ord("0")) & (first <= ord("9"))) | (first == _DASH) | (first == ord("."))
            is_good &= ~has_tail | ((self.ends > tails) & (self._bytes[tails - 1] == _SPACE) & is_number)
        return is_good

    def times(self, text: str) -> Repeated:
        """The times. Consecutive lines with the same time share one text."""
        length = _STAMP_LENGTH - len("[] ")
        begins = self.quotes[0] - _STAMP_LENGTH + 1
        stamps = self._windows(begins, length)
        is_new = np.ones(len(begins), bool)
        is_new[1:] = (stamps[1:] != stamps[:-1]).any(axis=1)
        return Repeated(_texts(text, begins[is_new], begins[is_new] + length), np.cumsum(is_new) - 1)

    def _numbers(self, begins: Integers, ends: Integers, longest: int) -> tuple[Integers, Flags]:
        """The decimal numbers between two places of each line, and which lines have one."""
        lengths = ends - begins
        shifts = np.arange(min(int(lengths.max(initial=1)), longest))
        digits = self._bytes[ends[:, np.newaxis] - 1 - shifts] - np.uint8(ord("0"))
        is_before = shifts >= lengths[:, np.newaxis]
        are_numbers = (lengths > 0) & (lengths <= longest) & ((digits < 10) | is_before).all(axis=1)
        return np.where(is_before, 0, digits) @ (10**shifts), are_numbers

    def _windows(self, places: Integers, length: int) -> Bytes:
        """The `length` bytes from each place on."""
        return np.lib.stride_tricks.sliding_window_view(self._bytes, length)[places]
