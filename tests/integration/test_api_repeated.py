"""Repeated questions: what they cost the store, and that answers are never older than the ledger."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.exceptions import RequestValidationError

from api.app import build_app
from api.caching.change_feed import ChangeFeed
from api.caching.customer_days import CustomerDays
from api.caching.customer_figures import CustomerFigures
from api.caching.prewarming import prewarm
from api.caching.row_cache import RowCache
from api.caching.span_days import SpanDays
from api.questions.calendar import calendar
from api.questions.customers import CustomersQuestion
from api.questions.dates import DateRange
from api.questions.paging import Ranking
from api.questions.question import CachedStore
from api.utc import to_date
from asking import ago, line
from faulty_proxy import FaultyProxy, Request, faulty_proxy
from influxd import InfluxServer
from lines import valid_lines
from request_log.formats import simple
from rollups.counts import DailyKey, DayCounts, RollupKind, RollupRow
from storage.contract import Storage
from storage.influxdb import InfluxStorage
from storage.ledger import Report, decode_ledger
from stores import Store, commit_daily, count_lines, influxdb_store, write_report

TODAY = int(time.time()) // 86_400
URLS = [
    "/customers/c/stats",
    "/customers/stats",
    "/customers/stats?customer_id=c",
    "/customers",
    "/customers?sort=p99",
    f"/customers/c/stats?from_date={datetime.now(timezone.utc).date() - timedelta(days=3)}",
]


@asynccontextmanager
async def api(storage: Storage) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an api, which ends with it."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(build_app(storage, 45)), base_url="http://api"
    ) as client:
        yield client
    await storage.aclose()


class Writing:
    """A writer that continues the commits of the writer before."""

    def __init__(self, store: Store) -> None:
        self._storage = store.open()
        self._token = self._storage.acquire()
        self._number = decode_ledger(self._storage.read_state("counts")).number

    def commit(self, counts: Mapping[DailyKey, DayCounts]) -> None:
        """Commit these rows."""
        self._number += 1
        commit_daily(self._storage, counts, self._number, self._token)

    def report(self, complete_through: float) -> None:
        """Report that all requests before this time (Unix, s) are counted."""
        write_report(self._storage, Report(complete_through, self._number, complete_through))

    def close(self) -> None:
        self._storage.close()


@contextmanager
def store_behind_proxy(influxd: InfluxServer) -> Iterator[tuple[Writing, FaultyProxy, Callable[[], Storage]]]:
    """A writer to a store, a proxy in front of the store, and a function that opens the store through the proxy."""
    with influxdb_store(influxd) as store, faulty_proxy(influxd.url) as proxy:
        writing = Writing(store)
        bucket = store.environment["INFLUXDB_BUCKET"]
        yield writing, proxy, lambda: InfluxStorage(proxy.url, influxd.org, bucket, influxd.admin_token)


def commit(writing: Writing, requests: int, customers: Iterable[str] = "c") -> None:
    """Commit this number of requests today for each customer."""
    counts = DayCounts(Counter({200: requests}), Counter({requests: requests}))
    writing.commit({DailyKey(customer, TODAY): counts for customer in [*customers, None]})


def requests_in(response: httpx.Response) -> int:
    body = response.raise_for_status().json()
    return int(body["customers"][0]["total_requests"] if "customers" in body else body["total_requests"])


async def test_an_answer_is_never_older_than_the_ledger(store: Store) -> None:
    writing = Writing(store)
    async with api(store.open()) as client:
        for requests in range(1, 8):
            commit(writing, requests)
            for _ in range(2):
                answers = await asyncio.gather(*(client.get(url) for url in URLS * 2))
                assert [requests_in(answer) for answer in answers] == [requests] * len(URLS) * 2


async def test_a_client_that_has_the_answer_gets_304_until_the_ledger_changes(store: Store) -> None:
    writing = Writing(store)
    commit(writing, 1)
    async with api(store.open()) as client:
        tags = [(await client.get(url)).headers["ETag"] for url in URLS]
        # The first and the third URL ask the same question.
        assert len(set(tags)) == len(URLS) - 1
        assert all(tag.startswith('W/"') for tag in tags)
        for url, tag in zip(URLS, tags, strict=True):
            for held in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
                same = await client.get(url, headers={"If-None-Match": held})
                assert (same.status_code, same.content) == (304, b"")
                assert (same.headers["ETag"], same.headers["Cache-Control"]) == (tag, "no-cache")
            other = await client.get(url, headers={"If-None-Match": 'W/"other"'})
            assert requests_in(other) == 1
            assert (other.headers["ETag"], other.headers["Cache-Control"]) == (tag, "no-cache")
        commit(writing, 2)
        for url, tag in zip(URLS, tags, strict=True):
            news = await client.get(url, headers={"If-None-Match": tag})
            assert requests_in(news) == 2
            assert news.headers["ETag"] != tag


async def test_a_comparison_is_made_anew_when_only_others_have_requests_on_the_days_before(store: Store) -> None:
    writing = Writing(store)
    commit(writing, 1)
    url = f"/customers/c/stats?from_date={to_date(TODAY)}&compare=previous"
    async with api(store.open()) as client:
        assert (await client.get(url)).json()["previous"] is None
        counts = DayCounts(Counter({200: 1}), Counter({1: 1}))
        writing.commit({DailyKey(customer, TODAY - 1): counts for customer in ("d", None)})
        assert (await client.get(url)).json()["previous"]["total_requests"] == 0


async def test_complete_through_advances_while_the_ledger_is_unchanged(store: Store) -> None:
    writing = Writing(store)
    commit(writing, 1)
    writing.report(1_795_000_000)
    async with api(store.open()) as client:
        # A writer that reports again is not silent, whatever its clock says.
        await client.get(URLS[0])
        for url in URLS:
            answers = []
            for seen in (1_795_000_000.25, 1_795_000_001.5):
                writing.report(seen)
                answers.append(await client.get(url))
            first, second = (answer.json() for answer in answers)
            assert first.pop("complete_through") == "2026-11-18T11:06:40.250000Z"
            assert second.pop("complete_through") == "2026-11-18T11:06:41.500000Z"
            assert first == second
            assert answers[0].headers["ETag"] == answers[1].headers["ETag"]


async def test_a_repeated_question_costs_the_store_one_poll(influxd: InfluxServer) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(parse_qs(urlsplit(request.target).query)["q"][0])

    with store_behind_proxy(influxd) as (writing, proxy, open_storage):
        commit(writing, 1)
        proxy.decide = note
        async with api(open_storage()) as client:
            for url in URLS:
                await client.get(url)
            asked.clear()
            for url in URLS:
                await client.get(url)
            assert len(asked) == len(URLS)
            assert all("FROM state " in question for question in asked)
            asked.clear()
            await asyncio.gather(*(client.get(url) for url in URLS * 20))
            assert len(asked) <= 2, "asked once for all who wait"
            # After a commit, each question reads the store once.
            commit(writing, 2)
            asked.clear()
            await asyncio.gather(*(client.get(url) for url in URLS * 20))
            assert sum("FROM daily" in question for question in asked) <= len(URLS) - 1


async def test_cached_answers_are_not_given_while_the_store_is_unavailable(influxd: InfluxServer) -> None:
    with store_behind_proxy(influxd) as (writing, proxy, open_storage):
        commit(writing, 1)
        async with api(open_storage()) as client:
            tags = [(await client.get(url)).headers["ETag"] for url in URLS]
            proxy.go_away()
            for url, tag in zip(URLS, tags, strict=True):
                away = await client.get(url, headers={"If-None-Match": tag})
                assert away.status_code == 503
                assert away.json()["detail"].startswith("InfluxDB cannot be reached")
            proxy.come_back()
            for url in URLS:
                assert requests_in(await client.get(url)) == 1


async def test_a_request_is_about_other_days_after_midnight(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = valid_lines(200, days=2, customers=["c"])
    store.fill(lines)
    today = datetime.now(timezone.utc).date()
    async with api(store.open()) as client:
        before = [await client.get(url) for url in URLS]
        tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
        monkeypatch.setattr("api.routes.request_cache.utc_now", lambda: tomorrow)
        after = [await client.get(url) for url in URLS]
        assert {answer.json()["to_date"] for answer in before} == {str(today)}
        assert {answer.json()["to_date"] for answer in after} == {str(today + timedelta(days=1))}
        for old, new in zip(before, after, strict=True):
            assert old.headers["ETag"] != new.headers["ETag"]


async def test_errors_are_not_cached(store: Store) -> None:
    writing = Writing(store)
    async with api(store.open()) as client:
        for _ in range(2):
            missing = await client.get("/customers/c/stats", headers={"If-None-Match": "*"})
            assert missing.status_code == 404
            assert "ETag" not in missing.headers
        commit(writing, 1)
        assert requests_in(await client.get("/customers/c/stats")) == 1


async def test_cached_answers_equal_those_of_a_fresh_api_after_any_commits(store: Store) -> None:
    pick = random.Random(4)
    yesterday = datetime.now(timezone.utc).date() - timedelta(days=1)
    urls = [f"/customers?sort={sort}" for sort in ("total", "median", "p99", "customer_id")]
    for what in ("/stats", "/status-codes", "/latencies", "/stats?percentiles=50"):
        urls += [f"/customers{whose}{what}" for whose in ("", "/a", "/b")]
    urls += [
        f"{url}{'&' if '?' in url else '?'}{date}={yesterday}" for url in urls for date in ("from_date", "to_date")
    ]

    def row() -> DayCounts:
        requests = pick.randrange(1, 9)
        return DayCounts(Counter({pick.choice([200, 500]): requests}), Counter({pick.randrange(2_000): requests}))

    async with api(store.open()) as client:
        for _ in range(3):
            writing = Writing(store)
            for _ in range(8):
                ages = pick.choice([[0], [0], [0, 1], range(6)])
                counts: dict[DailyKey, DayCounts] = {}
                for customer in pick.sample("abcdefgh", pick.randrange(6)):
                    counts[DailyKey(customer, TODAY - pick.choice(ages))] = row()
                counts |= {DailyKey(None, day): row() for day in {day for _, day in counts}}
                writing.commit(counts)
                async with api(store.open()) as fresh:
                    asked = pick.sample(urls, 16)
                    kept, anew = [await asyncio.gather(*map(one.get, asked)) for one in (client, fresh)]
                    for answer, right in zip(kept, anew, strict=True):
                        # A fresh api has not yet seen the writer report again.
                        apart = {"request_id": "", "missing": []}
                        assert answer.json() | apart == right.json() | apart
            writing.close()


@contextmanager
def customers_asked_for(
    influxd: InfluxServer,
) -> Iterator[tuple[Writing, Callable[[], Storage], list[tuple[list[str], int]]]]:
    """A writer to a store with eight customers, a function that opens the store, and the queries for customers' rows.

    A query is the names, or `all`, and the number of days.
    """
    asked: list[tuple[list[str], int]] = []

    def note(request: Request) -> None:
        query = parse_qs(urlsplit(request.target).query)
        if "FROM daily WHERE" in query["q"][0]:
            parameters = json.loads(query["params"][0])
            tags = [tag for key, tag in parameters.items() if key.startswith("c")]
            names = sorted(name_of[tag] for tag in tags if tag in name_of)
            days = (parameters["end"] - parameters["start"]) // 86_400_000_000_000
            # The days on which customers are folded are read once, as those of a customer.
            if names or not tags:
                asked.append((names or ["all"], days))

    with store_behind_proxy(influxd) as (writing, proxy, open_storage):
        commit(writing, 1, "abcdefgh")
        opened = open_storage()
        assert isinstance(opened, InfluxStorage)
        name_of = {opened._places().customer_tag(name): name for name in "abcdefgh"}
        proxy.decide = note
        yield writing, open_storage, asked


async def test_after_a_commit_the_list_reads_only_the_customers_of_the_commit(influxd: InfluxServer) -> None:
    with customers_asked_for(influxd) as (writing, open_storage, asked):
        async with api(open_storage()) as client:
            await client.get("/customers")
            assert all(names == ["all"] for names, _ in asked)
            asked.clear()
            await client.get("/customers?sort=p99")
            assert asked == []
            commit(writing, 2, "dg")
            listed = (await client.get("/customers")).json()["customers"]
            assert [one["total_requests"] for one in listed] == [2, 2, 1, 1, 1, 1, 1, 1]
            assert [names for names, _ in asked] == [["d", "g"]]


async def test_rows_of_the_list_answer_questions_about_a_customer_until_it_changes(influxd: InfluxServer) -> None:
    with customers_asked_for(influxd) as (writing, open_storage, asked):
        async with api(open_storage()) as client:
            await client.get("/customers")
            asked.clear()
            for customer in "abc":
                assert requests_in(await client.get(f"/customers/{customer}/stats")) == 1
            assert requests_in(await client.get(f"/customers/d/stats?from_date={to_date(TODAY)}")) == 1
            assert asked == []
            commit(writing, 2, "ae")
            assert requests_in(await client.get("/customers/a/stats")) == 2
            assert requests_in(await client.get("/customers/e/stats")) == 2
            assert requests_in(await client.get("/customers/f/stats")) == 1
            assert asked == [(["a"], 1), (["e"], 1)]


async def test_the_customers_with_the_most_requests_are_prewarmed(influxd: InfluxServer) -> None:
    with customers_asked_for(influxd) as (writing, open_storage, asked):
        commit(writing, 2, "dg")
        storage, kept = open_storage(), range(TODAY - 45, TODAY + 1)
        # Without cached rows, the first questions about other customers read the store.
        feed, rows = ChangeFeed(storage), RowCache(max_bytes=0)
        days = CustomerDays(storage, feed.invalidations, rows)
        await feed.poll()
        assert await prewarm(CustomerFigures(storage, feed.invalidations, rows), days, kept, customers=2) == 8
        asked.clear()
        for customer, requests in (("d", 2), ("g", 2), ("a", 1)):
            assert (await days.over(customer, kept)).together().total == requests
        assert asked == [(["a"], 46)]
        await storage.aclose()


async def test_of_too_many_customers_only_the_list_over_all_days_is_read(sqlite: Store) -> None:
    names = [f"cust_{number}" for number in range(5)]
    commit(Writing(sqlite), 1, names)
    storage, kept = sqlite.open(), range(TODAY - 45, TODAY + 1)
    feed, rows = ChangeFeed(storage), RowCache()
    await feed.poll()
    now = 0.0
    figures = CustomerFigures(storage, feed.invalidations, rows, max_customers=3, clock=lambda: now)
    figures.keep(kept)
    some = DateRange(to_date(TODAY - 1), to_date(TODAY), range(TODAY - 1, TODAY + 1))
    question = CustomersQuestion("json", some, Ranking("total", "desc", None), None, 10)
    days = CustomerDays(storage, feed.invalidations, rows)
    store = CachedStore(storage, days, figures, SpanDays(storage, feed.invalidations, feed.rolled_up))
    # Also when nobody has asked how many there are.
    for _ in range(2):
        with pytest.raises(RequestValidationError, match="there are more than 3 customers"):
            await question.answer(store)
    # Before midnight the days that are kept become others, and those of before are asked for until then.
    assert list((await figures.over(kept)).names) == names
    later = range(TODAY - 44, TODAY + 2)
    figures.keep(later)
    assert list((await figures.over(later)).names) == names
    assert figures.has(kept)
    now += 3_600.0
    await figures.over(later)
    assert not figures.has(kept)
    assert figures.has(later)
    await storage.aclose()


async def test_after_a_commit_its_days_are_read_in_one_query_for_all_customers(influxd: InfluxServer) -> None:
    with customers_asked_for(influxd) as (writing, open_storage, asked):
        async with api(open_storage()) as client:
            urls = [f"/customers/{customer}/stats" for customer in "abcdefgh"]
            for requests in (2, 3):
                await asyncio.gather(*map(client.get, urls))
                commit(writing, requests, "dfg")
            asked.clear()
            answers = await asyncio.gather(*map(client.get, urls))
            assert [requests_in(answer) for answer in answers] == [1, 1, 1, 3, 1, 3, 3, 1]
            assert asked == [(["d", "f", "g"], 1)]


async def test_recently_asked_customers_are_read_in_the_query_of_the_first_question(influxd: InfluxServer) -> None:
    with customers_asked_for(influxd) as (writing, open_storage, asked):
        async with api(open_storage()) as client:
            urls = [f"/customers/{customer}/stats" for customer in "abcdef"]
            for requests in (2, 3):
                for url in urls:
                    await client.get(url)
                commit(writing, requests, "abcd")
            asked.clear()
            answers = [await client.get(url) for url in urls]
            assert [requests_in(answer) for answer in answers] == [3, 3, 3, 3, 1, 1]
            assert asked == [(["a", "b", "c", "d"], 1)]


async def test_first_answers_about_local_days_read_the_days_that_changed_alone(sqlite: Store) -> None:
    writing, storage = sqlite.open(), sqlite.open()
    lines = b"".join(line(ago(days), customer) for days in range(1, 40) for customer in "cd")
    count_lines(writing, lines, simple.parse, "log")
    asked: list[tuple[int, int]] = []

    async def rollups(group: int, kinds: Collection[RollupKind], first: int, last: int) -> dict[int, list[RollupRow]]:
        asked.append((first, last))
        return await read(group, kinds, first, last)

    read, storage.rollups = storage.rollups, rollups  # type: ignore[method-assign]
    feed = ChangeFeed(storage)
    spans = SpanDays(storage, feed.invalidations, feed.rolled_up)
    await feed.poll()
    await spans.prewarm(["c"], range(TODAY - 45, TODAY + 1))
    asked.clear()
    edges = {zone: calendar(zone).edges_of_days(range(TODAY - 40, TODAY + 1)) for zone in ("Asia/Kathmandu", "UTC")}
    found = await spans.over("c", edges["Asia/Kathmandu"])
    assert (len(found.spans), found.statuses, asked) == (39, {200: 39}, [])
    # Of all customers together, too; the other ones are read.
    assert (await spans.over(None, edges["Asia/Kathmandu"])).statuses == {200: 78}
    assert asked == []
    assert (await spans.over("d", edges["Asia/Kathmandu"])).statuses == {200: 39}
    assert len(asked) == 1
    asked.clear()
    count_lines(writing, line(ago(3), "c", 500) + line(ago(0), "c"), simple.parse, "another")
    await feed.poll()
    # Neither what was kept of the zone nor what was read before is used for these days.
    for zone in edges:
        assert (await spans.over("c", edges[zone])).statuses == {200: 40, 500: 1}
        assert asked.pop() == (TODAY - 3, TODAY)
    assert asked == []
    await storage.aclose()
