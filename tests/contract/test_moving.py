"""Moving the rows of a writer to another one."""

from rollups.counts import DailyKey, RollupKey, RollupSegmentKey
from rollups.rows import encode_rollup
from storage.contract import Storage
from storage.keys import FileKey, IntentKey, JournalKey, Key, LogKey, ObservedKey, RolledUpKey, StateKey
from storage.ledger import Ledger, encode_ledger
from storage.logs import FileRow, Position, encode_file, encode_log
from storage.observed import ObservedEnd, encode_observed_end
from storage.writers import ARCHIVE
from stored_rows import TODAY, OpenStorage, counts, intent_of, log_row, segment_of, write_segments
from stores import ask, days_of, read_daily, write_daily

OF_ALL, OF_A = DailyKey(None, TODAY), DailyKey("a", TODAY)


def write_day(storage: Storage, day: int, number: int) -> None:
    for key in (DailyKey(None, day), DailyKey("a", day)):
        write_daily(storage, {key: counts({200: number}, {number: 1})}, number)
    write_segments(storage, 7, day, segment_of("parts", number, number))


def test_a_day_is_moved_to_another_writer(open_storage: OpenStorage) -> None:
    storage, archive, other = open_storage("web-1"), open_storage(ARCHIVE), open_storage("web-2")
    for connection in (storage, archive, other):
        connection.acquire()
    write_day(storage, TODAY - 1, 3)
    write_day(storage, TODAY, 2)
    write_day(other, TODAY, 5)
    assert storage.counted_days() == [TODAY - 1, TODAY]
    daily, rollups = storage.read_day(TODAY)
    assert daily.keys() == {OF_ALL, OF_A}
    ((segment, row),) = rollups.items()
    assert segment[:3] == RollupKey(7, TODAY, "parts")
    emptied: dict[Key, str] = dict.fromkeys(daily, "2 status=H latency=H")
    archive.write_both({segment: encode_rollup(row)}, storage, {segment: "2 names={} status=H latency=H"})
    write_daily(archive, {key: counts({200: 2}, {2: 1}) for key in daily}, 9)
    archive.write_both({IntentKey(1): intent_of(1, 0, "a")}, storage, emptied)
    assert read_daily(storage, [OF_A]) == {OF_A: counts({}, {})}
    assert archive.read_rollups([RollupKey(*segment[:3])])[RollupKey(*segment[:3])] == row
    storage.remove_day(TODAY)
    assert storage.counted_days() == [TODAY - 1]
    assert storage.read_day(TODAY) == ({}, {})
    assert len(storage.read_day(TODAY - 1)[0]) == 2

    async def look(storage: Storage) -> None:
        assert (await days_of(storage, "a", 0, TODAY))[TODAY] == counts({200: 7}, {2: 1, 5: 1})
        assert len((await storage.rollups(7, ["parts"], TODAY, TODAY))[TODAY]) == 2

    ask(open_storage(), look)


def test_a_writer_is_removed_but_for_that_it_was_retired(open_storage: OpenStorage) -> None:
    for writer in ("web-1", "web-2"):
        storage = open_storage(writer)
        token = storage.acquire()
        storage.write(
            {LogKey("log"): encode_log(log_row("log", 1)), FileKey("log", 1): encode_file(FileRow("log", 1, 0, 0))},
            {RolledUpKey("log"): "[1]"},
            {ObservedKey("log"): encode_observed_end(ObservedEnd("log", 0.5, Position(0, 1), 0, 0, 0))},
            {StateKey("counts"): encode_ledger(Ledger(1)), StateKey("report"): "", StateKey("retired"): "1"},
            {IntentKey(1): intent_of(1, token, writer), JournalKey(1, 0): "1 1 a"},
        )
        if writer == "web-1":
            storage.remove_writer()
            assert storage.read_logs() == ({}, {}, {})
            assert storage.read_intent(1) == storage.read_state("counts") == ""
            assert storage.read_journal([1]) == {}
            assert storage.read_state("retired") == "1"
        storage.close()

    async def look(storage: Storage) -> None:
        assert [state.writer for state in await storage.states()] == ["web-2"]
        assert [writer for writer, _ in await storage.logs()] == ["web-2"]
        assert [writer for writer, _ in await storage.files()] == ["web-2"]
        assert [writer for writer, _ in await storage.observed_ends()] == ["web-2"]

    ask(open_storage(), look)


def test_a_segment_lies_where_its_key_says(open_storage: OpenStorage) -> None:
    storage = open_storage("web-1")
    storage.acquire()
    keys = [RollupSegmentKey(2048, TODAY, kind, segment) for kind in ("parts", "endpoints") for segment in (0, 1)]
    storage.write({key: encode_rollup(segment_of(key.kind, key.segment, 4)) for key in keys})
    _, rollups = storage.read_day(TODAY)
    assert sorted(rollups) == sorted(keys)
    assert {key: (row.kind, row.segment) for key, row in rollups.items()} == {key: key[2:] for key in keys}
