"""One line of the access log: its limits, the reasons to reject one, and its writer."""

from collections.abc import Iterable, Sequence
from enum import Enum
from time import gmtime, strftime

MAX_LINE_BYTES = 64 * 1024
MIN_LINE_BYTES = 16
"""With its newline. So of a log no two lines begin in the same so many bytes, which is what tells them apart."""
MAX_CUSTOMER_BYTES = 256
MAX_DURATION_SECONDS = 86_400
FIRST_YEAR = 1970
LAST_YEAR = 2199
SECONDS_A_DAY = 86_400
LAST_SECOND = 7_258_118_399
"""The last one of the last year, Unix time."""
MAX_SECONDS_AHEAD = SECONDS_A_DAY
"""A line may be so much later than the time at which it is read: zones that are taken for UTC are no further ahead."""
_STAMP = "%Y-%m-%d %H:%M:%S"


class Reason(str, Enum):
    """Why a line is no request. Few, for they are counted one by one."""

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
    """Valid, but the store does not take it."""


class Mended(str, Enum):
    """What of a request was not as it should be and was understood all the same, or left out."""

    DURATION = "duration"
    """It was not understood or is beyond its bounds, so none is known; or it was found in a list."""
    STATUS = "status"
    """It has none, or was found in a list."""
    ENCODING = "encoding"
    """Bytes that are no UTF-8 are written as `\\xNN`."""
    CONTROL_CHARACTER = "control_character"
    """So are control characters."""


def is_customer(text: str) -> bool:
    """Whether a text is short enough to be a customer."""
    return len(text) <= MAX_CUSTOMER_BYTES // 4 or len(text.encode()) <= MAX_CUSTOMER_BYTES


def format_lines(
    seconds: Sequence[int],
    customer_ids: Iterable[str],
    paths: Iterable[str],
    statuses: Iterable[int],
    durations_ms: Iterable[int],
) -> bytes:
    """The lines of many requests, each with its newline, from columns of equal length.

    `seconds` is Unix time, `durations_ms` whole milliseconds; the lines have UTC, and the duration in seconds. The
    caller answers for valid customers and paths: no white space, no control characters.
    """
    stamps = {second: strftime(_STAMP, gmtime(second)) for second in set(seconds)}
    columns = (map(stamps.__getitem__, seconds), customer_ids, paths, statuses, durations_ms)
    return "".join(map(_line, *columns)).encode()


def _line(stamp: str, customer_id: str, path: str, status: int, duration_ms: int) -> str:
    return f"{stamp} {customer_id} {path} {status} {duration_ms // 1000}.{duration_ms % 1000:03d}\n"
