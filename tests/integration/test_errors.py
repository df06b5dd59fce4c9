"""Whose fault failures are: client errors, server errors and availability, in all answers."""

import random
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from asking import FIGURES, ago, answer, line, response, today
from log_in_duckdb import PARSE, Log, combined, figures_of
from stores import Store

STATUSES = [101, 200, 204, 301, 399, 400, 404, 429, 499, 500, 503, 599, 600, 999, None]
"""Each bound of a class of outcomes."""
PATHS = ["/a", "/b", "/c"]


@pytest.fixture
def log(store: Store) -> Log:
    """The store is filled with requests of every outcome, on three days."""
    chance = random.Random(7)
    midnight = datetime.combine(today(), datetime.min.time())
    requests = [
        (
            midnight - timedelta(seconds=chance.randrange(3 * 86_400) + 1),
            f"c{number % 3}",
            PATHS[chance.randrange(3)],
            chance.choice(STATUSES),
            chance.choice([None, chance.randrange(90_000)]),
        )
        for number in range(900)
    ]
    store.fill(b"".join(combined(*request) for request in requests), PARSE)
    return Log(requests)


def test_outcomes_of_all_answers_are_those_of_the_log(store: Store, log: Log) -> None:
    expected = log.total("TRUE")
    assert expected["failed_requests"] > expected["client_errors"] + expected["server_errors"]
    assert figures_of(answer(store, "/customers/stats")) == expected
    by_customer = log.figures(by="customer")
    listed = answer(store, "/customers")["customers"]
    assert {row["customer_id"]: figures_of(row) for row in listed} == by_customer
    assert figures_of(answer(store, "/customers/c0/stats")) == by_customer["c0"]
    (days, hours, paths) = (
        answer(store, f"/customers/c0/{what}")
        for what in ("stats", "series?interval=hour", "paths?sort=path&order=asc")
    )
    by_day = log.figures("customer = 'c0'", "utc::DATE")
    assert {date.fromisoformat(day["date"]): figures_of(day) for day in days["daily"]} == by_day
    by_hour = log.figures("customer = 'c0'", "strftime(utc, '%Y-%m-%dT%H:00:00Z')")
    assert {point["start"]: figures_of(point) for point in hours["points"]} == by_hour
    by_path = log.figures("customer = 'c0'", "path")
    assert {path["path"]: figures_of(path) for path in paths["paths"]} == by_path
    assert [path["path"] for path in paths["paths"]] == PATHS
    for sort in ("server_errors", "availability", "client_errors", "median"):
        field = f"{sort}_latency" if sort == "median" else sort
        found = answer(store, f"/customers/c0/paths?sort={sort}")["paths"]
        assert [path[field] for path in found] == sorted((row[field] for row in by_path.values()), reverse=True)


def test_errors_are_those_of_the_log_by_path_and_status(store: Store, log: Log) -> None:
    expected = log.ask(
        "SELECT path, status, count(*), max(utc)::DATE::VARCHAR FROM requests "
        "WHERE customer = 'c1' AND (status IS NULL OR status NOT BETWEEN 200 AND 399) "
        "GROUP BY ALL ORDER BY count(*) DESC, path, status NULLS FIRST"
    )
    found = answer(store, "/customers/c1/errors")
    assert [(row["path"], row["status"], row["requests"], row["latest_date"]) for row in found["errors"]] == expected
    assert found["total"] == len(expected) > 20
    first = answer(store, "/customers/errors?customer_id=c1&limit=2")
    assert (first["total"], first["errors"]) == (found["total"], found["errors"][:2])


def test_errors_name_the_latest_day_of_the_range(store: Store) -> None:
    store.fill(
        line(ago(2), "c", 503)
        + line(ago(2), "c", 503)
        + line(ago(1), "c", 404)
        + line(ago(0), "c", 503)
        + line(ago(0), "c")
        + line(ago(0), "fine")
    )

    def errors(url: str) -> list[tuple[Any, ...]]:
        return [(row["status"], row["requests"], row["latest_date"]) for row in answer(store, url)["errors"]]

    assert errors("/customers/c/errors") == [(503, 3, str(ago(0))), (404, 1, str(ago(1)))]
    assert errors(f"/customers/c/errors?to_date={ago(1)}") == [(503, 2, str(ago(2))), (404, 1, str(ago(1)))]
    assert errors("/customers/fine/errors") == errors("/customers/c/errors?to_date=1970-01-01") == []
    assert response(store, "/customers/nobody/errors").status_code == 404
    table = response(store, "/customers/c/errors", {"Accept": "text/csv"}).text.splitlines()
    assert table[:2] == ['"path","status","requests","latest_date"', f'"/api/v1/resource1","503","3","{ago(0)}"']


def test_without_requests_nothing_is_available_or_not(store: Store) -> None:
    store.fill(line(ago(5), "c", 503))
    empty = answer(store, f"/customers/c/stats?from_date={ago(1)}")
    assert {name: empty[name] for name in FIGURES if empty[name] is not None} == {
        "total_requests": 0,
        "successful_requests": 0,
        "failed_requests": 0,
        "client_errors": 0,
        "server_errors": 0,
    }
