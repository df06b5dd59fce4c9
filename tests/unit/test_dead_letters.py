"""The files of rejected lines."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import pytest

from chunks import chunk_of
from log_processor.parsing.batch import Batch, parse_chunk
from log_processor.parsing.chunk import Chunk, Overlong
from log_processor.storing.dead_letters import ALL, DeadLetters
from log_processor.storing.kept_lines import KeptLines
from request_log.formats.simple import parse
from request_log.line import Reason
from storage.errors import LeaseHeld
from storage.keys import FileKey
from storage.logs import FileRow
from storage.requests import FileId
from stores import to_no_store

MAX_BYTES = 1_024
DAY = 86_400.0

OpenLetters = Callable[..., DeadLetters]


def batch(*lines: bytes, log: str = "log", generation: int = 0, offset: int = 0) -> Batch:
    data = b"".join(line + b"\n" for line in lines)
    return parsed(chunk_of(data, offset, log, generation))


def parsed(chunk: Chunk) -> Batch:
    return parse_chunk(chunk, parse, 0, lambda log, generation: FileId(log, generation, 0, 0), to_no_store)


def row(offset: int, generation: int = 0, log: str = "log") -> FileRow:
    return FileRow(log, generation, offset=offset)


def entries(path: Path) -> list[dict[str, Any]]:
    """Without the times at which they were written."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in entry.items() if name != "time"} for entry in found]


def all_entries(path: Path) -> list[dict[str, Any]]:
    """Of all files, oldest first."""
    older = sorted(path.parent.glob(f"{path.name}.*"), reverse=True)
    return [entry for file in [*older, path] for entry in entries(file)]


@pytest.fixture
def open_letters(path: Path) -> Iterator[OpenLetters]:
    """Opens them, as a processor does at its start."""
    opened: list[DeadLetters] = []

    def open_letters(
        *files: FileRow,
        max_bytes: int = MAX_BYTES,
        check_lease: Callable[[], None] = lambda: None,
        kept: KeptLines = ALL,
        oldest_day: int = 0,
        now: float = 0.0,
    ) -> DeadLetters:
        rows = {FileKey(row.log, row.generation): row for row in files}
        opened.append(DeadLetters(path, max_bytes, rows, check_lease, kept, lambda: oldest_day, lambda: now))
        return opened[-1]

    yield open_letters
    for letters in opened:
        letters.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "dead_letters.jsonl"


def test_a_line_is_kept_with_its_position_and_its_reason(open_letters: OpenLetters, path: Path) -> None:
    letters = open_letters()
    letters.write(batch(b"what is this", b"", log="a/log", generation=3, offset=100))
    assert entries(path) == [
        {"log": "a/log", "generation": 3, "offset": 100, "reason": "fields", "length": 12, "line": "what is this"},
        {"log": "a/log", "generation": 3, "offset": 113, "reason": "empty", "length": 0, "line": ""},
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe and \xc3\xbc",
        bytes([*range(10), *range(11, 256)]),
        b"\xed\xb3\xbf",
        b'"\\u0041\\',
        b"\r",
        b"\xe2\x80\xa8",
    ],
)
def test_the_bytes_come_back(open_letters: OpenLetters, path: Path, line: bytes) -> None:
    open_letters().write(batch(line))
    (entry,) = entries(path)
    assert entry["line"].encode(errors="surrogateescape") == line
    assert entry["length"] == len(line)
    # A terminal shows it, and a text tool has one line of it.
    assert all(32 <= byte < 127 for byte in path.read_bytes()[:-1])


def test_of_a_line_that_is_too_long_the_beginning_is_kept_and_the_hash_of_all(
    open_letters: OpenLetters, path: Path
) -> None:
    line = bytes(range(32, 127)) * 1_000
    not_held = Overlong()
    for start in range(0, len(line), 10_000):
        not_held.add(line[start : start + 10_000])
    letters = open_letters(max_bytes=1_000_000)
    letters.write(parsed(chunk_of(not_held)))
    letters.write(batch(line, offset=len(line) + 1))
    for entry in entries(path):
        assert entry["reason"] == "too_long"
        assert entry["length"] == len(line)
        assert entry["line"].encode() == line[:1024]
        assert entry["blake2b"] == blake2b(line, digest_size=16).hexdigest()


