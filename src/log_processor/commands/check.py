"""Tries a log's first lines, and shows what is understood of them and what would be rejected."""

import sys
import time
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from log_processor.clock import Clock
from log_processor.following.compressed import NoLog, opened
from log_processor.log_format import LogFormat, Name
from log_processor.settings import ProcessorSettings
from request_log.line import MAX_LINE_BYTES
from request_log.requests import NONE, Rejected, Requests
from request_log.values import NOT_LOGGED

_LINES = 1_000
_MOST_SHOWN = 5
_SHOWN_OF_A_LINE = 200
# Those that need no setting of their own.
_GUESSES: tuple[Name, ...] = ("simple", "common", "combined", "json")


def check(settings: ProcessorSettings, path: Path) -> int:
    """Print what is understood of a file's first thousand lines. The exit status: 0 where none would be rejected."""
    try:
        with opened(path) as file:
            lines = list(islice(iter(lambda: file.readline(MAX_LINE_BYTES + 2), b""), _LINES))
    except NoLog as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    data = b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)
    clock = Clock(newest=0, modified=path.stat().st_mtime)
    requests, rejected, *_ = settings.parser()(
        data, 0, clock.oldest_day(settings.retention_days), clock.latest_second()
    )
    print(f"{path}: {len(requests):,} of {len(lines):,} lines are understood as LOG_FORMAT={settings.log_format}.")  # noqa: T201
    for line in (*_understood(requests), *_rejected(data, rejected), *_better(settings, data, len(requests))):
        print(line)  # noqa: T201
    return 0 if lines and not rejected else 1


def _understood(requests: Requests) -> Iterable[str]:
    if not requests:
        return
    times = [
        time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at)) for at in (requests.seconds.min(), requests.seconds.max())
    ]
    fraction = ", with fractions of a second" if (requests.milliseconds != NONE).any() else ""
    yield f"  times      {times[0]} to {times[1]} UTC{fraction}"
    customers = Counter(requests.customer_ids())
    yield f"  customers  {len(customers):,}: {_most(customers)}"
    if customers[NOT_LOGGED]:
        yield f"             {customers[NOT_LOGGED]:,} lines have none, and count under {NOT_LOGGED}"
    yield f"  paths      {_most(Counter(requests.to_count().request_paths()))}"
    yield f"  statuses   {_most(Counter(map(str, requests.statuses.tolist())))}"
    timed = sorted(requests.latencies[requests.latencies != NONE].tolist())
    if timed:
        yield f"  durations  {timed[0] / 1000} to {timed[-1] / 1000} s, in the middle {timed[len(timed) // 2] / 1000} s"
    if len(timed) < len(requests):
        yield f"             {len(requests) - len(timed):,} lines have none"


def _most(counted: Counter[str]) -> str:
    shown = ", ".join(f"{name} ({count:,})" for name, count in counted.most_common(_MOST_SHOWN))
    return shown + (", ..." if len(counted) > _MOST_SHOWN else "")


def _rejected(data: bytes, rejected: list[Rejected]) -> Iterable[str]:
    for reason, count in Counter(line.reason for line in rejected).most_common():
        yield f"Rejected as {reason.value}: {count:,}"
        for line in islice((line for line in rejected if line.reason is reason), _MOST_SHOWN):
            number = data.count(b"\n", 0, line.offset) + 1
            yield f"  line {number}: {line.line[:_SHOWN_OF_A_LINE].decode(errors='backslashreplace')!r}"


def _better(settings: ProcessorSettings, data: bytes, understood: int) -> Iterable[str]:
    """The formats that more lines are in."""
    for name in _GUESSES:
        # None of what is set for another format.
        guess = LogFormat(
            log_format=name, log_pattern="", log_json_fields="", log_customer_from="", log_duration_unit="s"
        )
        found, *_ = guess.parser()(data, 0, 0)
        if len(found) > understood:
            yield f"LOG_FORMAT={name} would understand {len(found):,} of these lines."
