"""Finds the settings that read the lines of a log."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from log_processor.commands.check.members import json_fields
from log_processor.commands.check.patterns import PATTERNS
from log_processor.commands.check.sample import Sample
from log_processor.commands.check.suspicions import what_looks_like
from log_processor.format_settings import FORMATS, WITH_COLUMNS, WITH_MEMBERS, LogFormat
from request_log.fields.values import NOT_LOGGED
from request_log.formats.access_log import VALUE
from request_log.formats.json_lines import DEFAULT_NAMES
from request_log.formats.presets import HEADER, PRESETS
from request_log.framing.wrappers import WRAPPERS
from request_log.requests import Parsed

_DEFAULTS = {name: field.default for name, field in LogFormat.model_fields.items()}
# Words in the names of headers that hold a customer.
_OF_CUSTOMERS = re.compile(r"customer|tenant|account|client|organi[sz]ation|company|partner|api-?key", re.IGNORECASE)
_OF_NGINX = re.compile(
    rb'"(?:request_time|time_iso8601|time_local|msec|body_bytes_sent|request_uri|request_method|remote_addr|http_\w+)"'
)
_NAME_OF_VALUE = re.compile(rb'[ "]([A-Za-z_][A-Za-z0-9_.-]*)=')
_MOST_NUMBERED = 9
"""Numbered fields that are tried."""
_OPTIONAL = ("duration", "method", "bytes")
_MANY = 10
"""In fewer lines, each may have another customer by chance."""
_MINUTE = 60
_LEAST_MS, _LEAST_WHOLE_MS = 10, 2
"""Bare durations with a median from this on are milliseconds: decimals, and whole numbers."""
# Names of members that tell the unit: durationMs, took_us, total_seconds. Loggers for Node have responseTime in ms, as
# Serilog has Elapsed, Logback elapsed_time and Kong latencies.request.
_NAMES_UNIT = {
    "ms": re.compile(
        r"(?:_|\b)(?:ms|msec|millis|milliseconds)$|(?<=[a-z])(?:Ms|MSec|Millis|Milliseconds)$"
        r"|responseTime$|\bElapsed$|elapsed_time$|latencies\.request$"
    ),
    "us": re.compile(r"_(?:us|usec|micros|microseconds)$|(?<=[a-z])(?:Us|Micros|Microseconds)$"),
    "ns": re.compile(r"_(?:ns|nanos|nanoseconds)$|(?<=[a-z])(?:Ns|Nanos|Nanoseconds)$"),
    "s": re.compile(r"_(?:s|sec|secs|seconds)$|(?<=[a-z])(?:Sec|Seconds)$"),
}
_OF_LOGRAGE = (b'"controller":', b'"action":')
"""Members by which lines of Rails' Lograge are known. Its `duration` is in ms."""


@dataclass(frozen=True)
class Found:
    settings: LogFormat
    is_unit_guessed: bool
    """Whether neither the lines nor the format tell the unit of durations."""


def find(sample: Sample) -> Found | None:
    """The settings that understand most lines; None if with no settings any line has a path and a status."""
    best, score = None, (0, 0)
    for settings in _candidates(sample):
        its_score = _score(settings.parser()(sample.data))
        if its_score[0] and its_score > score:
            best, score = settings, its_score
    if best is None:
        return None
    best = _with_customer(_with_members(best, sample), sample)
    unit = guessed_unit(best, sample)
    if unit is not None and unit != "s":
        best = _changed(best, log_duration_unit=unit)
    return Found(best, unit is not None)


def guessed_unit(settings: LogFormat, sample: Sample) -> str | None:
    """The likely unit of durations that do not name theirs; None if the settings or the lines tell it."""
    if settings.log_duration_unit or settings.log_format in ("simple", *PRESETS):
        return None
    in_seconds, in_ns = (
        _changed(settings, log_duration_unit=unit).parser()(sample.data).requests.durations for unit in ("s", "ns")
    )
    if in_seconds == in_ns:
        return None
    name = _json_names(settings).get("duration", "")
    if unit := next((unit for unit, names in _NAMES_UNIT.items() if names.search(name)), None):
        return unit
    if settings.log_format == "json" and not name and all(member in sample.data for member in _OF_LOGRAGE):
        return "ms"
    return _unit_of(sorted(Decimal(text).scaleb(9) for text in in_ns if text))