def test_at_its_size_a_file_is_rotated_and_five_are_kept(open_letters: OpenLetters, path: Path) -> None:
    letters = open_letters()
    # Most in one batch: what a batch holds is not bounded by the size of a file.
    letters.write(batch(*(b"%d" % n for n in range(100))))
    for n in range(100, 120):
        letters.write(batch(b"%d" % n, offset=10_000 + n))
    files = sorted(file.name for file in path.parent.iterdir())
    assert files == ["dead_letters.jsonl", *(f"dead_letters.jsonl.{n}" for n in range(1, 5))]
    assert all(file.stat().st_size < MAX_BYTES + 150 for file in path.parent.iterdir())
    kept = [int(entry["line"]) for entry in all_entries(path)]
    assert kept == list(range(120 - len(kept), 120))


def test_lines_that_are_read_again_after_a_crash_are_not_doubled(open_letters: OpenLetters, path: Path) -> None:
    lines = [b"%d" % n for n in range(45)]
    open_letters(max_bytes=1_300).write(batch(*lines))
    # The ledger is further back, in a file that was rotated since; the lines come in other batches now.
    again = open_letters(row(offset=60), max_bytes=1_300)
    again.write(batch(*lines[25:40], offset=65))
    again.write(batch(*lines[40:], b"new", offset=110))
    assert [entry["line"] for entry in all_entries(path)] == [*(str(n) for n in range(45)), "new"]


def test_what_was_too_new_and_is_read_again_is_known(open_letters: OpenLetters) -> None:
    line = b"2026-11-24 12:00:00 cust /path 200 0.1"
    for offset in (0, 100, 200):
        chunk = chunk_of(line + b"\nbad\n", offset, "one", 2)
        found = parse_chunk(chunk, parse, 0, lambda log, generation: FileId(log, generation, 0, 0), to_no_store)
        assert found.requests
        too_new = parse_chunk(
            chunk, parse, 0, lambda log, generation: FileId(log, generation, 0, 0), to_no_store, latest_second=0
        )
        open_letters().write(too_new)
    assert open_letters(row(100, 2, "one")).too_new == {("one", 2): {100: ALL.mark(line), 200: ALL.mark(line)}}
    assert open_letters(row(300, 2, "one")).too_new == {}


def test_each_log_is_on_its_own(open_letters: OpenLetters, path: Path) -> None:
    letters = open_letters()
    letters.write(batch(b"a", b"b", log="one", offset=500))
    again = open_letters()
    again.write(batch(b"a", b"b", log="two"))
    again.write(batch(b"b", b"c", log="one", offset=502))
    assert [(entry["log"], entry["line"]) for entry in entries(path)] == [
        ("one", "a"),
        ("one", "b"),
        ("two", "a"),
        ("two", "b"),
        ("one", "c"),
    ]


def test_a_store_that_begins_again_keeps_new_lines_at_lower_positions(open_letters: OpenLetters, path: Path) -> None:
    open_letters().write(batch(b"old", generation=4, offset=700))
    # The store was emptied, so the log's generations count from 0 again.
    again = open_letters()
    again.write(batch(b"new", generation=0, offset=20))
    again.write(batch(b"other", generation=4, offset=700))
    assert [entry["line"] for entry in entries(path)] == ["old", "new", "other"]


@pytest.mark.parametrize("kept", range(1, 85, 7))
def test_a_half_written_last_entry_is_written_again(open_letters: OpenLetters, path: Path, kept: int) -> None:
    open_letters().write(batch(b"first", b"second"))
    whole = path.read_bytes()
    first = whole[: whole.index(b"\n") + 1]
    path.write_bytes(first + whole[len(first) :][:kept])
    open_letters(row(offset=0)).write(batch(b"first", b"second"))
    assert path.read_bytes() == whole


def test_lines_that_somebody_wrote_into_the_file_do_no_harm(open_letters: OpenLetters, path: Path) -> None:
    open_letters().write(batch(b"first", b"second"))
    strange = b'\x00\x00\nnot json\n[]\n{"log": "log"}\n{"log": [], "generation": 0, "offset": "x"}\n'
    strange += b'{"log": "log", "generation": 1e999, "offset": 0}\n'
    path.write_bytes(strange + path.read_bytes())
    open_letters().write(batch(b"first", b"second", b"third"))
    assert [json.loads(line)["line"] for line in path.read_bytes().splitlines()[-3:]] == ["first", "second", "third"]


