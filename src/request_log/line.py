"""One line of the access log: its limits, the reasons to reject one, and its writer."""

from collections.abc import Iterable, Sequence
from enum import Enum
from time import gmtime, strftime

MAX_LINE_BYTES = 64 * 1024
"""Bytes of the longest line, without its newline."""
MIN_LINE_BYTES = 16
"""Bytes of the shortest line, with its newline. No two lines of a log begin in the same block of this size, so a block
identifies a line."""
MAX_CUSTOMER_BYTES = 256
MAX_DURATION_SECONDS = 86_400
FIRST_YEAR = 1970
LAST_YEAR = 2199
SECONDS_A_DAY = 86_400
LAST_SECOND = 7_258_118_399
"""The last second of the last year, Unix time."""
MAX_SECONDS_AHEAD = SECONDS_A_DAY
"""How much later than now a line may be. No time zone that is taken for UTC is further ahead."""
_TIMESTAMP = "%Y-%m-%d %H:%M:%S"


class Reason(str, Enum):
    """Why a line is not a request. Each reason is a series of the metrics, so there are few."""

    EMPTY = "empty"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    NOT_UTF8 = "not_utf8"
    CONTROL_CHARACTER = "control_character"
    FIELDS = "fields"
    TIME = "time"
    CUSTOMER = "customer"
    STATUS = "status"
    DURATION = "duration"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    REFUSED = "refused"
    """The line is valid, but the store refuses it."""


class Mended(str, Enum):
    """Which part of a request is malformed, and was corrected or left out."""

    DURATION = "duration"
    """The duration was not understood or is out of bounds, so it is unknown; or it was one of a list."""
    STATUS = "status"
    """There is no status, or it was one of a list."""
    ENCODING = "encoding"
    """Bytes that are not UTF-8 are written as `\\xNN`."""
    CONTROL_CHARACTER = "control_character"
    """Control characters are written as `\\xNN`."""


def is_customer(text: str) -> bool:
    """Whether a text is short enough to be a customer."""
    return len(text) <= MAX_CUSTOMER_BYTES // 4 or len(text.encode()) <= MAX_CUSTOMER_BYTES


def are_customers(texts: Sequence[str]) -> bool:
    """Whether each of the texts is short enough to be a customer."""
    return max(map(len, texts), default=0) <= MAX_CUSTOMER_BYTES // 4 or all(map(is_customer, texts))


def format_lines(
    seconds: Sequence[int],
    customer_ids: Iterable[str],
    paths: Iterable[str],
    statuses: Iterable[int],
    durations_ms: Iterable[int],
) -> bytes:
    """The lines of many requests, each with its newline, from columns of equal length.

    `seconds`: Unix time. `durations_ms`: whole milliseconds. A line has its time in UTC, and its duration in seconds.
    The caller ensures that customers and paths are valid: no white space, no control characters.
    """
    timestamps = {second: strftime(_TIMESTAMP, gmtime(second)) for second in set(seconds)}
    columns = (map(timestamps.__getitem__, seconds), customer_ids, paths, statuses, durations_ms)
    return "".join(map(_line, *columns)).encode()


def _line(timestamp: str, customer_id: str, path: str, status: int, duration_ms: int) -> str:
    return f"{timestamp} {customer_id} {path} {status} {duration_ms // 1000}.{duration_ms % 1000:03d}\n"
