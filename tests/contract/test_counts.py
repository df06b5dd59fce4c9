"""Daily aggregates and roll-ups are replaced, read and asked for."""

import threading

import pytest

from rollups.counters import encode_counter, pack
from rollups.counts import NO_COUNTS, DailyAggregate, DailyKey, RollupKey, RollupRow
from rollups.groups import ALL_OF_HOUR, encode_names, group_of
from rollups.rows import encode_daily
from storage.contract import Storage
from storage.influxdb import InfluxStorage
from storage.keys import LogKey, StateKey
from storage.ledger import Ledger, decode_ledger, encode_ledger
from storage.logs import decode_log, encode_log
from storage.requests import FileId, OffsetRange
from storage.writers import MAIN
from stored_rows import (
    MIDNIGHT,
    ODD_CUSTOMERS,
    TODAY,
    OpenStorage,
    counts,
    line_of,
    log_row,
    segment_of,
    store_lines,
    write_segments,
)
from stores import ask, days_of, everyone, read_daily, write_daily


def test_an_empty_store_knows_nothing(open_storage: OpenStorage) -> None:
    asking = open_storage()

    async def look(storage: Storage) -> None:
        await storage.ping()
        assert await storage.states() == []
        assert await storage.logs() == []
        assert await storage.files() == []
        assert await storage.observed_ends() == []
        assert await storage.intents({MAIN: 0}) == []
        assert await storage.daily_of_customer(None, 0, TODAY) == {}
        assert await storage.daily_of_customer("nobody", 0, TODAY) == {}
        assert await everyone(storage, 0, TODAY) == {}
        assert await storage.customer_names() == []
        assert await storage.daily_of_customers(["nobody"], 0, TODAY) == {}
        assert await storage.rollups(7, ["parts", "endpoints"], 0, TODAY) == {}
        assert await storage.requests("nobody", 0, MIDNIGHT, "all", 10) == []
        assert not await storage.knows("nobody")

    ask(asking, look)
    writing = open_storage()
    writing.acquire()
    assert writing.read_state("counts") == ""
    assert writing.read_intent(1) == ""
    assert writing.read_logs() == ({}, {}, {})
    assert writing.read_daily([DailyKey(None, TODAY), DailyKey("nobody", TODAY)]) == {}
    assert writing.read_rollups([RollupKey(7, TODAY, "parts")]) == {}
    writing.check_lease()


@pytest.mark.parametrize("customer", ODD_CUSTOMERS)
def test_daily_aggregates_are_read_as_they_were_written(open_storage: OpenStorage, customer: str) -> None:
    writing = open_storage()
    writing.acquire()
    yesterday, today = counts({200: 3}, {5: 3}), counts({200: 1, 500: 2}, {0: 1, 86_400_000: 2})
    rows = {DailyKey(customer, TODAY - 1): yesterday, DailyKey(customer, TODAY): today}
    write_daily(writing, rows, commit=17)

    assert read_daily(writing, [*rows, DailyKey("other", TODAY)]) == rows
    assert {row.commit for row in writing.read_daily(list(rows)).values()} == {17}

    async def look(storage: Storage) -> None:
        assert await days_of(storage, customer, TODAY - 5, TODAY) == {TODAY - 1: yesterday, TODAY: today}
        assert await days_of(storage, customer, TODAY, TODAY) == {TODAY: today}
        assert await storage.knows(customer)
        of_all = await everyone(storage, TODAY - 5, TODAY)
        assert of_all == {customer: await storage.daily_of_customer(customer, TODAY - 5, TODAY)}

    ask(open_storage(), look)