def test_a_pipe_in_the_place_of_a_file_holds_nothing_up(open_letters: OpenLetters, path: Path) -> None:
    letters = open_letters()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match=path.name):
        letters.write(batch(b"first"))
    path.unlink()
    rotated = path.with_name(f"{path.name}.1")
    os.mkfifo(rotated)
    with pytest.raises(FileExistsError, match=rotated.name):
        open_letters()


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_was_taken_away_is_made_again(open_letters: OpenLetters, path: Path, how: str) -> None:
    letters = open_letters()
    letters.write(batch(b"first"))
    taken = path.replace(path.with_name("taken"))
    if how == "replaced":
        path.write_bytes(b"")
    letters.write(batch(b"second", offset=6))
    letters.sync()
    assert [entry["line"] for entry in entries(taken)] == ["first"]
    assert [entry["line"] for entry in entries(path)] == ["second"]


def test_one_that_has_lost_the_lease_writes_nothing_more(open_letters: OpenLetters, path: Path) -> None:
    def is_held() -> None:
        raise LeaseHeld("taken over")

    predecessor = open_letters(check_lease=is_held)
    predecessor.write(batch(b"first"))
    successor = open_letters(row(offset=0))
    with pytest.raises(LeaseHeld):
        predecessor.write(batch(b"second", offset=6))
    successor.write(batch(b"first", b"second"))
    assert [entry["line"] for entry in entries(path)] == ["first", "second"]


def test_what_a_predecessor_writes_when_it_is_continued_goes_nowhere(open_letters: OpenLetters, path: Path) -> None:
    path.parent.mkdir()
    with path.open("ab") as of_predecessor:
        fcntl.flock(of_predecessor, fcntl.LOCK_EX)
        open_letters().write(batch(b"first"))
        # It was stopped between its look at the file and this.
        of_predecessor.write(b'{"half an entry')
    assert [entry["line"] for entry in entries(path)] == ["first"]


def test_an_error_names_the_file(open_letters: OpenLetters, path: Path) -> None:
    letters = open_letters()
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(OSError, match=str(path)):
        letters.write(batch(b"first"))


@pytest.mark.parametrize("content", [b"of somebody else", b"a line\n" * 9, b'{"no": "log"}\n', b"\x00" * 100])
@pytest.mark.parametrize("name", ["", ".1", ".4"])
def test_another_file_of_this_name_is_not_touched(
    open_letters: OpenLetters, path: Path, content: bytes, name: str
) -> None:
    foreign = path.with_name(path.name + name)
    path.parent.mkdir()
    foreign.write_bytes(content)
    with pytest.raises(FileExistsError) as raised:
        open_letters()
    assert raised.value.filename == str(foreign)
    assert foreign.read_bytes() == content


def test_what_a_link_leads_to_is_not_touched(open_letters: OpenLetters, path: Path) -> None:
    target = path.with_name("of somebody else")
    path.parent.mkdir()
    target.write_bytes(b"")
    path.symlink_to(target)
    with pytest.raises(FileExistsError, match="it is a link"):
        open_letters()
    assert target.read_bytes() == b""


def test_a_link_in_the_place_of_their_copy_has_nothing_overwritten(open_letters: OpenLetters, path: Path) -> None:
    open_letters().write(batch(b"bad"))
    target = path.with_name("of somebody else")
    target.write_bytes(b"precious")
    path.with_name(f".{path.name}.copy").symlink_to(target)
    # The first one has the file open still.
    open_letters()
    assert target.read_bytes() == b"precious"
    assert len(entries(path)) == 1


def test_only_their_owner_may_read_them(open_letters: OpenLetters, path: Path) -> None:
    open_letters().write(batch(b"bad"))
    assert path.stat().st_mode & 0o777 == 0o600


def test_letters_of_days_that_are_not_kept_are_removed_from_all_files(open_letters: OpenLetters, path: Path) -> None:
    for day in range(30):
        letters = open_letters(now=day * DAY)
        letters.write(batch(b"line of day %d" % day, offset=100 * day))
        letters.close()
    assert path.with_name(f"{path.name}.1").exists()
    letters = open_letters(oldest_day=20, now=30 * DAY)
    letters.remove_expired()
    assert [entry["line"] for entry in all_entries(path)] == [f"line of day {day}" for day in range(20, 30)]
    letters.write(batch(b"one more", offset=100 * 30))
    assert all_entries(path)[-1]["line"] == "one more"
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in path.parent.iterdir())


