"""What is counted of endpoints: methods, sizes, and paths by rules that hold from a place in the log on."""

import random
import tracemalloc
from pathlib import Path
from typing import Any

import duckdb
import pytest

import parsed_log
from api.caching.change_feed import ChangeFeed
from api.caching.customer_days import CustomerDays
from api.caching.customer_figures import CustomerFigures
from api.caching.row_cache import RowCache
from api.caching.span_days import SpanDays
from api.questions.path_customers import PathCustomersQuestion
from api.questions.question import CachedStore
from api.utc import to_day
from asking import ago, answer, response, today
from counting_by_hand import Counting, Read, verified
from parsed_log import parsed_line
from request_log.path_template import PathTemplates
from rollups.groups import Endpoint, decode_names, group_of, histograms_by_method, sizes_of_endpoints
from rollups.rules import DEFAULT, UNNAMED, Rules
from storage.contract import Storage
from stores import Store, ask

DAY = 86_400
OWN = ("/orders/{order}", "/{shop}/items")
RULES = [UNNAMED, Rules(paths=3, templates=OWN), Rules(paths=200), Rules(paths=5, templates=("/p/{n}",))]


def lines(count: int, seed: int, day: int) -> bytes:
    pick = random.Random(seed)
    return b"".join(
        parsed_line(
            day * DAY + pick.randrange(DAY),
            pick.choice(["a", "a", "b", "(other)"]),
            pick.choice(["/x", "/orders/abc", "/orders/7", "/p/q", "/s1/items", f"/p{pick.randrange(40)}", "(other)"]),
            pick.choice([200, 200, 404, 500, 0]),
            pick.choice(["", "0.005", "0.7"]),
            pick.choice(["", "GET", "POST", "BREW"]),
            pick.choice([None, 0, 100, 10**12]),
        )
        for _ in range(count)
    )