def test_a_row_replaces_the_earlier_one_also_after_a_restart(open_storage: OpenStorage) -> None:
    key = DailyKey("customer", TODAY)
    for commit in (100, 200, 300):
        writing = open_storage()
        writing.acquire()
        write_daily(writing, {key: counts({200: 1}, {1: 1})})
        latest = counts({200: commit}, {1: commit})
        write_daily(writing, {key: latest})
        writing.write({StateKey("counts"): encode_ledger(Ledger(commit))}, {LogKey("log"): encode_log(log_row())})
        later = log_row(offset=commit)
        writing.write({LogKey("log"): encode_log(later)}, {StateKey("counts"): encode_ledger(Ledger(commit + 1))})
        writing.close()
        reading = open_storage()
        reading.acquire()
        assert read_daily(reading, [key]) == {key: latest}
        assert decode_ledger(reading.read_state("counts")) == Ledger(commit + 1)
        assert decode_log("log", reading.read_logs()[0]["log"]) == later
        reading.close()

    async def look(storage: Storage) -> None:
        assert (await days_of(storage, "customer", TODAY, TODAY))[TODAY].statuses == {200: 300}
        assert (await everyone(storage, TODAY, TODAY)).keys() == {"customer"}
        assert [decode_ledger(state.counts).number for state in await storage.states()] == [301]
        assert await storage.logs() == [(MAIN, log_row(offset=300))]

    ask(open_storage(), look)


