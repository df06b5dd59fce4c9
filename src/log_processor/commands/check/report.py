"""The report of `check`: what is understood of a log, and what is not."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from log_processor.commands.check.finding import Found
from log_processor.commands.check.suspicions import suspicions
from log_processor.format_settings import LogFormat
from request_log.fields.values import LIST, NOT_LOGGED
from request_log.requests import NONE, Parsed, Rejected, Requests
from service.printable import printable

_MOST_SHOWN = 5
"""Lines, customers and so on that are printed of each kind."""
_SHOWN_OF_A_LINE = 200
"""Characters."""
_ZONE = re.compile(r"(?:Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})(?: UTC|\[[^\]]*\])?$|^[0-9.]+$", re.IGNORECASE)


def understood(found: Found, parsed: Parsed, data: bytes) -> Iterator[str]:
    """Five lines, field by field, and a summary of all lines. `data`: the lines."""
    requests = parsed.requests
    if not requests:
        return
    yield "Five of these lines:" if len(requests) >= _MOST_SHOWN else "The lines:"
    count = min(_MOST_SHOWN, len(requests))
    lines = found.settings.lines(data)
    for place in (row * (len(requests) - 1) // max(1, count - 1) for row in range(count)):
        offset = int(requests.offsets[place])
        yield f"  line {_number(data, offset)}: {shown(lines[offset])}"
        yield from (f"    {name:<9} {value}" for name, value in _fields(found, requests, place, lines[offset]))
    yield "All lines:"
    yield from _together(requests)
    for what, mended in Counter(line.what for line in parsed.mended).items():
        yield f"  mended     {what.value}: {mended:,}"
    if parsed.skipped:
        yield f"  skipped    {len(parsed.skipped):,} lines that are comments"


def _fields(found: Found, requests: Requests, place: int, line: bytes) -> Iterator[tuple[str, str]]:
    text = _time_as_logged(found.settings, line)
    is_zone_guessed = text is not None and not _ZONE.search(text)
    fraction = requests.milliseconds[place]
    at = _time(int(requests.seconds[place])) + (f".{fraction:03d}" if fraction != NONE else "")
    yield "time", f"{at} UTC{' (guessed: the line names no zone)' if is_zone_guessed else ''}"
    yield "customer", shown(requests.names[requests.customers[place]])
    if method := requests.method_texts[requests.methods[place]]:
        yield "method", method
    yield "path", shown(requests.path_texts[requests.paths[place]])
    yield "status", str(requests.statuses[place]) if requests.statuses[place] else "none: a failed request"
    if requests.latencies[place] == NONE:
        yield "duration", "none"
    else:
        unit = found.settings.duration_unit()
        guess = f" (guessed: the line names no unit, {unit} is likely)" if found.is_unit_guessed else ""
        yield "duration", f"{requests.durations[place]} s{guess}"
    if requests.sizes[place] != NONE:
        yield "bytes", str(requests.sizes[place])


def _time_as_logged(settings: LogFormat, line: bytes) -> str | None:
    """The time of a line as logged; None if the format defines the zone of its times."""
    divide = settings.divide()
    fields = divide(line.decode(errors="surrogateescape").removesuffix("\r")) if divide is not None else None
    return fields.time if fields is not None else None


def _together(requests: Requests) -> Iterator[str]:
    first, last = _time(int(requests.seconds.min())), _time(int(requests.seconds.max()))
    fraction = ", with fractions of a second" if (requests.milliseconds != NONE).any() else ""
    yield f"  times      {first} to {last} UTC{fraction}"
    customers = Counter(requests.customer_ids())
    yield f"  customers  {len(customers):,}: {_most(customers)}"
    if customers[NOT_LOGGED]:
        yield f"             {customers[NOT_LOGGED]:,} lines have none, and count under {NOT_LOGGED}"
    yield f"  paths      {_most(Counter(requests.to_count().request_paths()))}"
    yield f"  statuses   {_most(Counter(str(status or 'none') for status in requests.statuses.tolist()))}"
    timed = sorted(requests.latencies[requests.latencies != NONE].tolist())
    if timed:
        yield f"  durations  {timed[0] / 1000} to {timed[-1] / 1000} s, median {timed[len(timed) // 2] / 1000} s"
    if len(timed) < len(requests):
        yield f"             {len(requests) - len(timed):,} lines have none"


def suspicious(settings: LogFormat, requests: Requests, data: bytes) -> Iterator[str]:
    """What may be wrong although it was understood. `data`: the lines."""
    found = [*suspicions(requests), *_several_durations(settings, data)]
    if found:
        yield "Suspicious:"
        yield from (f"  {shown(sentence)}" for sentence in found)


def _several_durations(settings: LogFormat, data: bytes) -> Iterator[str]:
    """That most lines have several numbers where the duration is. These may be other things, as sizes."""
    divide = settings.divide()
    if divide is None:
        return
    divided = (divide(line.decode(errors="surrogateescape")) for line in settings.lines(data).values())
    durations = [fields.duration for fields in divided if fields is not None]
    several = [duration for duration in durations if isinstance(duration, str) and LIST.search(duration)]
    if len(several) > len(durations) / 2:
        yield f"Lines have several numbers in place of the duration, such as {several[0]}. The first number counts."


def rejected(found: Sequence[Rejected], data: bytes) -> Iterator[str]:
    """The lines that would be rejected, by reason."""
    for reason, count in Counter(line.reason for line in found).most_common():
        yield f"Rejected as {reason.value}: {count:,}"
        for line in islice((line for line in found if line.reason is reason), _MOST_SHOWN):
            yield f"  line {_number(data, line.offset)}: {shown(line.line)!r}"


def _number(data: bytes, offset: int) -> int:
    """The number of the line at an offset, from 1."""
    return data.count(b"\n", 0, offset) + 1


def _most(counted: Counter[str]) -> str:
    shown_ones = ", ".join(f"{shown(name)} ({count:,})" for name, count in counted.most_common(_MOST_SHOWN))
    return shown_ones + (", ..." if len(counted) > _MOST_SHOWN else "")


def _time(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))


def shown(text: str | bytes) -> str:
    """The beginning of a text, with escapes for unprintable characters."""
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    return printable(text[:_SHOWN_OF_A_LINE]) + ("..." if len(text) > _SHOWN_OF_A_LINE else "")
