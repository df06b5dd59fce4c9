"""Wrappers: what the runtime of a container, or syslog, puts around the lines of a log.

CRI (containerd, CRI-O) https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
Docker's json-file      https://docs.docker.com/engine/logging/drivers/json-file/
syslog                  https://www.rfc-editor.org/rfc/rfc3164 and https://www.rfc-editor.org/rfc/rfc5424

A runtime cuts a long line into parts, each of which is a line of the file. The parts of the container's two streams may
alternate. The place of a line is that of its first part.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from pydantic_core import from_json

from request_log.framing.content import Content
from request_log.framing.protocol import Framing, Read, Whole
from request_log.framing.scanning import is_any_too_long, starts_of
from request_log.line import MAX_LINE_BYTES, Reason
from request_log.requests import Rejected

MAX_SPAN_BYTES = 4 * MAX_LINE_BYTES
"""Bytes of the file from the first part of a line to its last. Lines between the parts wait in memory for the last one,
so a line whose parts are further apart is too long."""

_STREAMS = (b"stdout", b"stderr")
_CRI = re.compile(
    rb"\n[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2}) "
    rb"(?P<stream>stdout|stderr) (?P<tag>[FP])(?::[^ \n]*)? "
)
_LAST_CRI = re.compile(_CRI.pattern.replace(b"[FP]", b"F"))
# A date and time with or without the year, perhaps the host, the program and perhaps its number.
_SYSLOG = re.compile(
    rb"\n(?:<[0-9]{1,3}>)?(?:"
    rb"(?:[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    rb"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2}))"
    rb" (?:[^ \n]*[^ :\n] )?[^ :\[\n]{1,128}(?:\[[^ \]\n]{0,128}\])?:(?: |(?=\n))"
    # RFC 5424: a version, then date and time, host, program, process, message and structured data. rsyslog writes a
    # second space after them, of what came to it by RFC 3164.
    rb"|1 (?:-|[0-9]{4}-[0-9]{2}-[0-9]{2}T[^ \n]{1,48}) [^ \n]{1,255} [^ \n]{1,128} [^ \n]{1,128} [^ \n]{1,128} "
    rb'(?:-|(?:\[[^ ="\]\n]+(?: [^ ="\]\n]+="(?:[^"\\\]\n]|\\[^\n])*")*\])+)(?: (?:\xef\xbb\xbf)? ?|(?=\n))'
    rb")"
)


class _Part(NamedTuple):
    """The content of a line of the file."""

    stream: bytes
    is_last: bool
    """Whether it is the last part of its line."""
    text: bytes


@dataclass(slots=True)
class _Line:
    """A line of the log, as far as its parts have come."""

    place: int
    texts: list[bytes] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    length: int = 0
    reason: Reason | None = None
    """The reason to reject it; None if it is good."""

    def add(self, text: bytes, part: bytes) -> None:
        self.texts.append(text)
        self.parts.append(part)
        self.length += len(text)

    def rejected(self) -> Rejected:
        assert self.reason is not None
        return Rejected(self.place, self.reason, b"\n".join(self.parts))


class _Joining:
    """Joins the parts of lines."""

    def __init__(self, context: str, part_of: Callable[[bytes], _Part | None]) -> None:
        self._part_of = part_of
        self.open: dict[bytes, _Line] = {}
        """Stream -> its line, if the last part has not come."""
        self._cut: set[bytes] = set(context.encode().split()).intersection(_STREAMS)
        """Streams whose next parts are dropped, up to the last one: their line is rejected, or began before."""

    @property
    def context(self) -> str:
        """The context: the streams whose line goes on."""
        return b" ".join(sorted(self._cut | self.open.keys())).decode()

    def take_all(self, data: bytes) -> Iterator[tuple[_Line | None, int]]:
        """Take the next lines of the file. Yields for each the line of the log that has begun with it, if any, and the
        place after it in `data`."""
        place = 0
        for line in data.split(b"\n")[:-1]:
            begun = self._take(line, place)
            place += len(line) + 1
            yield begun, place

    def _take(self, line: bytes, place: int) -> _Line | None:
        """Take the next line of the file, at a place. Returns the line of the log that has begun with it, if any."""
        if line.startswith(b"\0") or len(line) > MAX_LINE_BYTES:
            # No line goes on after a hole, or after a line that is too long, which readers need not hold.
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


class Container(Framing):
    """The lines of the two streams of a container."""

    has_parts = True
    has_context = True

    def __init__(
        self,
        part_of: Callable[[bytes], _Part | None],
        may_have_parts: Callable[[bytes], bool],
        texts_of: Callable[[bytes], bytes | None],
    ) -> None:
        """`part_of`: the content of a line of the file, None if it is not wrapped as it should be. `may_have_parts`: is
        False only if no line comes in parts. `texts_of`: the content of lines that are all whole and wrapped as they
        should be; None if they are not, or it would take long to find out."""
        self._part_of = part_of
        self._may_have_parts = may_have_parts
        self._texts_of = texts_of

    def whole(self, data: bytes, context: str, least: int = 0) -> Whole:
        if not context and not self._may_have_parts(data):
            return super().whole(data, "", least)
        joining = _Joining(context, self._part_of)
        found = Whole(0, 0, context)
        for number, (_, place) in enumerate(joining.take_all(data), 1):
            if not joining.open:
                found = Whole(place, number, joining.context)
                if 0 < least <= number:
                    break
        return found

    def after(self, data: bytes, context: str, begins_file: bool) -> str:
        if not context and not self._may_have_parts(data):
            return ""
        joining = _Joining(context, self._part_of)
        for _ in joining.take_all(data):
            pass
        return joining.context

    def after_hole(self, context: str) -> str:
        return ""

    def context_at(self, read: Read, offset: int) -> str:
        # The parts of a line are no further apart than MAX_SPAN_BYTES.
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


class Syslog(Framing):
    """Whole lines, each after a header of syslog."""

    def contents(self, data: bytes, context: str) -> Iterable[Content]:
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
    """Whether any text may lack its newline."""
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
"""Value of the setting LOG_WRAPPER -> framing."""
