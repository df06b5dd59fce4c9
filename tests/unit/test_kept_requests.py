"""Which requests are stored."""

import pytest

from log_processor.parsing.batch import after_storing, parse_chunk
from log_processor.parsing.chunk import Chunk, Part
from log_processor.storing.kept_requests import note_kept, preparing
from memory_store import MemoryStorage, MemoryStore
from request_log.formats import simple
from request_log.line import SECONDS_A_DAY
from storage.kept import Change, KeptRequests, changed, decode_kept, encode_kept, least_kept, merged
from storage.logs import Position
from storage.requests import FileId

DAY = SECONDS_A_DAY
LINES = b"".join(
    f"2026-11-24 12:00:{second:02d} {customer} /a/{second} {status} 0.1\n".encode()
    for second, (customer, status) in enumerate(
        [("a", 200), ("b", 500), ("c", 301), ("b", 404), ("refused", 500), ("a", 500)]
    )
)


@pytest.mark.parametrize(("kept", "seconds"), [("all", [0, 1, 2, 3, 5]), ("failed", [1, 3, 5]), ("none", [])])
def test_only_these_requests_are_stored_and_all_are_counted(kept: KeptRequests, seconds: list[int]) -> None:
    store = MemoryStore(["refused"])
    storage = MemoryStorage(store)
    storage.acquire()
    part = Part("log", "/log", Position(0, 0), Position(0, len(LINES)), "", len(LINES))
    # In pieces of a line or two.
    batch = parse_chunk(
        Chunk((part,), LINES), simple.parse, 0, lambda *_: FileId("log", 0, 0, 0), preparing(kept, storage.prepare), 50
    )
    batch = after_storing(batch, batch.store())
    assert sorted(found.logged.second % 60 for found in store.requests.values()) == seconds
    assert {(found.customer, found.logged.path) for found in store.requests.values()} == {
        (["a", "b", "c", "b", "", "a"][second], f"/a/{second}") for second in seconds
    }
    # What the store refuses is rejected and not counted; what is not stored is counted.
    assert batch.parts[0].stored == len(batch.requests) == (6 if kept == "none" else 5)
    rejected = [line.line for line in batch.parts[0].rejected]
    assert rejected == ([] if kept == "none" else [LINES.splitlines()[4]])


def test_a_change_of_the_setting_is_noted_once() -> None:
    storage = MemoryStorage(MemoryStore())
    storage.acquire()
    for now, kept in ((100, "all"), (200, "failed"), (300, "failed"), (400, "none"), (500, "all")):
        note_kept(storage, kept, now + 0.5, 0)  # type: ignore[arg-type]
    assert storage.read_state("requests") == '[[200,"failed"],[400,"none"],[500,"all"]]'


def test_what_is_stored_of_a_time_is_the_least_since_then() -> None:
    changes = [Change(2 * DAY, "none"), Change(4 * DAY, "failed"), Change(5 * DAY, "all")]
    found = [least_kept(changes, int(start * DAY)) for start in (0, 2, 4, 5, 5.9, 6)]
    # Lines of a day later may have been read before the change.
    assert found == ["none", "none", "none", "failed", "failed", "all"]
    assert least_kept(changes[:2], 0) == "none"
    assert least_kept(changes[:2], 9 * DAY) == "failed"
    assert least_kept([], 0) == "all"


def test_changes_of_expired_times_are_left_out() -> None:
    changes = [Change(2 * DAY, "failed"), Change(4 * DAY, "none"), Change(5 * DAY, "all")]
    assert changed(changes, "all", 9 * DAY, 5 * DAY) == changes
    assert changed(changes, "all", 9 * DAY, 5 * DAY + 1) == changes[1:]
    assert changed(changes, "all", 9 * DAY, 6 * DAY) == changes[1:]
    # From here on all requests that are kept are stored.
    assert changed(changes, "all", 9 * DAY, 6 * DAY + 1) == []
    assert changed(changes, "failed", 9 * DAY, 6 * DAY + 1) == [Change(9 * DAY, "failed")]
    assert changed(changes[:1], "failed", 9 * DAY, 6 * DAY) == changes[:1]
    assert decode_kept(encode_kept(changes)) == changes
    assert decode_kept("") == []


def test_two_writers_together_have_what_both_have() -> None:
    assert merged([Change(200, "failed")], []) == [Change(200, "failed")]
    assert merged([Change(200, "failed"), Change(500, "all")], [Change(300, "none"), Change(400, "failed")]) == [
        Change(200, "failed"),
        Change(300, "none"),
        Change(400, "failed"),
    ]
    assert merged([], []) == []
