"""Finds out which fields the members of JSON objects are."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from request_log.fields.duration import Durations
from request_log.fields.escapes import text_of
from request_log.fields.timestamp import TIMESTAMPS
from request_log.fields.values import STATUSES
from request_log.formats.logfmt import read_pairs
from request_log.meanings import INVALID

_DEPTH = 4
"""Levels of objects that are searched."""
_NAME = re.compile(r"[^,=|\s]+")
_PLAIN = re.compile(r"[^a-z0-9]")
_DURATIONS = Durations("ns")
# Field -> the names that frameworks and servers give it, the likeliest first: lower case letters and digits only.
_CALLED = {
    "time": (
        "time timestamp ts timeiso8601 timelocal starttime startedat startutc datetime date requesttime "
        "requestreceivedtimestamp edgestarttimestamp reqtimesec msec timestampms t"
    ),
    "customer": (
        "customer customerid xcustomer xcustomerid tenant tenantid xtenant xtenantid account accountid org orgid "
        "organization organisation workspace clientid userid username remoteuser principal user"
    ),
    "path": (
        "path requesturi requesteduri uri url requesturl requestpath clientrequesturi csuristem resourcepath reqpath "
        "pathname target route endpoint"
    ),
    "request": "request requestline requestedurl",
    "status": (
        "status statuscode responsestatus responsecode httpstatus httpstatuscode downstreamstatus edgeresponsestatus "
        "scstatus code"
    ),
    # A latency for people names its unit.
    "duration": (
        "duration durationms durationus durationns durations durationseconds latencyhuman latency latencyms latencyus "
        "latencyns latenciesrequest responsetime responsetimems requesttime elapsed elapsedms elapsedmilliseconds "
        "elapsedtime timetaken totalns turnaroundtimemsec took tookms ms"
    ),
    "method": "method requestmethod httpmethod clientrequestmethod csmethod verb",
    "bytes": (
        "bytes bytessent bodybytessent bytesout sentbytes responsesize responsebytes responselength edgeresponsebytes "
        "scbytes size contentlength length bodysize"
    ),
}
_OF_REQUEST = re.compile(r"req", re.IGNORECASE)
"""Members whose names begin so have the size of the request, not of the response."""
_LEAST_VALID = 0.5
"""Share of valid values from which on a member may be a field."""


def _is_a(value: Any, *kinds: type) -> bool:
    # A boolean is an int, too.
    return type(value) in kinds


_CAN_BE: dict[str, Callable[[Any], bool]] = {
    "time": lambda value: _is_a(value, str, int, float) and TIMESTAMPS[str(value)].second != INVALID,
    "customer": lambda value: _is_a(value, str, int) and value != "",
    "path": lambda value: _is_a(value, str) and value.startswith(("/", "http://", "https://")),
    "request": lambda value: _is_a(value, str) and " /" in value,
    "status": lambda value: _is_a(value, str, int) and STATUSES[str(value)] > 0,
    "duration": lambda value: _is_a(value, str, int, float) and _DURATIONS[str(value)].seconds != "",
    "method": lambda value: _is_a(value, str, int) and value != "",
    "bytes": lambda value: _is_a(value, str, int) and str(value).isdecimal(),
}


def json_fields(lines: Iterable[bytes]) -> dict[str, str]:
    """Field -> the name of its member, as in LOG_JSON_FIELDS, for lines that are objects or `key=value` pairs.

    A member is chosen by its name. Its value must be valid in more than half of the objects that have it.
    """
    there: Counter[str] = Counter()
    valid: dict[str, Counter[str]] = {field: Counter() for field in _CAN_BE}
    for line in lines:
        for name, value in _members(line):
            there[name] += 1
            for field, can_be in _CAN_BE.items():
                valid[field][name] += can_be(value)
    found: dict[str, str] = {}
    for field, called in _CALLED.items():
        ranks = {name: rank for rank, name in enumerate(called.split())}
        usable = [name for name, count in valid[field].items() if count > _LEAST_VALID * there[name]]
        if field == "bytes":
            usable = [name for name in usable if not _OF_REQUEST.match(name)]
        ranked = [(ranks[plain], name.count("."), name) for name in usable for plain in _plain(name) if plain in ranks]
        taken = found.values()
        best = min((one for one in ranked if one[2] not in taken), default=None)
        if best is not None:
            found[field] = best[2]
    if "path" in found:
        found.pop("request", None)
    return found


def _plain(name: str) -> Iterator[str]:
    """The last part of a member's name, and the last two parts together, without special characters."""
    parts = name.split(".")
    yield _PLAIN.sub("", parts[-1].lower())
    yield _PLAIN.sub("", "".join(parts[-2:]).lower())


def _members(line: bytes) -> Iterator[tuple[str, Any]]:
    if not line.startswith(b"{"):
        yield from _leaves(read_pairs(text_of(line)) or {}, "", _DEPTH)
        return
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return
    yield from _leaves(record, "", _DEPTH)


def _leaves(record: Any, before: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if not (_NAME.fullmatch(name) and name.isprintable()):
            continue
        if isinstance(value, dict) and depth > 1:
            yield from _leaves(value, f"{before}{name}.", depth - 1)
        else:
            yield before + name, value[0] if isinstance(value, list) and value else value
