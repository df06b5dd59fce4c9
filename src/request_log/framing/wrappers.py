"""What stands around the lines of a log: put there by the runtime of a container, or by syslog.

CRI (containerd, CRI-O) https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
Docker's json-file      https://docs.docker.com/engine/logging/drivers/json-file/
syslog                  https://www.rfc-editor.org/rfc/rfc3164 and https://www.rfc-editor.org/rfc/rfc5424

A runtime cuts a long line into parts, each of which is a line of the file. Parts of the container's two streams may lie
among each other. The line stands where its first part does.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from pydantic_core import from_json

from request_log.framing.content import Content
from request_log.framing.protocol import Framing, Plain, Read, Whole, whole_lines
from request_log.framing.scanning import is_any_too_long, starts_of
from request_log.line import MAX_LINE_BYTES, Reason
from request_log.requests import Rejected

MAX_SPAN_BYTES = 4 * MAX_LINE_BYTES
"""Of the file, from a line's first part to its last. What comes among the parts waits for the last one, in memory; so a
line whose parts lie further apart is too long."""

_STREAMS = (b"stdout", b"stderr")
_CRI = re.compile(
    rb"\n[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2}) "
    rb"(?P<stream>stdout|stderr) (?P<tag>[FP])(?::[^ \n]*)? "
)
_LAST_CRI = re.compile(_CRI.pattern.replace(b"[FP]", b"F"))
# A date and time with or without the year, perhaps the host, the program and perhaps its number.
_SYSLOG = re.compile(
    rb"\n(?:<[0-9]{1,3}>)?(?:"
    rb"(?:[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}"
    rb"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2}))"
    rb" (?:[^ \n]*[^ :\n] )?[^ :\[\n]{1,128}(?:\[[^ \]\n]{0,128}\])?:(?: |(?=\n))"
    # RFC 5424: a version, then date and time, host, program, process, message and structured data. rsyslog writes a
    # second space behind them, of what came to it by RFC 3164.
    rb"|1 (?:-|[0-9]{4}-[0-9]{2}-[0-9]{2}T[^ \n]{1,48}) [^ \n]{1,255} [^ \n]{1,128} [^ \n]{1,128} [^ \n]{1,128} "
    rb'(?:-|(?:\[[^ ="\]\n]+(?: [^ ="\]\n]+="(?:[^"\\\]\n]|\\[^\n])*")*\])+)(?: (?:\xef\xbb\xbf)? ?|(?=\n))'
    rb")"
)


class _Part(NamedTuple):
    """What a line of the file holds."""

    stream: bytes
    is_last: bool
    """Whether it ends a line of the log."""
    text: bytes


@dataclass(slots=True)
class _Line:
    """A line of the log, as far as its parts came."""

    place: int
    texts: list[bytes] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    length: int = 0
    reason: Reason | None = None
    """Why it is rejected."""

    def add(self, text: bytes, part: bytes) -> None:
        self.texts.append(text)
        self.parts.append(part)
        self.length += len(text)

    def rejected(self) -> Rejected:
        assert self.reason is not None
        return Rejected(self.place, self.reason, b"\n".join(self.parts))


class _Joining:
    """Puts lines together from their parts."""

    def __init__(self, context: str, part_of: Callable[[bytes], _Part | None]) -> None:
        self._part_of = part_of
        self.open: dict[bytes, _Line] = {}
        """By stream: lines whose last part has not come."""
        self._cut: set[bytes] = set(context.encode().split()).intersection(_STREAMS)
        """Streams of whose line more parts come that are left out: it is rejected, or began before."""

    @property
    def context(self) -> str:
        """The streams of whose line more parts come that are not taken."""
        return b" ".join(sorted(self._cut | self.open.keys())).decode()

    def take_all(self, data: bytes) -> Iterator[tuple[_Line | None, int]]:
        """Take the file's next lines: after each of them the log's line that has begun with it, and the place behind
        it in `data`."""
        place = 0
        for line in data.split(b"\n")[:-1]:
            begun = self._take(line, place)
            place += len(line) + 1
            yield begun, place

    def _take(self, line: bytes, place: int) -> _Line | None:
        """Take the file's next line, which begins at a place: the log's line that has begun with it."""
        if line.startswith(b"\0") or len(line) > MAX_LINE_BYTES:
            # Behind a hole nothing goes on. And a line that is too long need not be held: nobody knows what it is.
            self.open.clear()
            self._cut.clear()
            line = line.lstrip(b"\0")
        if len(line) > MAX_LINE_BYTES:
            return _Line(place, parts=[line], reason=Reason.TOO_LONG)
        part = self._part_of(line)
        if part is None:
            return _Line(place, parts=[line], reason=Reason.FIELDS)
        begun = None
        if part.stream in self._cut:
            if part.is_last:
                self._cut.remove(part.stream)
        else:
            of_stream = self.open.get(part.stream)
            if of_stream is None:
                of_stream = begun = self.open[part.stream] = _Line(place)
            of_stream.add(part.text, line)
            if part.is_last:
                del self.open[part.stream]
            if of_stream.length > MAX_LINE_BYTES:
                self._reject(part.stream, of_stream)
        if self.open:
            end = place + len(line) + 1
            for stream, of_stream in list(self.open.items()):
                if end - of_stream.place > MAX_SPAN_BYTES:
                    self._reject(stream, of_stream)
        return begun

    def _reject(self, stream: bytes, line: _Line) -> None:
        line.reason = Reason.TOO_LONG
        if self.open.pop(stream, None) is not None:
            self._cut.add(stream)


class Container:
    """A `Framing`: lines of a container's two streams."""

    has_parts = True
    has_context = True

    def __init__(
        self,
        part_of: Callable[[bytes], _Part | None],
        may_have_parts: Callable[[bytes], bool],
        texts_of: Callable[[bytes], bytes | None],
    ) -> None:
        """`part_of`: what a line of the file holds, None where it is not wrapped as it should be. `may_have_parts`:
        False only where each of these lines is a whole one. `texts_of`: what lines hold that are all whole ones and
        wrapped as they should be; None where that is not so, or is not quickly found out."""
        self._part_of = part_of
        self._may_have_parts = may_have_parts
        self._texts_of = texts_of

    def whole(self, data: bytes, context: str, least: int = 0) -> Whole:
        """See Framing."""
        if not context and not self._may_have_parts(data):
            return whole_lines(data, "", least)
        joining = _Joining(context, self._part_of)
        found = Whole(0, 0, context)
        for number, (_, place) in enumerate(joining.take_all(data), 1):
            if not joining.open:
                found = Whole(place, number, joining.context)
                if 0 < least <= number:
                    break
        return found

    def after(self, data: bytes, context: str) -> str:
        """See Framing."""
        if not context and not self._may_have_parts(data):
            return ""
        joining = _Joining(context, self._part_of)
        for _ in joining.take_all(data):
            pass
        return joining.context

    def after_hole(self, context: str) -> str:
        """See Framing."""
        return ""

    def context_at(self, read: Read, offset: int) -> str:
        """See Framing. A line's parts lie no further apart than MAX_SPAN_BYTES."""
        start = max(0, offset - MAX_SPAN_BYTES)
        lines = read(offset - start, start).split(b"\n")[1 if start else 0 : -1]
        is_in_line: dict[bytes, bool] = {}
        for line in lines:
            if line.startswith(b"\0") or len(line) > MAX_LINE_BYTES:
                is_in_line.clear()
            if len(line) <= MAX_LINE_BYTES and (part := self._part_of(line.lstrip(b"\0"))) is not None:
                is_in_line[part.stream] = not part.is_last
        return b" ".join(sorted(stream for stream, is_one in is_in_line.items() if is_one)).decode()

    def contents(self, data: bytes, context: str) -> Iterable[Content]:
        """See Framing."""
        starts = starts_of(data)
        if not context and not is_any_too_long(data, starts):
            texts = self._texts_of(data)
            if texts is not None:
                return (Content(texts, starts),)
        joining = _Joining(context, self._part_of)
        lines = [begun for begun, _ in joining.take_all(data) if begun is not None]
        good = [line for line in lines if line.reason is None]
        return (
            Content(
                b"".join(b"".join(line.texts) + b"\n" for line in good),
                np.array([line.place for line in good], np.int64),
                rejected=[line.rejected() for line in lines if line.reason is not None],
                in_parts={line.place: b"\n".join(line.parts) for line in good if len(line.parts) > 1},
            ),
        )


