"""Ledgers, intents, logs and files."""

from operator import methodcaller

from storage.contract import Storage
from storage.keys import FileKey, IntentKey, JournalKey, Key, LogKey, ObservedKey, RolledUpKey, StateKey
from storage.ledger import RolledUp, decode_intent, decode_rolled_up, encode_rolled_up
from storage.logs import FileRow, Position, decode_file, decode_log, encode_file, encode_log
from storage.observed import ObservedEnd, encode_observed_end
from storage.writers import MAIN
from stored_rows import ODD_CUSTOMERS, ODD_LOGS, OpenStorage, intent_of, log_row
from stores import ask


def test_rows_of_logs_come_back(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.acquire()
    logs = [log_row(log, offset) for offset, log in enumerate(ODD_LOGS)]
    files = [
        FileRow(
            log,
            generation,
            3,
            1 << 40,
            1,
            7 * generation,
            99,
            "open",
            '/logs/ü\udcff "log"' if generation else "/logs/ü",
            'an "identity"',
            generation or None,
        )
        for log in ODD_LOGS
        for generation in (0, 12)
    ]
    through = {log: RolledUp(2, {1: offset}) for offset, log in enumerate(ODD_LOGS)}
    ends = [ObservedEnd(log, 1_700_000_000.25, Position(1, 2), 30, 40, 50) for log in ODD_LOGS]
    of_files: dict[Key, str] = {FileKey(row.log, row.generation): encode_file(row) for row in files}
    writing.write(
        {LogKey(row.log): encode_log(row) for row in logs} | of_files,
        {RolledUpKey(log): encode_rolled_up(row) for log, row in through.items()},
        {ObservedKey(row.log): encode_observed_end(row) for row in ends},
        {StateKey("report"): "[1]", StateKey("rollups_intent"): "[2]"},
    )
    writing.close()
    reading = open_storage()
    reading.acquire()
    found_logs, found_files, rolled_up = reading.read_logs()
    assert {log: decode_log(log, row) for log, row in found_logs.items()} == {row.log: row for row in logs}
    assert {key: decode_file(*key, row) for key, row in found_files.items()} == {
        FileKey(row.log, row.generation): row for row in files
    }
    assert {log: decode_rolled_up(row) for log, row in rolled_up.items()} == through
    assert (reading.read_state("report"), reading.read_state("rollups_intent")) == ("[1]", "[2]")
    assert reading.read_state("rollups") == ""

    async def look(storage: Storage) -> None:
        assert await storage.logs() == [(MAIN, row) for row in sorted(logs, key=lambda row: row.log)]
        assert await storage.observed_ends() == [(MAIN, row) for row in sorted(ends, key=lambda row: row.log)]
        assert await storage.files() == [
            (MAIN, row) for row in sorted(files, key=lambda row: (row.log, row.generation))
        ]
        (state,) = await storage.states()
        assert (state.writer, state.counts, state.rollups, state.report) == (MAIN, "", "", "[1]")

    ask(open_storage(), look)


def test_rows_of_files_are_removed(open_storage: OpenStorage) -> None:
    storage = open_storage()
    storage.acquire()
    keys = [FileKey(log, number) for log in ODD_LOGS for number in (0, 1, 12)]
    storage.write({key: encode_file(FileRow(key.log, key.generation)) for key in keys})
    storage.remove_files([FileKey(log, 1) for log in ODD_LOGS])
    storage.remove_files([])
    _, files, _ = storage.read_logs()
    assert files.keys() == {key for key in keys if key.generation != 1}


def test_observed_ends_are_replaced(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.acquire()
    for age in (5.5, 0.25):
        rows = [ObservedEnd(log, 1_700_000_000 - age, Position(1, 2), 30, 40, 50) for log in ("a", "b c")]
        writing.write({ObservedKey(row.log): encode_observed_end(row) for row in rows})
        writing.compact()
    assert ask(open_storage(), lambda storage: storage.observed_ends()) == [(MAIN, row) for row in rows]


def test_intents_are_read_from_a_place_on(open_storage: OpenStorage) -> None:
    rows: list[str] = []
    for numbers in ([1, 2, 3], [4, 5]):
        writing = open_storage()
        token = writing.acquire()
        for number in numbers:
            rows.append(intent_of(number, token, *ODD_CUSTOMERS[:number]))
            writing.write({IntentKey(number): rows[-1]})
        assert [writing.read_intent(number) for number in range(1, 7)] == [*rows, *[""] * (6 - len(rows))]
        writing.close()
    found = ask(open_storage(), lambda storage: storage.intents({MAIN: 0}))
    assert [(intent.writer, intent.number, intent.row) for intent in found] == [
        (MAIN, number, row) for number, row in enumerate(rows, 1)
    ]
    assert [intent.place for intent in found] == sorted({intent.place for intent in found})
    for first, intent in enumerate(found):
        assert ask(open_storage(), methodcaller("intents", {MAIN: intent.place})) == found[first:]


def test_of_two_intents_with_one_number_the_later_one_counts(open_storage: OpenStorage) -> None:
    for name in ("first", "second"):
        writing = open_storage()
        token = writing.acquire()
        for turn in "ab":
            writing.write({IntentKey(1): intent_of(1, token, f"{name} {turn}")})
        assert decode_intent(writing.read_intent(1)).customers == (f"{name} b",)
        writing.close()
    found = ask(open_storage(), lambda storage: storage.intents({MAIN: 0}))
    latest = {intent.number: intent.row for intent in found}
    assert decode_intent(latest[1]).customers == ("second b",)


def test_the_last_thousand_intents_are_kept(open_storage: OpenStorage) -> None:
    for first in (1, 1_001):
        writing = open_storage()
        token = writing.acquire()
        writing.write({IntentKey(number): intent_of(number, token) for number in range(first, first + 1_000)})
        writing.compact()
        writing.close()
    numbers = [intent.number for intent in ask(open_storage(), lambda storage: storage.intents({MAIN: 0}))]
    assert set(numbers) == set(range(1_001, 2_001))


def test_a_journal_comes_back(open_storage: OpenStorage) -> None:
    rows: dict[Key, str] = {JournalKey(slot, part): f"{slot} 2 {part}=" for slot in range(40) for part in (0, 1)}
    for number, writer in enumerate((MAIN, "web-1")):
        writing = open_storage(writer)
        writing.acquire()
        writing.write(rows)
        writing.write({JournalKey(3, 0): f"515 1 {number}", JournalKey(3, 1): ""})
        writing.close()
    for number, writer in enumerate((MAIN, "web-1")):
        reading = open_storage(writer)
        reading.acquire()
        assert reading.read_journal([3]) == {JournalKey(3, 0): f"515 1 {number}", JournalKey(3, 1): ""}
        assert reading.read_journal(range(40)) == rows | reading.read_journal([3])
        assert reading.read_journal([]) == reading.read_journal([99]) == {}
        # A row of this process counts, beside one of an earlier process.
        reading.write({JournalKey(4, 0): "516 1 c"})
        assert reading.read_journal([4])[JournalKey(4, 0)] == "516 1 c"
        reading.close()