def _unit_of(numbers: Sequence[Decimal]) -> str:
    """The likely unit of bare durations, given in ascending order. Hardly any request takes a minute."""
    middle, longest = numbers[len(numbers) // 2], numbers[-1]
    are_whole = all(number == number.to_integral_value() for number in numbers)
    if are_whole and (middle >= 1_000_000 or longest >= _MINUTE * 1_000_000):
        return "ns"
    if are_whole and (middle >= 1_000 or longest >= _MINUTE * 1_000):
        return "us"
    return "ms" if middle >= (_LEAST_WHOLE_MS if are_whole else _LEAST_MS) or longest >= _MINUTE else "s"


def _candidates(sample: Sample) -> Iterator[LogFormat]:
    """The settings that are tried. Of equally good ones the first is taken."""
    for wrapper in ("", *WRAPPERS):
        if wrapper == "docker" and lacks_newlines(sample):
            continue
        as_json = _settings(log_format="json", log_wrapper=wrapper)
        lines = as_json.lines(sample.data).values()
        are_others = sum(map(_is_object_of_another, lines)) > len(lines) / 2
        for name in FORMATS:
            can_be_wrapped = not wrapper or name not in WITH_COLUMNS
            mark = PRESETS[name].mark if name in PRESETS else ""
            if name == "regex" or (name == "nginx" and are_others):
                continue
            if can_be_wrapped and mark.encode() in sample.data:
                yield _settings(log_format=name, log_wrapper=wrapper)
        for settings in PATTERNS.values():
            yield _settings(log_format="regex", log_wrapper=wrapper, **settings)
        names = json_fields(lines)
        if "time" in names:
            for name in WITH_MEMBERS:
                yield _changed(as_json, log_format=name, log_json_fields=_joined(names))


def lacks_newlines(sample: Sample) -> bool:
    """Whether records look like Docker's, but all of them are parts: Docker ends the last part of a line in a newline.
    Collectors of logs leave it out."""
    return b'"log":' in sample.data and b'\\n"' not in sample.data


def _is_object_of_another(line: bytes) -> bool:
    """Whether the line is an object without any name that only nginx has. Others have its usual names, too."""
    return line.startswith(b"{") and not _OF_NGINX.search(line)


def _score(parsed: Parsed) -> tuple[int, int]:
    """The number of requests with a path and a status, and the number of all requests."""
    requests = parsed.requests
    with_path = [path != NOT_LOGGED for path in requests.path_texts]
    good = sum(
        with_path[path] and status > 0
        for path, status in zip(requests.paths.tolist(), requests.statuses.tolist(), strict=True)
    )
    return good, len(requests)


def _with_members(settings: LogFormat, sample: Sample) -> LogFormat:
    """The settings with the names of optional members. A log may use the default names for other members."""
    if settings.log_format not in WITH_MEMBERS:
        return settings
    names = json_fields(settings.lines(sample.data).values())
    optional = {field: names[field] for field in _OPTIONAL if field in names}
    return _changed(settings, log_json_fields=_joined({**_json_names(settings), **optional}))


def _json_names(settings: LogFormat) -> dict[str, str]:
    """LOG_JSON_FIELDS: field -> member."""
    return dict(part.split("=", 1) for part in filter(None, settings.log_json_fields.split(",")))


def _with_customer(settings: LogFormat, sample: Sample) -> LogFormat:
    """The settings with another field for the customer, if that field names more customers than the default."""
    best, most = settings, _customers(settings, sample).total()
    least = 1 if not most else 2
    for changed in _other_customers(settings, sample):
        customers = _customers(changed, sample)
        named = customers.total()
        is_each_another = named >= _MANY and len(customers) == named
        if named > most and len(customers) >= least and not is_each_another and what_looks_like(customers) is None:
            best, most = changed, named
    return best


def _other_customers(settings: LogFormat, sample: Sample) -> Iterator[LogFormat]:
    if settings.log_format in WITH_MEMBERS:
        names = json_fields(settings.lines(sample.data).values())
        if "customer" in names:
            its_own = {**_json_names(settings), "customer": names["customer"]}
            yield _changed(settings, log_json_fields=_joined(its_own))
    for header in _headers(settings, sample):
        yield _changed(settings, log_customer_from=HEADER + header)
    for name in _named_values(settings, sample):
        yield _changed(settings, log_customer_from=VALUE + name)
    for name in settings.numbered_customers():
        for number in range(1, _MOST_NUMBERED + 1):
            yield _changed(settings, log_customer_from=f"{name}{number}")


def _headers(settings: LogFormat, sample: Sample) -> Iterator[str]:
    """The headers whose names hint at customers, the most frequent first."""
    shapes = PRESETS[settings.log_format].shapes if settings.log_format in PRESETS else ()
    found: Counter[str] = Counter()
    for template in (shape.header for shape in shapes if shape.header):
        before = template.partition("{")[0].rpartition(".")[2]
        for line in settings.lines(sample.data).values():
            for name in re.findall(rb'"([A-Za-z0-9_-]+)":', line):
                text = name.decode()
                if text.startswith(before) and _OF_CUSTOMERS.search(text):
                    found[text.removeprefix(before).replace("_", "-").title()] += 1
    yield from (name for name, _ in found.most_common())


def _named_values(settings: LogFormat, sample: Sample) -> Iterator[str]:
    """The names of values that hint at customers, the most frequent first."""
    if settings.has_named_values:
        found = Counter(name.decode() for name in _NAME_OF_VALUE.findall(sample.data))
        yield from (name for name, _ in found.most_common() if _OF_CUSTOMERS.search(name))


def _customers(settings: LogFormat, sample: Sample) -> Counter[str]:
    """Customer -> lines."""
    found = Counter(settings.parser()(sample.data).requests.customer_ids())
    found.pop(NOT_LOGGED, None)
    return found


def _joined(names: dict[str, str]) -> str:
    return ",".join(f"{field}={name}" for field, name in names.items() if DEFAULT_NAMES.get(field) != name)


def _settings(**values: str) -> LogFormat:
    """Settings with these values and defaults for all others, whatever the environment has."""
    return LogFormat(**{**_DEFAULTS, **values})


def _changed(settings: LogFormat, **values: str) -> LogFormat:
    return _settings(**{**{name: getattr(settings, name) for name in LogFormat.model_fields}, **values})