class Syslog(Plain):
    """A `Framing`: lines behind a header of syslog, each of them whole."""

    def contents(self, data: bytes, context: str) -> Iterable[Content]:
        """See Framing."""
        starts = starts_of(data)
        texts, found = _SYSLOG.subn(b"\n", b"\n" + data)
        if found == len(starts) and not is_any_too_long(data, starts):
            return (Content(texts[1:], starts),)
        good: list[tuple[bytes, int]] = []
        rejected = []
        for line, place in zip(data.split(b"\n")[:-1], starts.tolist(), strict=True):
            match = _SYSLOG.match(b"\n" + line + b"\n")
            if match is not None and len(line) <= MAX_LINE_BYTES:
                good.append((line[match.end() - 1 :], place))
            else:
                reason = Reason.FIELDS if len(line) <= MAX_LINE_BYTES else Reason.TOO_LONG
                rejected.append(Rejected(place, reason, line))
        places = np.array([place for _, place in good], np.int64)
        return (Content(b"".join(line + b"\n" for line, _ in good), places, rejected=rejected),)


def _cri_part(line: bytes) -> _Part | None:
    match = _CRI.match(b"\n" + line)
    if match is None:
        return None
    return _Part(match["stream"], match["tag"] == b"F", line[match.end() - 1 :])


def _may_have_cri_parts(data: bytes) -> bool:
    return b" stdout P" in data or b" stderr P" in data


def _cri_texts(data: bytes) -> bytes | None:
    texts, found = _LAST_CRI.subn(b"\n", b"\n" + data)
    return texts[1:] if found == data.count(b"\n") else None


def _docker_part(line: bytes) -> _Part | None:
    try:
        record = from_json(line)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    text, stream = record.get("log"), record.get("stream")
    if not isinstance(text, str) or stream not in ("stdout", "stderr"):
        return None
    is_last = text.endswith("\n")
    held = text.removesuffix("\n").encode()
    return None if b"\n" in held else _Part(stream.encode(), is_last, held)


def _may_have_docker_parts(data: bytes) -> bool:
    """Whether not every line's log ends in a newline, or that is not plain to see."""
    return b'\\\\n","' in data or not all(b'\\n","stream":"std' in line for line in data.split(b"\n")[:-1])


def _docker_texts(data: bytes) -> bytes | None:
    texts = []
    for part in map(_docker_part, data.split(b"\n")[:-1]):
        if part is None or not part.is_last:
            return None
        texts.append(part.text)
    return b"".join(text + b"\n" for text in texts)


WRAPPERS: dict[str, Framing] = {
    "cri": Container(_cri_part, _may_have_cri_parts, _cri_texts),
    "docker": Container(_docker_part, _may_have_docker_parts, _docker_texts),
    "syslog": Syslog(),
}
"""By the names of the setting LOG_WRAPPER."""
