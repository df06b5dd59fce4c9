"""How long answers take: with ever more stored lines, and of very many customers."""

import json
import random
import time
from collections import Counter
from functools import partial
from typing import Any, get_args

from api.questions.paging import Sort
from api.utc import to_date
from bench.asking import ALL_DAYS, Client, api, customer_path
from bench.catching_up import filled_store
from bench.fresh_stores import FreshStore, fresh_store
from bench.logs import write_at_random
from bench.report import Results, Row, draw_bars, p50_p99, spread
from bench.run import ASKED_CUSTOMERS, KEPT_DAYS, Run
from request_log.line import SECONDS_A_DAY
from rollups.counts import DailyKey, DayCounts
from storage.contract import Storage
from stores import commit_daily

REQUESTS_A_ROW = 20
CHANGED_CUSTOMERS = 100
PAGE = "limit=100"
ZONE = "Europe/Berlin"
REPEATING_SECONDS = 4.0
STATUSES = [200, 201, 404, 500]
LATENCY_MEDIAN_LOG, LATENCY_SIGMA = 4.0, 0.8


def measure(run: Run) -> Results:
    """First questions, which nothing is kept for, and the same again."""
    results = Results()
    bars: dict[str, list[float]] = {}
    for lines in run.sizes.stored:
        log = run.folder / "answers.log"
        run.show(f"writes a log of {lines:,} lines")
        write_at_random(log, lines, ASKED_CUSTOMERS, KEPT_DAYS)
        for kind in run.stores:
            with filled_store(run, kind, log, lines) as fresh:
                first, other, again, local, local_again = _customers(fresh, lines, run.sizes.repetitions)
            result = f"{_first_and_repeated(first, again)}; over other days first {p50_p99(other)}"
            settings = "filled by the processor"
            what = "GET /customers/{id}/stats"
            results.rows.append(Row(what, kind, result, lines, ASKED_CUSTOMERS, KEPT_DAYS, settings))
            of_zone = f"{what}?tz={ZONE}"
            of_local = _first_and_repeated(local, local_again)
            results.rows.append(Row(of_zone, kind, of_local, lines, ASKED_CUSTOMERS, KEPT_DAYS, settings))
            for when, seconds in (("first", first), ("other days", other), ("repeated", again)):
                bars[f"{kind}, {lines:,} lines, {when}"] = [1000 * value for value in seconds]
        log.unlink()
    for kind in run.stores:
        run.show(f"fills {kind} with {run.sizes.list_customers:,} customers")
        with fresh_store(kind, run.folder) as fresh:
            lines = _fill_rows(fresh, run.sizes.list_customers)
            run.show(f"asks {kind} with {run.sizes.list_customers:,} customers")
            results.rows += _lists(fresh, kind, run, lines)
    results.draw = partial(_draw, bars=bars)
    return results


def _customers(fresh: FreshStore, lines: int, repetitions: int) -> tuple[list[float], ...]:
    """First questions, over all days, which are made ready, and over some that are not; the first ones again; ones
    about local days, of which nothing is kept; and these again."""
    customers = [f"cust_{number}" for number in range(1, ASKED_CUSTOMERS + 1)]
    paths = list(map(customer_path, customers))
    some_days = f"from_date={to_date(int(time.time()) // SECONDS_A_DAY - KEPT_DAYS + 2)}"
    with api(fresh) as client:
        first = [client.seconds(path) for path in paths]
        other = [client.seconds(customer_path(customer, some_days)) for customer in customers]
        again = [client.seconds(path) for _ in range(repetitions) for path in paths]
        of_zone = [customer_path(customer, f"tz={ZONE}") for customer in customers]
        local = [client.seconds(path) for path in of_zone]
        local_again = [client.seconds(path) for _ in range(repetitions) for path in of_zone]
        total = json.loads(client.ask(f"/customers/stats?{ALL_DAYS}")[1])["total_requests"]
    if total != lines:
        raise RuntimeError(f"{lines:,} lines, but the api counts {total:,}")
    return first, other, again, local, local_again


