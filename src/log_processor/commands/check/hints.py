"""What may help where no line is understood."""

import re
from collections.abc import Iterator

from log_processor.commands.check.finding import Found, find, lacks_newlines
from log_processor.commands.check.members import json_fields
from log_processor.commands.check.sample import Sample
from request_log.framing.wrappers import WRAPPERS
from request_log.line import MAX_LINE_BYTES
from service.printable import printable

_TIME = re.compile(rb"[0-9]{1,2}:[0-9]{2}:[0-9]{2}|(?<![0-9.])1[0-9]{9}")
_OF_IIS = re.compile(rb"[^,]+, [^,]+, [0-9./-]+, [0-9: APMapm]+, W3SVC[0-9]+, ")
_NEEDED = ("time", "path", "status")
_USUAL = "LOG_FORMAT=regex and LOG_PATTERN read lines that have a time, a path and a status, see docs/logs.md."
_MOST_PARTS = 8
"""Words at the beginning of a line that are tried as a prefix."""
_SHOWN = 100
"""Characters of a prefix that are printed."""
_LEAST_ZEROS, _MOST_ZEROS = 0.25, 0.75
"""The share of bytes that are zero in a text of two bytes a character."""
_COLUMNS = b"#Fields:"


def hints(sample: Sample) -> Iterator[str]:
    """Sentences for people. `sample`: no line of it is understood."""
    if _LEAST_ZEROS < sample.data.count(b"\0") / len(sample.data) < _MOST_ZEROS:
        yield "The lines seem to be UTF-16. Logs have to be UTF-8: `iconv -f UTF-16 -t UTF-8` converts them."
        return
    if lacks_newlines(sample):
        yield (
            'Records have a "log" without a newline at its end, so LOG_WRAPPER=docker would join them all: have the '
            "collector keep the newline, or write the lines alone."
        )
        return
    for name, framing in WRAPPERS.items():
        if any(content.data.startswith(_COLUMNS) for content in framing.contents(sample.data, "")):
            yield f"There are lines with #Fields in LOG_WRAPPER={name}: unwrap them into a file, see docs/logs.md."
            return
    if (without := _without_prefix(sample)) is not None:
        prefix, found = without
        shown = printable(prefix[:_SHOWN])
        described = found.settings.described()
        yield f"Without its beginning, {shown!r}, a line is understood as {described}: have the program leave it out."
    if _OF_IIS.match(sample.data):
        yield "This is IIS's own format, whose dates depend on the machine's language: choose W3C logging in IIS."
    elif not _TIME.search(sample.data):
        yield "The lines have no time, which a request needs: have the program log it."
    elif names := json_fields(sample.data.split(b"\n")):
        if "request" in names:
            names.setdefault("path", names["request"])
        missing = [field for field in _NEEDED if field not in names]
        what = f"no {' and no '.join(missing)}" if missing else "a time, a path and a status, but not in one line"
        yield f"The lines seem to have {what}: a request needs all three."
    yield _USUAL


def _without_prefix(sample: Sample) -> tuple[str, Found] | None:
    """What stands before a line that is understood without it, and the settings of the rest."""
    line = next((line for line in sample.data.split(b"\n") if line and len(line) <= MAX_LINE_BYTES), b"")
    words = line.split(b" ", _MOST_PARTS + 1)
    for count in range(1, len(words)):
        rest = b" ".join(words[count:])
        if rest and (found := find(Sample(rest + b"\n", False))) is not None:
            return line[: len(line) - len(rest)].decode(errors="backslashreplace"), found
    return None
