"""Several writers of one store."""

from collections.abc import Callable
from typing import Any

from lines import CUSTOMERS, valid_lines
from rollups.counts import DailyKey, RollupKey
from rollups.figures import figures
from rollups.groups import (
    ALL_CUSTOMERS,
    ALL_OF_HOUR,
    EVERYBODY,
    group_of,
    histograms_of_endpoints,
    histograms_of_hours,
)
from storage.contract import Storage
from storage.keys import FileKey, IntentKey, LogKey, ObservedKey, RolledUpKey, StateKey
from storage.ledger import (
    Ledger,
    RolledUp,
    RollupLedger,
    decode_intent,
    decode_ledger,
    decode_rolled_up,
    decode_rollup_ledger,
    encode_ledger,
    encode_rolled_up,
    encode_rollup_ledger,
)
from storage.logs import FileRow, Position, decode_log, encode_file, encode_log
from storage.observed import ObservedEnd, encode_observed_end
from storage.writers import MAIN
from stored_rows import (
    MIDNIGHT,
    TODAY,
    OpenStorage,
    counts,
    histograms_of_endpoint_parts,
    intent_of,
    log_row,
    segment_of,
    write_segments,
)
from stores import ask, count_lines, days_of, everyone, read_daily, write_daily


def test_the_rows_of_two_writers_are_separate(open_storage: OpenStorage) -> None:
    daily, rollup = DailyKey("a", TODAY), RollupKey(7, TODAY, "parts")
    for number, writer in enumerate((MAIN, "second"), 1):
        storage = open_storage(writer)
        token = storage.acquire()
        write_daily(storage, {daily: counts({200: number}, {number: 1})}, number)
        write_segments(storage, 7, TODAY, segment_of("parts", number, number))
        storage.write(
            {
                LogKey("log"): encode_log(log_row("log", number)),
                FileKey("log", number): encode_file(FileRow("log", number, 0, 0)),
            },
            {RolledUpKey("log"): encode_rolled_up(RolledUp(number))},
            {ObservedKey("log"): encode_observed_end(ObservedEnd("log", 0.5, Position(0, number), 0, 0, 0))},
            {StateKey("counts"): encode_ledger(Ledger(number)), StateKey("report"): str(number)},
            {StateKey("rollups"): encode_rollup_ledger(RollupLedger(number))},
            {IntentKey(1): intent_of(1, token, writer)},
        )
        storage.compact()
        storage.close()
    for number, writer in enumerate((MAIN, "second"), 1):
        storage = open_storage(writer)
        storage.acquire()
        assert read_daily(storage, [daily]) == {daily: counts({200: number}, {number: 1})}
        assert storage.read_rollups([rollup]) == {rollup: segment_of("parts", number, number)}
        logs, files, rolled_up = storage.read_logs()
        assert decode_log("log", logs["log"]) == log_row("log", number)
        assert [*files] == [FileKey("log", number)]
        assert decode_rolled_up(rolled_up["log"]) == RolledUp(number)
        assert decode_ledger(storage.read_state("counts")) == Ledger(number)
        assert decode_intent(storage.read_intent(1)).customers == (writer,)
        storage.close()

    async def look(storage: Storage) -> None:
        assert await days_of(storage, "a", TODAY, TODAY) == {TODAY: counts({200: 3}, {1: 1, 2: 1})}
        rows = (await storage.rollups(7, ["parts"], TODAY, TODAY))[TODAY]
        assert sorted(rows) == [segment_of("parts", number, number) for number in (1, 2)]
        states = await storage.states()
        assert [(state.writer, decode_ledger(state.counts).number, state.report) for state in states] == [
            (MAIN, 1, "1"),
            ("second", 2, "2"),
        ]
        assert [decode_rollup_ledger(state.rollups).number for state in states] == [1, 2]
        assert await storage.logs() == [(MAIN, log_row("log", 1)), ("second", log_row("log", 2))]
        assert [(writer, seen.position.offset) for writer, seen in await storage.observed_ends()] == [
            (MAIN, 1),
            ("second", 2),
        ]
        assert [(writer, file.generation) for writer, file in await storage.files()] == [(MAIN, 1), ("second", 2)]
        found = await storage.intents({MAIN: 0, "second": 0})
        assert sorted((one.writer, *(decode_intent(one.row).customers or ())) for one in found) == [
            (MAIN, MAIN),
            ("second", "second"),
        ]
        places = {one.writer: one.place for one in found}
        assert await storage.intents({MAIN: places[MAIN], "second": places["second"] + 1}) == [
            one for one in found if one.writer == MAIN
        ]

    ask(open_storage(), look)


def test_the_counts_of_two_writers_add_up_to_those_of_one(new_store: Callable[[], OpenStorage]) -> None:
    first, second = valid_lines(400, seed=1), valid_lines(300, seed=2, customers=[*CUSTOMERS[3:], "of_the_second"])
    together, apart = new_store(), new_store()
    count_lines(together(), first + second)
    count_lines(apart(), first, log="log")
    # Of another writer, the same name is another log.
    count_lines(apart("second"), second, log="log")
    names = {*CUSTOMERS, "of_the_second"}

    async def everything(storage: Storage) -> dict[str, Any]:
        found: dict[str, Any] = {"names": sorted(await storage.customer_names())}
        for name in [*names, None]:
            days = await storage.daily_of_customer(name, 0, TODAY)
            found[f"days of {name}"] = {day: row._replace(commit=0) for day, row in days.items()}
        some = await storage.daily_of_customers(sorted(names)[1:], 0, TODAY)
        for what, customers in (("all", await everyone(storage, 0, TODAY)), ("some", some)):
            found[f"{what} customers"] = {
                name: {day: row._replace(commit=0) for day, row in days.items()} for name, days in customers.items()
            }
        for name in names:
            found[f"whether {name} is known"] = await storage.knows(name)
            for day, rows in (await storage.rollups(group_of(name), ["parts"], 0, TODAY)).items():
                histograms = histograms_of_hours(rows, name)
                found[f"hours of {name} {day}"] = {hour: figures(histogram) for hour, histogram in histograms.items()}
            for day, rows in (await storage.rollups(group_of(name), ["endpoints"], 0, TODAY)).items():
                of_endpoints = histograms_of_endpoints(rows, name)
                found[f"endpoints of {name} {day}"] = {
                    part: figures(histogram) for part, histogram in of_endpoints.items()
                }
            for outcome in ("all", "failed"):
                requests = await storage.requests(name, 0, MIDNIGHT + 86_400, outcome, 1_000)
                found[f"requests of {name} {outcome}"] = sorted(requests, key=repr)
                assert [request.second for request in requests] == sorted(
                    (request.second for request in requests), reverse=True
                )
        for day, rows in (await storage.rollups(ALL_CUSTOMERS, ["parts"], 0, TODAY)).items():
            histograms = histograms_of_hours(rows, EVERYBODY)
            found[f"hours {day}"] = {hour: figures(histogram) for hour, histogram in histograms.items()}
        for hour in range(24):
            for day, rows in (await storage.rollups(ALL_OF_HOUR + hour, ["endpoint_parts"], 0, TODAY)).items():
                of_both = histograms_of_endpoint_parts(rows)
                found[f"parts {day} {hour}"] = {part: figures(histogram) for part, histogram in of_both.items()}
        return found

    found, expected = ask(apart(), everything), ask(together(), everything)
    for what, answer in expected.items():
        assert found[what] == answer, what
    assert found.keys() == expected.keys()
    logs = ask(apart(), lambda storage: storage.logs())
    assert [(writer, row.stored) for writer, row in logs] == [(MAIN, 400), ("second", 300)]