def test_verify_agrees_whatever_rules_held_when(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "log"
    end = 0
    for number, rules in enumerate(RULES):
        with log.open("ab") as file:
            file.write(lines(400, number, to_day(today())))
        with Counting(store.open(), log, parse=parsed_log.parse, rules=rules) as counting:
            counting.count(Read(log, start=end, begun=0), roll_up=number % 2 == 0)
        end = log.stat().st_size
    with Counting(store.open(), log, parse=parsed_log.parse, rules=RULES[-1]) as counting:
        counting.roll_up()
    outcome = verified(store.open(), parse=parsed_log.parse)
    assert (outcome.differences, outcome.unchecked) == ([], [])


def test_all_customers_by_path_are_those_of_the_log(store: Store, tmp_path: Path) -> None:
    log, day = tmp_path / "log", to_day(today())
    log.write_bytes(lines(1_000, 1, day - 1) + lines(1_000, 2, day))
    with Counting(store.open(), log, parse=parsed_log.parse) as counting:
        counting.count(Read(log))

    def of_log(columns: str) -> list[tuple[Any, ...]]:
        query = f"""
            SELECT
                {columns},
                count(*),
                count(*) FILTER (status BETWEEN 400 AND 499),
                count(*) FILTER (status = 500 OR status = 0),
                quantile_disc(ms, 0.99) / 1000
            FROM (
                SELECT *, replace(path, '/7', '/{{id}}') AS template, (1000 * try_cast(duration AS DOUBLE))::INT AS ms
                FROM read_json('{log}')
            )
            WHERE template = '/orders/{{id}}' GROUP BY ALL
        """
        return sorted(duckdb.execute(query).fetchall(), key=str)

    def answered(url: str, rows: str, *names: str) -> list[tuple[Any, ...]]:
        figures = ("total_requests", "client_errors", "server_errors", "p99_latency")
        return sorted((tuple(row[name] for name in (*names, *figures)) for row in answer(store, url)[rows]), key=str)

    path = "path=/orders/%7Bid%7D"
    (of_path,) = [row for row in answered("/paths?sort=p99", "paths", "path") if row[0] == "/orders/{id}"]
    assert [of_path] == of_log("template")
    by_method = [row for row in answered("/paths?by=method", "paths", "path", "method") if row[0] == "/orders/{id}"]
    methods = "CASE method WHEN '' THEN NULL WHEN 'BREW' THEN '(other)' ELSE method END"
    assert by_method == of_log(f"template, {methods}")
    hits = answered(f"/paths/customers?{path}&sort=server_errors", "customers", "customer_id")
    of_today = f"second // {DAY} = {day}"
    customers = of_log(f"{of_today}, replace(customer, '(other)', '\\(other)')")
    assert hits == sorted((row[1:] for row in customers if row[0]), key=str)
    time_of = "strftime(to_timestamp(second - second % {}) AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%SZ')"
    assert answered(f"/series?{path}", "points", "start") == of_log(time_of.format(DAY))
    hourly = f"/series?{path}&interval=hour&from_date={ago(1)}"
    assert answered(hourly, "points", "start") == of_log(time_of.format(3_600))
    refused = response(store, f"/series?{path}&interval=hour&from_date={ago(8)}")
    assert refused.status_code == 422
    assert "at most 7" in refused.json()["detail"][0]["msg"]


def test_a_day_that_cannot_be_asked_about_is_named_as_it_was_asked(sqlite: Store) -> None:
    refused = response(sqlite, f"/paths/customers?path=/a&date={ago(-2)}")
    assert refused.status_code == 422
    (fault,) = refused.json()["detail"]
    assert fault["loc"] == ["query", "date"]
    assert fault["msg"].startswith("date is in the future: today is ")


def test_of_very_many_customers_of_a_path_the_first_ones_are_kept(sqlite: Store) -> None:
    customers = [f"customer_{number}" for number in range(12_000)]
    day = to_day(today())
    sqlite.fill(
        b"".join(
            parsed_line(day * DAY, customer, "/a", 200, f"0.{number % 1_000:03}")
            for number, customer in enumerate(customers)
        ),
        parsed_log.parse,
    )
    question = PathCustomersQuestion("json", "/a", today(), range(day, day + 1), "p99", "desc", 30)

    async def answered(storage: Storage) -> tuple[int, list[str], int]:
        feed, rows = ChangeFeed(storage), RowCache()
        days = CustomerDays(storage, feed.invalidations, rows)
        figures = CustomerFigures(storage, feed.invalidations, rows)
        spans = SpanDays(storage, feed.invalidations, feed.rolled_up)
        tracemalloc.start()
        found = await question.answer(CachedStore(storage, days, figures, spans))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return found.total, [one.customer_id for one in found.customers], peak

    total, first_ones, peak = ask(sqlite.open(), answered)
    slowest = [number for number in range(12_000) if number % 1_000 >= 997]
    expected = sorted((-(number % 1_000), f"customer_{number}") for number in slowest)[:30]
    assert (total, first_ones) == (12_000, [customer for _, customer in expected])
    assert peak < 5_000_000


def test_methods_and_sizes_are_those_of_the_log(sqlite: Store, tmp_path: Path) -> None:
    log, day = tmp_path / "log", to_day(today())
    log.write_bytes(lines(2_000, 1, day))
    with Counting(sqlite.open(), log, parse=parsed_log.parse) as counting:
        counting.count(Read(log))
    expected = duckdb.execute(
        f"""
        SELECT path, method, count(*), sum(bytes)::BIGINT FROM (
            SELECT replace(path, '/7', '/{{id}}') AS path, replace(method, 'BREW', '(other)') AS method, bytes
            FROM read_json('{log}') WHERE customer = 'a'
        ) GROUP BY ALL
        """
    ).fetchall()

    async def stored(storage: Storage) -> list[tuple[str, str, int, int | None]]:
        rows = (await storage.rollups(group_of("a"), ["endpoints"], day, day))[day]
        sizes = sizes_of_endpoints(rows, "a")
        return [
            (path.removeprefix("\\"), method, histogram.total, sizes.get(Endpoint(path, method)))
            for (path, method), histogram in histograms_by_method(rows, "a").items()
        ]

    assert sorted(ask(sqlite.open(), stored), key=str) == sorted(expected, key=str)
    # Of all paths together, whatever the limit.
    of_all = answer(sqlite, "/customers/a/paths?limit=1")
    assert of_all["bytes_sent"] == sum(size for *_, size in expected if size is not None)


def test_own_templates_have_names_beyond_the_bound(sqlite: Store, tmp_path: Path) -> None:
    log, day = tmp_path / "log", to_day(today())
    log.write_bytes(
        b"".join(parsed_line(day * DAY, "a", path) for path in ("/1/items", "/a", "/b", "/orders/x", "/orders/y/z"))
    )
    with Counting(sqlite.open(), log, parse=parsed_log.parse, rules=Rules(paths=1, templates=OWN)) as counting:
        counting.count(Read(log))
    found = answer(sqlite, "/customers/a/paths")
    assert {path["path"]: path["total_requests"] for path in found["paths"]} == {
        "/{shop}/items": 1,
        "/orders/{order}": 1,
        "/a": 1,
        "(other)": 2,
    }


def test_more_paths_than_seven_bits_can_number(sqlite: Store, tmp_path: Path) -> None:
    log, day = tmp_path / "log", to_day(today())
    with Counting(sqlite.open(), log, parse=parsed_log.parse, rules=DEFAULT._replace(paths=1_000)) as counting:
        for first in (0, 90, 600):
            with log.open("ab") as file:
                start = file.tell()
                for number in range(first, first + 90):
                    for method in ("GET", "PUT"):
                        file.write(parsed_line(day * DAY + number, "a", f"/p{number}", method=method, size=number))
            counting.count(Read(log, start=start, begun=0))

    async def names(storage: Storage) -> int:
        rows = (await storage.rollups(group_of("a"), ["endpoints"], day, day))[day]
        return len(decode_names(rows[-1].names)["a"])

    assert ask(sqlite.open(), names) == 540
    outcome = verified(sqlite.open(), parse=parsed_log.parse)
    assert (outcome.differences, outcome.unchecked) == ([], [])


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/orders/77?page=1", "/orders/{order}"),
        ("/orders/77/x", "/orders/{id}/x"),
        ("/orders//", "/orders//"),
        ("/orders/items", "/orders/{order}"),
        ("/shop 1/items#a", "/{shop}/items"),
        ("orders/7", "orders/{id}"),
        ("/orders/{order}", "/orders/{order}"),
    ],
)
def test_the_first_own_template_that_matches_names_a_path(path: str, template: str) -> None:
    assert PathTemplates(OWN)[path] == template
