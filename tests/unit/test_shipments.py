"""What a processor takes of the records of shippers: each byte once, and in its order."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_processor.following.identity import Identity
from log_processor.kafka.shipment import (
    FilePart,
    Seen,
    Shipment,
    Undecodable,
    decode,
    encode,
    part_of,
    partition_of,
    shipped_part,
    stored_name,
)
from log_processor.kafka.shipments import (
    CONTRADICTS,
    CUTS_A_LINE,
    DAMAGED,
    MISPLACED,
    MISSING,
    NUMBERED_BEFORE,
    Shipments,
    Taken,
    sessions_text,
)
from log_processor.parsing.chunk import Overlong, Part
from storage.keys import FileKey
from storage.logs import FileRow, Gap, LedgerRow, Position
from storage.observed import ObservedEnd

PARTITIONS = 4
LOG = "web-1:orders"
PARTITION = partition_of(LOG, PARTITIONS)
TEXT = b"".join(b"line %04d\n" % number for number in range(300))


def identity(text: bytes, end: int) -> str:
    return str(Identity.sampled(7, end, lambda length, offset: text[offset : offset + length]))


def lines(start: int, end: int, number: int = 0, text: bytes = TEXT, state: str = "live") -> tuple[FilePart, bytes]:
    """The lines of a file between two offsets."""
    value = text[start:end]
    part = FilePart(number, start, end, identity(text, end), len(value), "/logs/orders", size=end, state=state)  # type: ignore[arg-type]
    return part, value


def shipment(*parts: tuple[FilePart, bytes], session: int = 1) -> tuple[Shipment, bytes]:
    return Shipment("web-1", session, PARTITIONS, "orders", tuple(part for part, _ in parts)), b"".join(
        value for _, value in parts
    )


def changed(part: tuple[FilePart, bytes], **members: Any) -> tuple[FilePart, bytes]:
    """A part that says something else of its lines."""
    return msgspec.structs.replace(part[0], **members), part[1]


def unended(part: tuple[FilePart, bytes]) -> tuple[FilePart, bytes]:
    """Lines of which the last one lacks its newline in the file."""
    return changed((part[0], part[1] + b"\n"), length=part[0].length + 1)


def shipments(*before: tuple[Shipment, bytes]) -> Shipments:
    """What has come, after a file of the log has begun."""
    some = Shipments(PARTITION, "", [], [])
    for one in (shipment(lines(0, 0)), *before):
        assert not some.take(*one).refused
    return some


def texts(taken: Taken) -> list[tuple[int, int, bytes]]:
    return [(part.start.offset, part.end.offset, text) for part, text in taken.parts]


def test_the_next_lines_of_a_file_are_taken() -> None:
    some = shipments(shipment(lines(0, 100)))
    taken = some.take(*shipment(lines(100, 300)))
    assert texts(taken) == [(100, 300, TEXT[100:300])]
    assert (taken.dropped, taken.refused, taken.begins) == ("", "", ())
    assert taken.parts[0][0] == Part(
        LOG, "/logs/orders", Position(0, 100), Position(0, 300), identity(TEXT, 300), 200, size=300
    )


def test_lines_that_came_before_are_dropped() -> None:
    some = shipments(shipment(lines(0, 300)))
    taken = some.take(*shipment(lines(100, 200)))
    assert (texts(taken), taken.dropped) == ([], "its bytes came before")


def test_of_lines_that_came_in_part_the_rest_is_taken() -> None:
    some = shipments(shipment(lines(0, 200)))
    taken = some.take(*shipment(lines(100, 300)))
    assert (texts(taken), taken.dropped) == ([(200, 300, TEXT[200:300])], "its bytes came before")


def test_the_state_of_a_file_is_news_where_its_lines_are_not() -> None:
    some = shipments(shipment(lines(0, 200)))
    (taken,) = some.take(*shipment(lines(100, 200, state="closed"))).parts
    assert (taken[0].state, taken[0].start, taken[0].end, taken[1]) == (
        "closed",
        Position(0, 200),
        Position(0, 200),
        b"",
    )


def test_what_never_came_is_a_gap() -> None:
    some = shipments(shipment(lines(0, 100)))
    taken = some.take(*shipment(lines(200, 300)))
    assert texts(taken) == [(100, 200, b""), (200, 300, TEXT[200:300])]
    assert [part.gaps for part, _ in taken.parts] == [(Gap(Position(0, 100), MISSING),), ()]


def test_a_file_whose_beginning_never_came_begins_with_a_gap() -> None:
    some = shipments()
    one = shipment(lines(100, 200, number=1))
    (begun,) = some.take(*one).begins
    assert (begun.start, begun.end, begun.gaps) == (Position(1, 100), Position(1, 100), (Gap(Position(1, 0), MISSING),))
    # Its number is stored before its lines are taken.
    assert texts(some.take(*one)) == [(100, 200, TEXT[100:200])]


def test_a_superseded_session_sends_nothing_any_more() -> None:
    some = shipments(shipment(lines(0, 100)), (Shipment("web-1", 2, PARTITIONS), b""))
    taken = some.take(*shipment(lines(100, 200)))
    assert (texts(taken), taken.dropped) == ([], "another session has superseded its session")
    assert texts(some.take(*shipment(lines(100, 200), session=2))) == [(100, 200, TEXT[100:200])]
    # Other shippers have sessions of their own.
    assert Shipments(PARTITION, some.context, [], []).sessions == {"web-1": 2}


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        ((Shipment("web-1", 1, 9, "orders"), b""), MISPLACED),
        ((Shipment("web-1", 1, 0, "orders"), b""), MISPLACED),
        (shipment((lines(100, 200)[0], b"too few")), DAMAGED),
        (shipment((FilePart(0, 100, 50, length=0), b"")), DAMAGED),
        (shipment((FilePart(0, 100, 100, "no identity"), b"")), DAMAGED),
        # Lines that would take the places of others, and one that the next record's lines would go on with.
        (shipment(changed(lines(104, 200), end=114)), DAMAGED),
        (shipment(changed(lines(104, 200), end=300)), DAMAGED),
        (shipment(lines(104, 205)), DAMAGED),
        (shipment(changed(lines(104, 200), too_long=(200, "0" * 32))), DAMAGED),
        (shipment(unended(lines(50, 104, text=TEXT[::-1]))), CONTRADICTS),
        (shipment(lines(95, 300)), CUTS_A_LINE),
        (shipment(lines(0, 10, number=1)), ""),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(refused: tuple[Shipment, bytes], reason: str) -> None:
    some = shipments(shipment(unended(lines(0, 104))))
    if refused[0].parts and refused[0].parts[0].file == 1:
        some = shipments(shipment(lines(0, 100, number=0), lines(0, 0, number=2)))
        reason = NUMBERED_BEFORE
    before = dict(some.files)
    assert some.take(*refused).refused == reason
    assert some.files == before


@pytest.mark.parametrize(
    "members",
    [
        {"session": 10**30},
        {"session": -1},
        {"shipper": "web:1"},
        {"shipper": "web-1\n"},
        {"shipper": ""},
        {"partitions": -1},
        {"log": "x" * 20_000},
        {"parts": (FilePart(-1, 0, 0),)},
        {"parts": (FilePart(2**60, 0, 0),)},
        {"parts": (FilePart(0, -1, 0),)},
        {"parts": (FilePart(0, 0, 2**60),)},
        {"parts": (FilePart(0, 0, 0, length=-1), FilePart(0, 0, 0, length=1))},
        {"parts": (FilePart(0, 0, 0, gone=10**30),)},
        {"parts": (FilePart(0, 0, 0, gaps=((0, -5, "x"),)),)},
        {"parts": (FilePart(0, 0, 1, too_long=(1, "no digest")),)},
        {"seen": (Seen("orders", 0.0, 0, 2**60, 0, 0),)},
    ],
)
def test_a_header_that_lies_cannot_be_read(members: dict[str, Any]) -> None:
    sound = Shipment("web-1", 1, PARTITIONS, "orders")
    assert decode(encode(sound)) == sound
    with pytest.raises(Undecodable):
        decode(encode(msgspec.structs.replace(sound, **members)))


def test_several_files_come_in_one_record() -> None:
    some = shipments()
    # Whoever sends lines with the beginning of their file has them taken when that is stored.
    assert some.take(*shipment(lines(0, 50, number=1))).begins
    taken = some.take(*shipment(lines(0, 50), lines(0, 0, number=2), lines(50, 80, state="closed")))
    assert texts(taken) == [(0, 50, TEXT[:50]), (0, 0, b""), (50, 80, TEXT[50:80])]
    assert some.files[FileKey(LOG, 0)].state == "closed"


def test_a_start_goes_on_where_the_rows_are() -> None:
    rows = [FileRow(LOG, 3, 0, offset=100, path="/logs/orders", identity=identity(TEXT, 100))]
    at = Position(3, 100)
    of_partition = LedgerRow("requests-0", "kafka:requests/0", at, at)
    some = Shipments(PARTITION, '{"web-1":5}', [LedgerRow(LOG, "/logs/orders", at, at, bytes=100), of_partition], rows)
    assert some.take(*shipment(lines(100, 200, number=3), session=4)).dropped
    assert texts(some.take(*shipment(lines(100, 200, number=3), session=5))) == [(100, 200, TEXT[100:200])]
    assert (set(some.logs), some.context) == ({LOG}, '{"web-1":5}')


def test_shippers_say_where_their_logs_end() -> None:
    some = shipments(shipment(lines(0, 100)))
    assert some.observed_ends(is_late=False) == []
    assert some.observed_ends(is_late=True) == [ObservedEnd(LOG, 0.0, Position(0, 0), 0, 0, 100)]
    some.take(
        Shipment("web-1", 1, 1, seen=(Seen("orders", 12.5, 0, 100, 150, 50), Seen("other", 1.0, 0, 0, 0, 0))), b""
    )
    assert some.observed_ends(is_late=True) == [ObservedEnd(LOG, 12.5, Position(0, 100), 150, 50, 100)]


def test_a_part_comes_as_it_was_sent() -> None:
    overlong = Overlong()
    overlong.add(b"x" * 70_000)
    part = Part(
        *("orders", "/logs/orders", Position(2, 5), Position(2, 70_005), identity(TEXT, 200)),
        gaps=(Gap(Position(2, 5), "reason"),),
        overlong=overlong,
        state="open",
        size=70_005,
        gone=3,
        context="a",
        context_after="b",
    )
    sent, value = shipped_part(part, b"")
    header = decode(encode(Shipment("web-1", 1, PARTITIONS, "orders", (sent,))))
    came, text = part_of("orders", header.parts[0], value)
    assert came.overlong is not None
    assert (came.overlong.length, came.overlong.beginning, came.overlong.digest.hexdigest()) == (
        70_000,
        b"x" * 1_024,
        overlong.digest.hexdigest(),
    )
    assert (text, value) == (b"", overlong.beginning)
    assert [getattr(came, name) for name in ("start", "end", "identity", "gaps", "state", "size", "gone")] == [
        getattr(part, name) for name in ("start", "end", "identity", "gaps", "state", "size", "gone")
    ]
    for damaged in (b"", b"{}", b"\xff", b'{"shipper": "a", "session": "b"}'):
        with pytest.raises(Undecodable):
            decode(damaged)


# Shippers that crash, are paused, send again and lose their disks, while files grow and are rotated.


@dataclass
class Files:
    """The files of the log, as they are on the host."""

    texts: list[bytes] = field(default_factory=lambda: [b""])

    def grow(self, pick: random.Random) -> None:
        number = pick.randrange(max(0, len(self.texts) - 2), len(self.texts))
        for _ in range(pick.randint(1, 4)):
            self.texts[number] += b"file %d line %d %s\n" % (number, len(self.texts[number]), b"x" * pick.randrange(30))

    def rotate(self) -> None:
        self.texts.append(b"")


class Shipper:
    """A shipper, as far as the topic sees it: it knows how far each file is sent, and sends on."""

    def __init__(
        self, session: int, topic: list[tuple[Shipment, bytes]], noted: tuple[int, int, list[FileRow]]
    ) -> None:
        self.session, self._topic = session, topic
        topic.append((Shipment("web-1", session, PARTITIONS), b""))
        offset, noted_by, rows = noted
        context = sessions_text({"web-1": noted_by})
        came = Shipments(PARTITION, context, [LedgerRow(LOG, "", Position(0, 0), Position(0, 0))], rows)
        for one in topic[offset:]:
            if came.take(*one).begins:
                came.take(*one)
        self.rows = {key.generation: row for key, row in came.files.items()}

    def send(self, files: Files, pick: random.Random) -> None:
        numbers = [
            number
            for number, text in enumerate(files.texts)
            if number not in self.rows or self.rows[number].offset < len(text)
        ]
        if not numbers:
            return
        number = numbers[0] if numbers[0] not in self.rows else pick.choice([n for n in numbers if n in self.rows])
        text = files.texts[number]
        start = self.rows[number].offset if number in self.rows else 0
        end = start
        if number in self.rows:
            for _ in range(pick.randint(1, 3)):
                end = text.find(b"\n", end) + 1 or end
        self._topic.append(shipment(lines(start, end, number, text), session=self.session))
        self.rows[number] = FileRow(LOG, number, start=0, offset=end, identity=identity(text, end))


class Processor:
    """A processor of the partition: it commits now and then, and starts where the commit is."""

    def __init__(self) -> None:
        self.committed: tuple[int, str, list[FileRow], dict[tuple[int, int], bytes]] = (0, "", [], {})
        self.restart()

    def restart(self) -> None:
        self.record, context, rows, counted = self.committed
        self.counted = dict(counted)
        logs = [LedgerRow(LOG, "/logs/orders", Position(0, 0), Position(0, 0))] if rows else []
        self._shipments = Shipments(PARTITION, context, logs, rows)

    def read(self, topic: list[tuple[Shipment, bytes]], records: int) -> None:
        for one in topic[self.record : self.record + records]:
            taken = self._shipments.take(*one)
            if taken.begins:
                taken = self._shipments.take(*one)
            assert not taken.refused
            assert not any(part.gaps for part, _ in taken.parts)
            for part, text in taken.parts:
                for offset, line in by_offset(part.start.offset, text):
                    key = (part.start.generation, offset)
                    assert key not in self.counted
                    self.counted[key] = line
            self.record += 1

    def commit(self) -> None:
        rows = list(self._shipments.files.values())
        self.committed = self.record, self._shipments.context, rows, dict(self.counted)


def by_offset(start: int, text: bytes) -> Iterator[tuple[int, bytes]]:
    for line in text.splitlines(keepends=True):
        yield start, line
        start += len(line)


@given(st.integers(0, 1 << 32), st.integers(20, 150))
def test_each_line_is_counted_once_whatever_happens_to_shippers_and_processors(seed: int, steps: int) -> None:
    pick = random.Random(seed)
    files, topic, processor = Files(), list[tuple[Shipment, bytes]](), Processor()
    shipper = Shipper(1, topic, (0, 0, []))
    paused: list[Shipper] = []
    noted: tuple[int, int, list[FileRow]] = (0, 0, [])
    for step in range(steps):
        deed = pick.choices(
            ["grow", "send", "rotate", "crash", "pause", "zombie", "note", "read", "commit", "restart"],
            [6, 8, 1, 1, 1, 2, 1, 6, 2, 1],
        )[0]
        if deed == "grow":
            files.grow(pick)
        elif deed == "send":
            shipper.send(files, pick)
        elif deed == "rotate":
            files.rotate()
        elif deed in ("crash", "pause"):
            paused += [shipper] if deed == "pause" else []
            shipper = Shipper(2 + step, topic, noted)
        elif deed == "zombie" and paused:
            pick.choice(paused).send(files, pick)
        elif deed == "note":
            # The shipper's own disk may be lost: what it knows is in the topic.
            noted = len(topic), shipper.session, list(shipper.rows.values())
        elif deed == "read":
            processor.read(topic, pick.randint(1, 5))
        elif deed == "commit":
            processor.commit()
        elif deed == "restart":
            processor.restart()
    while any(
        number not in shipper.rows or shipper.rows[number].offset < len(text) for number, text in enumerate(files.texts)
    ):
        shipper.send(files, pick)
    processor.read(topic, len(topic))
    expected = {
        (number, offset): line for number, text in enumerate(files.texts) for offset, line in by_offset(0, text)
    }
    assert processor.counted == expected


def test_names_tell_shippers_apart() -> None:
    assert stored_name("web-1", "orders") == LOG
    # By the CRC-32 of the name.
    assert [partition_of(LOG, count) for count in (1, 3, 4, 6)] == [0, 0, 1, 3]
