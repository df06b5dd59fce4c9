"""Which requests are stored."""

import pytest

from log_processor.parsing.batch import parse_chunk, stored
from log_processor.parsing.chunk import Chunk, Part
from log_processor.storing.kept_requests import note_kept, preparing
from memory_store import MemoryStorage, MemoryStore
from request_log.formats import simple
from storage.kept import Change, KeptRequests, changed, decode_kept, encode_kept, least_kept, merged
from storage.logs import Position
from storage.requests import FileId

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
    batch = stored(batch, batch.store())
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
    changes = [Change(200, "failed"), Change(400, "none"), Change(500, "all")]
    found = [least_kept(changes, start) for start in (0, 250, 399, 450, 500, 501)]
    assert found == ["none", "none", "none", "none", "all", "all"]
    assert least_kept(changes[:1], 0) == least_kept(changes[:1], 900) == "failed"
    assert least_kept([], 0) == "all"


def test_changes_of_expired_times_are_left_out() -> None:
    changes = [Change(200, "failed"), Change(400, "none"), Change(500, "all")]
    assert changed(changes, "all", 900, 450) == changes[1:]
    assert changed(changes, "failed", 900, 550) == [Change(500, "all"), Change(900, "failed")]
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