def _lists(fresh: FreshStore, kind: str, run: Run, lines: int) -> list[Row]:
    """Each question first, again, and after a commit."""
    sorts = get_args(Sort)[: run.sizes.list_orders]
    pages = [f"/customers?{ALL_DAYS}&{PAGE}&sort={sort}" for sort in sorts]
    questions = {
        "GET /customers/stats": [f"/customers/stats?{ALL_DAYS}"],
        f"GET /customers, {PAGE}, by {len(sorts)} orders": pages,
    }
    made: list[float] = []
    found: dict[str, tuple[list[float], list[float], list[float]]] = {name: ([], [], []) for name in questions}
    storage, commits = fresh.store.open(), int(time.time())
    storage.acquire()
    _change(storage, commits)
    for turn in range(run.sizes.rounds):
        run.show(f"asks {kind} for lists, {turn + 1} of {run.sizes.rounds}")
        with api(fresh) as client:
            made.append(client.list_seconds())
            for name, paths in questions.items():
                first, again, moved = found[name]
                first += [client.seconds(path) for path in paths]
                again += [seconds for path in paths for seconds in _repeated(client, path, run.sizes.repetitions)]
                for path in paths:
                    commits += 1
                    _change(storage, commits)
                    moved.append(client.seconds(path))
    storage.close()
    settings = f"{REQUESTS_A_ROW} requests a customer and day, written by the storage contract as counts alone"
    after = f"after a commit of {CHANGED_CUSTOMERS} customers"

    def row(name: str, result: str) -> Row:
        return Row(name, kind, result, lines, run.sizes.list_customers, KEPT_DAYS, settings)

    return [
        row("the list of customers, made when the api starts", f"{spread(made, '.2f')} s"),
        *(
            row(name, f"{_first_and_repeated(first, again)}; {after} {p50_p99(moved)}")
            for name, (first, again, moved) in found.items()
        ),
    ]


def _change(storage: Storage, number: int) -> None:
    """A commit with other counts of some customers, today."""
    counts = DayCounts(Counter({200: number}), Counter({50: number}))
    today = int(time.time()) // SECONDS_A_DAY
    customers = [*(f"cust_{number}" for number in range(CHANGED_CUSTOMERS)), None]
    commit_daily(storage, {DailyKey(customer, today): counts for customer in customers}, number)


def _first_and_repeated(first: list[float], again: list[float]) -> str:
    return f"first {p50_p99(first)}; repeated {p50_p99(again)}"


def _repeated(client: Client, path: str, repetitions: int) -> list[float]:
    """As often as asked for, or for a few seconds."""
    deadline = time.monotonic() + REPEATING_SECONDS
    found = [client.seconds(path)]
    while len(found) < repetitions and time.monotonic() < deadline:
        found.append(client.seconds(path))
    return found


def _fill_rows(fresh: FreshStore, customers: int) -> int:
    """A row of counts for every customer and day, and no requests, which the api does not read; how many they count."""
    pick = random.Random(1)
    latencies = [round(pick.lognormvariate(LATENCY_MEDIAN_LOG, LATENCY_SIGMA)) for _ in range(100_000)]
    today = int(time.time()) // SECONDS_A_DAY
    storage = fresh.store.open()
    storage.acquire()
    lines = customers * KEPT_DAYS * REQUESTS_A_ROW
    for day in range(today - KEPT_DAYS + 1, today + 1):
        rows: dict[DailyKey, DayCounts] = {
            DailyKey(f"cust_{number}", day): DayCounts(
                Counter(pick.choices(STATUSES, [90, 5, 4, 1], k=REQUESTS_A_ROW)),
                Counter(pick.choices(latencies, k=REQUESTS_A_ROW)),
            )
            for number in range(customers)
        }
        together = DayCounts()
        for row in rows.values():
            together.add(row)
        commit_daily(storage, {**rows, DailyKey(None, day): together}, day)
    storage.close()
    return lines


def _draw(axes: Any, bars: dict[str, list[float]]) -> None:
    title = f"GET /customers/{{id}}/stats over {KEPT_DAYS} days, of {ASKED_CUSTOMERS} customers"
    draw_bars(axes, title, "ms", bars)