def test_all_customers_together_have_aggregates_of_their_own(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.acquire()
    key, row = DailyKey(None, TODAY), counts({200: 5}, {7: 5})
    write_daily(writing, {key: row})
    assert read_daily(writing, [key, DailyKey(None, TODAY - 1)]) == {key: row}

    async def look(storage: Storage) -> None:
        assert await days_of(storage, None, TODAY, TODAY) == {TODAY: row}
        assert await everyone(storage, TODAY, TODAY) == {}
        assert await storage.customer_names() == []

    ask(open_storage(), look)


def test_a_row_is_never_read_half_old_and_half_new(open_storage: OpenStorage) -> None:
    writing, asking = open_storage(), open_storage()
    writing.acquire()
    done = threading.Event()

    def overwrite() -> None:
        for count in range(1, 300):
            write_daily(writing, {DailyKey("customer", TODAY): counts({200: count}, {1: count})}, count)
        done.set()

    async def look(storage: Storage) -> None:
        while not done.is_set():
            for row in (await days_of(storage, "customer", TODAY, TODAY)).values():
                assert row.statuses[200] == row.latencies[1]

    thread = threading.Thread(target=overwrite)
    thread.start()
    ask(asking, look)
    thread.join()


def test_very_many_latencies_are_stored(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.acquire()
    key, row = DailyKey("customer", TODAY), counts({200: 300_000}, dict.fromkeys(range(0, 86_400_000, 288), 1))
    write_daily(writing, {key: row})
    assert read_daily(writing, [key]) == {key: row}


def test_several_customers_are_asked_for_at_once(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.acquire()
    keys = [DailyKey(customer, TODAY - age) for customer in ODD_CUSTOMERS for age in (0, 1, 9)]
    rows = {key: counts({200: n + 1}, {n: n + 1}) for n, key in enumerate([*keys, DailyKey(None, TODAY)])}
    write_daily(writing, rows)

    async def look(storage: Storage) -> None:
        assert sorted(await storage.customer_names()) == sorted(ODD_CUSTOMERS)
        found = await storage.daily_of_customers([*ODD_CUSTOMERS[2:], "nobody"], TODAY - 5, TODAY)
        assert found.keys() == set(ODD_CUSTOMERS[2:])
        for customer, of_customer in found.items():
            assert of_customer == await storage.daily_of_customer(customer, TODAY - 5, TODAY)
            assert len(of_customer) == 2
        for customer in ODD_CUSTOMERS:
            days = await storage.daily_of_customer(customer, TODAY - 5, TODAY)
            assert await storage.daily_of_customers([customer], TODAY - 5, TODAY) == {customer: days}

    ask(open_storage(), look)


def test_customers_are_found_when_many_others_have_joined_them(open_storage: OpenStorage) -> None:
    writing, second = open_storage(), open_storage("second")
    writing.acquire()
    second.acquire()
    few = [f"early_{number}" for number in range(4)]
    rows = {DailyKey(customer, TODAY - age): counts({200: 1}, {7: 1}) for customer in few for age in (0, 9, 20)}
    write_daily(writing, rows)
    joined = [f"late_{number}" for number in range(100)]

    async def look(storage: Storage) -> None:
        assert sorted(await storage.customer_names()) == few
        assert (await storage.daily_of_customers(few, 0, TODAY)).keys() == set(few)
        for writer in (writing, second):
            write_daily(writer, {DailyKey(name, TODAY - 9): counts({200: 1}, {7: 1}) for name in joined})
        for some in (few, [*few[:2], *joined[:30]], joined):
            found = await storage.daily_of_customers([*some, "nobody"], 0, TODAY)
            assert found == {customer: await storage.daily_of_customer(customer, 0, TODAY) for customer in some}

    ask(open_storage(), look)


def test_very_many_customers_come_in_parts(open_storage: OpenStorage) -> None:
    writing, second = open_storage(), open_storage("second")
    writing.acquire()
    second.acquire()
    customers = {f"customer_{number}" for number in range(12_000)}
    row = encode_daily(pack(counts({200: 1}, {7: 1})))
    writing.write({DailyKey(customer, TODAY): row for customer in customers})
    second.write({DailyKey(customer, TODAY - number % 2): row for number, customer in enumerate(sorted(customers))})

    async def look(storage: Storage) -> None:
        names = await storage.customer_names()
        assert (len(names), set(names)) == (len(customers), customers)
        parts = [part async for part in storage.daily_of_all_customers(TODAY - 1, TODAY)]
        assert len(parts) > 1
        assert sum(map(len, parts)) == len(customers)
        requests = {
            name: sum(days[day].statuses != NO_COUNTS for day in days) for part in parts for name, days in part.items()
        }
        assert requests == {name: 1 + number % 2 for number, name in enumerate(sorted(customers))}
        assert [second.count_new_customers(day) for day in (TODAY - 1, TODAY)] == [6_000, 6_000]
        of_yesterday = await everyone(storage, TODAY - 1, TODAY - 1)
        assert of_yesterday.keys() == set(sorted(customers)[1::2])

    ask(open_storage(), look)
    writing.write({DailyKey(customer, TODAY + 1): row for customer in ("customer_7", "customer_8", "new")})
    assert writing.count_new_customers(TODAY + 1) == 1


@pytest.mark.parametrize("customer", ODD_CUSTOMERS)
def test_rollups_are_read_segment_by_segment(open_storage: OpenStorage, customer: str) -> None:
    names = encode_names({customer: ["/a", '/b"c\\', "/ü/{id}/…", "(other)"]})
    group = group_of(customer)
    rows = [segment_of("endpoints", segment, 100 + segment, names) for segment in range(12)]
    last, parts, before = segment_of("endpoints", 11, 200, names), segment_of("parts", 0, 3), segment_of("parts", 0, 4)
    left = RollupRow("endpoint_parts", 0, names, encode_counter({200: 1}), encode_counter({}), 10, left=2)
    for run in range(2):
        writing = open_storage()
        writing.acquire()
        write_segments(writing, group, TODAY, *rows[run:], last, parts)
        write_segments(writing, group, TODAY - 1, before)
        write_segments(writing, ALL_OF_HOUR + 23, TODAY, left)
        writing.close()
    reading = open_storage()
    reading.acquire()
    found = {
        RollupKey(group, TODAY, "endpoints"): last,
        RollupKey(group, TODAY, "parts"): parts,
        RollupKey(group, TODAY - 1, "parts"): before,
        RollupKey(ALL_OF_HOUR + 23, TODAY, "endpoint_parts"): left,
    }
    others = [RollupKey(group, TODAY - 1, "endpoints"), RollupKey(group + 1, TODAY, "parts")]
    assert reading.read_rollups([*found, *others]) == found

    async def look(storage: Storage) -> None:
        of_endpoints = await storage.rollups(group, ["endpoints"], TODAY - 5, TODAY)
        assert {day: sorted(of_day) for day, of_day in of_endpoints.items()} == {TODAY: [*rows[:11], last]}
        of_both = await storage.rollups(group, ["parts", "endpoints"], TODAY - 5, TODAY)
        assert of_both[TODAY - 1] == [before]
        assert sorted(of_both[TODAY]) == [*rows[:11], last, parts]
        assert await storage.rollups(group, ["parts"], TODAY - 9, TODAY - 1) == {TODAY - 1: [before]}
        assert await storage.rollups(group, ["hours"], TODAY - 9, TODAY) == {}
        assert await storage.rollups(ALL_OF_HOUR + 23, ["endpoint_parts"], TODAY, TODAY) == {TODAY: [left]}

    ask(open_storage(), look)


def test_expired_requests_and_counts_are_removed(open_storage: OpenStorage) -> None:
    storage = open_storage()
    if isinstance(storage, InfluxStorage):
        pytest.skip("the bucket's retention does it")
    storage.acquire()
    file = FileId("log", 0, 0, 0)
    lines = [line_of(0, MIDNIGHT - 86_400 * age) for age in (2, 1, 0)]
    store_lines(storage, file, b"".join(lines))
    write_daily(storage, {DailyKey("a", TODAY - age): counts({200: 1}, {1: 1}) for age in (0, 1, 2)})
    for age in (0, 1, 2):
        write_segments(storage, 7, TODAY - age, segment_of("parts", 0, 1))
    storage.remove_expired(TODAY, TODAY - 1)

    async def look(asking: Storage) -> None:
        assert sorted(await asking.daily_of_customer("a", 0, TODAY)) == [TODAY - 1, TODAY]
        assert sorted(await asking.rollups(7, ["parts"], 0, TODAY)) == [TODAY - 1, TODAY]
        assert len(await asking.requests("cust_0", 0, MIDNIGHT + 1, "all", 10)) == 1

    ask(open_storage(), look)
    (found,) = storage.read_requests([OffsetRange(file, 0, len(b"".join(lines)))], 0, MIDNIGHT)
    assert len(found) == 1


@pytest.mark.parametrize("customer", ODD_CUSTOMERS)
def test_a_writer_reads_all_days_of_its_customers(open_storage: OpenStorage, customer: str) -> None:
    writing = open_storage()
    writing.acquire()
    of_one = counts({200: 1}, {5: 1})
    for token in range(2):
        rows = {DailyKey(customer, TODAY - 1): of_one, DailyKey(customer, TODAY): of_one, DailyKey(None, TODAY): of_one}
        write_daily(writing, rows | {DailyKey("second", TODAY): of_one}, commit=17 + token)
    other = open_storage("other")
    other.acquire()
    write_daily(other, {DailyKey(customer, TODAY - 2): of_one, DailyKey("nobody", TODAY): of_one}, commit=1)

    found = writing.read_days([customer, "nobody", *(f"cust_{number}" for number in range(500))])
    assert list(found) == [customer]
    assert dict(one for some in writing.read_customers() for one in some) == {customer: TODAY - 1, "second": TODAY}
    assert dict(one for some in other.read_customers() for one in some) == {customer: TODAY - 2, "nobody": TODAY}
    assert [writing.count_new_customers(day) for day in (TODAY - 2, TODAY - 1, TODAY)] == [0, 1, 1]
    assert other.count_new_customers(TODAY) == 1
    assert {day: row.commit for day, row in found[customer].items()} == {TODAY - 1: 18, TODAY: 18}


def test_which_commit_made_a_row_is_kept(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.acquire()
    row = DailyAggregate(encode_counter({200: 1}), encode_counter({5: 1}), commit=17, first=12)
    writing.write({DailyKey("cust", TODAY): encode_daily(row)})
    assert writing.read_days(["cust"]) == {"cust": {TODAY: row}}
    nothing = DailyAggregate(NO_COUNTS, NO_COUNTS, commit=18, first=12)
    writing.write({DailyKey("cust", TODAY): encode_daily(nothing)})
    writing.remove_requests("log", [])
    assert writing.read_days(["cust"]) == {}