def test_letters_without_a_time_are_as_old_as_their_file(open_letters: OpenLetters, path: Path) -> None:
    path.parent.mkdir()
    before = [
        {"log": "log", "generation": 0, "offset": n, "reason": "fields", "length": 3, "line": "bad"} for n in (0, 4)
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in before))
    os.utime(path, (20 * DAY, 20 * DAY))
    letters = open_letters(oldest_day=20, now=40 * DAY)
    letters.remove_expired()
    assert entries(path) == before
    # Written again with that time, so later letters do not make them younger.
    letters.write(batch(b"later", offset=8))
    letters.close()
    open_letters(oldest_day=21).remove_expired()
    assert [entry["line"] for entry in entries(path)] == ["later"]


SECRET = b"token=s3cr3t"


@pytest.mark.parametrize(
    "line",
    [
        b'"GET /a?%s HTTP/1.1" 200' % SECRET,
        b'"GET /a?q=\\"x\\"&%s HTTP/1.1" 200' % SECRET,
        b'{"path": "/a?%s", "status": 200}' % SECRET,
        b'{"uri": "/a", "args": "%s", "status": 200}' % SECRET,
        b'{"uri": "/a", "query_string":"q=\\"x\\"&%s", "status": 200}' % SECRET,
        b'{"uri": "/a", "query": {"token": "s3cr3t"}, "status": 200}',
        b'{"log":"{\\"uri\\":\\"/a\\",\\"args\\":\\"%s\\",\\"status\\":200}\\n","stream":"stdout"}' % SECRET,
        b'{"log":"\\"GET /a?%s HTTP/1.1\\" 200\\n","stream":"stdout"}' % SECRET,
        b"2026-11-24 12:00:00 cust /a?%s 200" % SECRET,
        b"?%s" % SECRET,
    ],
)
@pytest.mark.parametrize("keep", ["all", "head"])
def test_a_query_that_is_dropped_is_in_no_letter(
    open_letters: OpenLetters, path: Path, line: bytes, keep: Literal["all", "head"]
) -> None:
    kept = KeptLines(keep, drops_query=True)
    open_letters(kept=kept).write(batch(line))
    assert b"s3cr3t" not in path.read_bytes()
    (entry,) = entries(path)
    assert entry["length"] == len(line)
    assert not line.endswith(b" 200") or entry["line"].endswith(" 200")
    # The letter of a line that is read again is known.
    open_letters(kept=kept).write(batch(line))
    assert len(entries(path)) == 1


def test_of_a_line_with_columns_every_parameter_is_dropped(open_letters: OpenLetters, path: Path) -> None:
    line = b"2026-11-24 12:00:00 10.0.0.1 GET /a %s 443 -" % SECRET
    open_letters(kept=KeptLines(drops_query=True, has_columns=True)).write(batch(line))
    assert entries(path)[0]["line"] == "2026-11-24 12:00:00 10.0.0.1 GET /a - 443 -"


@pytest.mark.parametrize(("keep", "line"), [("head", "x" * 100), ("none", None)])
def test_less_of_a_line_is_kept_if_that_is_set(
    open_letters: OpenLetters, path: Path, keep: Literal["head", "none"], line: str | None
) -> None:
    kept = KeptLines(keep)
    rejected = b"x" * 1_000
    open_letters(kept=kept).write(batch(rejected, b"y" * 70_000))
    first, too_long = entries(path)
    assert (first.get("line"), first["length"], first["blake2b"]) == (line, 1_000, kept.mark(rejected).hex())
    assert (too_long["reason"], too_long["length"]) == ("too_long", 70_000)
    assert len(too_long.get("line", "")) == len(line or "")


@pytest.mark.parametrize("kept", [KeptLines("none"), KeptLines("head"), KeptLines(drops_query=True)])
def test_a_line_that_was_too_new_is_known_by_its_mark(open_letters: OpenLetters, kept: KeptLines) -> None:
    line = b"2026-11-24 12:00:00 cust /path?a=1 200 0.1"

    def parsed_again(**how: Any) -> Batch:
        chunk = chunk_of(line + b"\n", 0)
        return parse_chunk(chunk, parse, 0, lambda log, generation: FileId(log, generation, 0, 0), to_no_store, **how)

    open_letters(kept=kept).write(parsed_again(latest_second=0))
    again = open_letters(kept=kept)
    batch = parsed_again(too_new=again.too_new, mark=kept.mark)
    assert [bad.reason for bad in batch.parts[0].rejected] == [Reason.TOO_NEW]
