"""Days, weeks, months and hours of time zones, periods and comparisons: all figures, against DuckDB over the log."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, datetime, timedelta, timezone
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from asking import FIGURES, ago, line, problem_detail
from asking import responses as responses_now
from log_in_duckdb import PARSE, Log, Request, combined, figures_of
from running_api import running
from stores import Store, count_lines, influxdb_store, sqlite_store

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=timezone.utc)
FIRST, LAST = datetime(2026, 3, 25), datetime(2026, 11, 24, 12)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
]
"""With days of 23 and 25 hours, offsets of a quarter and of half an hour, and the greatest ones."""
STATUSES = [200, 200, 200, 301, 404, 429, 500, 503, 101, None]


def requests() -> list[Request]:
    """Requests at any time, and just before and at the quarter hours of two nights in which clocks were set."""
    chance = random.Random(11)
    times = [FIRST + timedelta(seconds=chance.randrange(int((LAST - FIRST).total_seconds()))) for _ in range(1_800)]
    for noon in (datetime(2026, 3, 28, 12), datetime(2026, 10, 24, 12)):
        times += [noon + timedelta(minutes=15 * part, seconds=second) for part in range(96) for second in (-1, 0)]
    durations = [None, 5, 70, 9_000]
    customers = ["acme", "acme", "other"]
    return [(at, chance.choice(customers), "/a", chance.choice(STATUSES), chance.choice(durations)) for at in times]


@pytest.fixture(scope="module")
def log() -> Log:
    return Log(requests())


@pytest.fixture(scope="module", params=["sqlite", "influxdb"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of either kind with the log, one for all tests."""
    with ExitStack() as stack:
        if request.param == "influxdb":
            store = stack.enter_context(influxdb_store(request.getfixturevalue("influxd"), expires=False))
        else:
            store = stack.enter_context(sqlite_store(tmp_path_factory.mktemp("store")))
        store.fill(b"".join(combined(*request) for request in requests()), PARSE)
        yield store


@pytest.fixture
def filled(stored: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store has the log, and it is NOW."""
    monkeypatch.setattr("api.routes.request_cache.utc_now", lambda: NOW)
    return stored


def responses(store: Store, *urls: str, **settings: Any) -> list[httpx.Response]:
    return responses_now(store, *urls, counts_retention_days=400, **settings)


def answers(store: Store, *urls: str, **settings: Any) -> list[Any]:
    found = responses(store, *urls, **settings)
    assert {response.status_code for response in found} == {200}, [response.text for response in found][:1]
    return [response.json() for response in found]


def points(series: Any) -> dict[datetime, dict[str, Any]]:
    """Start -> figures."""
    return {at(point["start"]): figures_of(point) for point in series["points"]}


def at(text: str) -> datetime:
    """A time of an answer."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_days_of_each_zone_are_those_of_the_log(filled: Store, log: Log) -> None:
    urls = [
        "/customers/acme/stats?from_date=2026-03-26&percentiles=50",
        "/customers/acme/status-codes?period=2026-10",
        "/customers/acme/latencies?period=2026-10",
        "/customers/stats?period=2026-W44",
    ]
    found = iter(answers(filled, *(f"{url}&tz={zone}" for zone in ZONES for url in urls)))
    for zone in ZONES:
        log.in_zone(zone)
        stats, codes, latencies, everybody = (next(found) for _ in urls)
        of_range = "customer = 'acme' AND local::DATE >= '2026-03-26'"
        assert {date.fromisoformat(day["date"]): figures_of(day) for day in stats["daily"]} == log.figures(
            of_range, "local::DATE"
        )
        assert figures_of(stats) == log.total(of_range)
        ((median,),) = log.ask(f"SELECT quantile_disc(ms, 0.5) / 1000 FROM requests WHERE {of_range}")
        assert stats["percentiles"] == {"50": median}
        of_october = "customer = 'acme' AND local::DATE BETWEEN '2026-10-01' AND '2026-10-31'"
        assert [(row["status"], row["requests"]) for row in codes["status_codes"]] == log.ask(
            f"SELECT status, count(*) FROM requests WHERE {of_october} GROUP BY ALL ORDER BY status NULLS FIRST"
        )
        assert [row["requests"] for row in latencies["bins"] if row["requests"]] == [
            requests
            for _, requests in log.ask(
                f"SELECT ms, count(*) FROM requests WHERE ms IS NOT NULL AND {of_october} GROUP BY ALL ORDER BY ms"
            )
        ]
        # The week has the day of 25 hours in Europe at its beginning or just before.
        assert figures_of(everybody) == log.total("local::DATE BETWEEN '2026-10-26' AND '2026-11-01'")
        assert {one.get("time_zone", "UTC") for one in (stats, codes, latencies, everybody)} == {zone}


def test_weeks_months_and_hours_of_each_zone_are_those_of_the_log(filled: Store, log: Log) -> None:
    urls = [
        "/customers/acme/series?interval=day&from=2026-03-26",
        "/customers/acme/series?interval=week",
        "/customers/acme/series?interval=month",
        "/customers/acme/series?interval=hour&from=2026-10-24&to=2026-10-26",
        "/customers/acme/series?interval=day&period=2026-10",
    ]
    found = iter(answers(filled, *(f"{url}&tz={zone}" for zone in ZONES for url in urls)))
    for zone in ZONES:
        log.in_zone(zone)
        days, weeks, months, hours, of_october = (next(found) for _ in urls)
        assert of_october["points"] == [point for point in days["points"] if at(point["start"]).month == 10]
        for series, unit in ((days, "day"), (weeks, "week"), (months, "month")):
            where = "customer = 'acme'" if unit != "day" else "customer = 'acme' AND local >= '2026-03-26'"
            expected = log.figures(where, f"date_trunc('{unit}', local)::TIMESTAMP")
            assert {start.replace(tzinfo=None): figures for start, figures in points(series).items()} == expected
            assert (series["interval"], series.get("time_zone", "UTC")) == (unit, zone)
        of_days = "customer = 'acme' AND local >= '2026-10-24' AND local < '2026-10-26'"
        by_hour = log.figures(of_days, "date_trunc('hour', local) - (local - utc)")
        assert {
            start.astimezone(timezone.utc).replace(tzinfo=None): of for start, of in points(hours).items()
        } == by_hour


def test_a_comparison_is_with_as_many_days_before(filled: Store, log: Log) -> None:
    asked = [(zone, customer) for zone in ("UTC", "Europe/Berlin", "Asia/Kathmandu") for customer in ("/acme", "")]
    urls = [f"/customers{customer}/stats?period=2026-10&compare=previous&tz={zone}" for zone, customer in asked]
    for (zone, customer), found in zip(asked, answers(filled, *urls), strict=True):
        log.in_zone(zone)
        who = "customer = 'acme'" if customer else "TRUE"
        now = log.total(f"{who} AND local::DATE BETWEEN '2026-10-01' AND '2026-10-31'")
        then = log.total(f"{who} AND local::DATE BETWEEN '2026-08-31' AND '2026-09-30'")
        assert figures_of(found) == now
        assert figures_of(found["previous"]) == then
        assert (found["previous"]["from_date"], found["previous"]["to_date"]) == ("2026-08-31", "2026-09-30")
        assert found["differences"] == {
            name: {
                "absolute": now[name] - then[name],
                "percent": 100 * (now[name] - then[name]) / then[name] if then[name] else None,
            }
            for name in FIGURES
        }


def test_what_is_not_kept_or_was_not_counted_is_not_compared(filled: Store) -> None:
    too_old, before_the_log, alone, compared = answers(
        filled,
        "/customers/acme/stats?from_date=2025-11-01&compare=previous",
        "/customers/acme/stats?from_date=2026-03-25&to_date=2026-03-26&compare=previous",
        "/customers/acme/stats",
        "/customers/acme/stats?from_date=2026-03-26&to_date=2026-03-26&compare=previous",
    )
    for found in (too_old, before_the_log):
        assert (found["previous"], found["differences"]) == (None, None)
    assert "previous" not in alone
    assert compared["previous"]["from_date"] == "2026-03-25"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati"])
def test_the_day_on_which_the_log_began_can_be_compared_with_in_each_zone(
    sqlite: Store, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setattr("api.routes.request_cache.utc_now", lambda: NOW)
    # The same date in all of these zones.
    began = datetime(2026, 11, 16, 9)
    log = [(began + timedelta(days=day), "acme", 200, 5) for day in (0, 1)]
    sqlite.fill(b"".join(combined(at, who, "/a", status, ms) for at, who, status, ms in log), PARSE)
    found, earlier = answers(
        sqlite,
        f"/customers/acme/stats?from_date=2026-11-17&to_date=2026-11-17&compare=previous&tz={zone}",
        f"/customers/acme/stats?from_date=2026-11-16&to_date=2026-11-16&compare=previous&tz={zone}",
    )
    assert (found["total_requests"], found["previous"]["total_requests"]) == (1, 1)
    assert earlier["previous"] is None


def test_a_difference_to_nothing_has_no_percentage(sqlite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.routes.request_cache.utc_now", lambda: NOW)
    noon = datetime(2026, 11, 20, 12)
    log = [(noon, "other", 200, 5), *((noon + timedelta(days=1), "acme", status, 50) for status in (200, 503))]
    sqlite.fill(b"".join(combined(at, who, "/a", status, ms) for at, who, status, ms in log), PARSE)
    (found,) = answers(sqlite, "/customers/acme/stats?from_date=2026-11-21&to_date=2026-11-21&compare=previous")
    assert found["differences"]["total_requests"] == {"absolute": 2, "percent": None}
    assert found["differences"]["availability"] == {"absolute": None, "percent": None}


def test_a_zone_by_setting_is_that_of_questions_without_one(filled: Store, log: Log) -> None:
    berlin, by_setting, utc, paths, listed = answers(
        filled,
        "/customers/acme/stats?period=2026-10&tz=Europe/Berlin",
        "/customers/acme/stats?period=2026-10",
        "/customers/acme/stats?period=2026-10&tz=UTC",
        "/customers/acme/paths?period=2026-10",
        "/customers?period=2026-10",
        time_zone="Europe/Berlin",
    )
    assert berlin == by_setting != utc
    expected = log.total("customer = 'acme' AND utc::DATE BETWEEN '2026-10-01' AND '2026-10-31'")
    # Paths and lists of customers are by days of UTC, and so they say.
    assert figures_of(utc) == figures_of(paths["paths"][0]) == expected
    assert [figures_of(row) for row in listed["customers"] if row["customer_id"] == "acme"] == [expected]
    assert "time_zone" not in paths


def test_the_latest_requests_are_those_of_local_days(filled: Store, log: Log) -> None:
    (found,) = answers(
        filled, "/customers/acme/requests?from_date=2026-10-25&to_date=2026-10-25&tz=Europe/Berlin&limit=1000"
    )
    log.in_zone("Europe/Berlin")
    expected = log.ask(
        "SELECT utc FROM requests WHERE customer = 'acme' AND local::DATE = '2026-10-25' ORDER BY utc DESC"
    )
    assert [(at(row["time"]).replace(tzinfo=None),) for row in found["requests"]] == expected


@pytest.mark.parametrize(
    ("query", "parameter", "text"),
    [
        ("tz=Europe/Bielefeld", "tz", "Europe/Bielefeld is not a time zone of the IANA database"),
        ("tz=../../etc/passwd", "tz", "is not a time zone"),
        ("tz=europe/berlin", "tz", "is not a time zone"),
        ("tz=", "tz", "is not a time zone"),
        ("period=2026-13", "period", "period is no month (2026-10), ISO week (2026-W41) or quarter (2026-Q3)"),
        ("period=2026-12", "period", "period is in the future: today is 2026-11-24 in UTC"),
        ("period=2024-10", "period", "period is no longer kept: the first day that is kept is "),
        ("period=2026-10&from_date=2026-10-01", "period", "period stands in the place of from_date and to_date"),
        ("from_date=2026-11-25", "from_date", "today is 2026-11-24 in UTC"),
        ("compare=next", "compare", "'previous'"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    sqlite: Store, monkeypatch: pytest.MonkeyPatch, query: str, parameter: str, text: str
) -> None:
    monkeypatch.setattr("api.routes.request_cache.utc_now", lambda: NOW)
    (refused,) = responses(sqlite, f"/customers/c/stats?{query}")
    (fault,) = problem_detail(refused, HTTPStatus.UNPROCESSABLE_ENTITY)
    assert fault["loc"] == ["query", parameter]
    assert text in fault["msg"]


@pytest.mark.parametrize("of_times", ["from=2026-10-01", "to=2026-10-02"])
def test_a_period_of_a_series_stands_alone(sqlite: Store, of_times: str) -> None:
    (refused,) = responses(sqlite, f"/customers/c/series?interval=day&period=2026-10&{of_times}")
    (fault,) = problem_detail(refused, HTTPStatus.UNPROCESSABLE_ENTITY)
    assert (fault["loc"], fault["msg"]) == (["query", "period"], "period stands in the place of from and to")


@pytest.mark.parametrize("url", ["/customers", "/customers/c/paths", "/customers/c/errors"])
def test_lists_by_utc_days_take_no_zone(sqlite: Store, url: str) -> None:
    (refused,) = responses(sqlite, f"{url}?tz=Europe/Berlin")
    (fault,) = problem_detail(refused, HTTPStatus.UNPROCESSABLE_ENTITY)
    assert "There is no such parameter" in fault["msg"]


def test_local_days_follow_the_log_through_all_that_is_kept_of_them(sqlite: Store, tmp_path: Path) -> None:
    with running(tmp_path, sqlite.environment) as api:

        def asked(customer: str = "acme") -> list[int]:
            found = api.client.get(f"/customers/{customer}/series?interval=day&tz=Asia/Kathmandu").json()
            return [point["total_requests"] for point in found["points"]]

        sqlite.fill(b"".join(line(ago(age), "acme") * age for age in (3, 2, 1)))
        assert asked() == asked() == [3, 2, 1]
        # The next commit is counted before it is rolled up: what is read in between must not be kept.
        between: list[list[int]] = []
        late = line(ago(2), "acme") + line(ago(1), "other")
        count_lines(sqlite.open("web-1"), late, log="late", before_rollups=lambda: between.append(asked()))
        assert between == [[3, 2, 1]]
        assert asked() == asked() == [3, 3, 1]
        assert asked("other") == [1]
        sqlite.fill(line(ago(3), "other"), writer="web-2", log="later")
        assert (asked(), asked("other")) == ([3, 3, 1], [1, 1])


def test_today_is_that_of_the_zone(sqlite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite.fill(combined(datetime(2026, 11, 24, 12), "acme", "/a", 200, 5), PARSE)
    monkeypatch.setattr("api.routes.request_cache.utc_now", lambda: NOW)
    zones = ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"]
    found = answers(sqlite, *(f"/customers/acme/stats?tz={zone}" for zone in zones))
    assert [one["to_date"] for one in found] == ["2026-11-24", "2026-11-25", "2026-11-24"]
    # The question of a request changes at midnight of its zone.
    midnight = datetime(2026, 11, 24, 10, tzinfo=timezone.utc)
    for now, expected in ((midnight - timedelta(minutes=5), "2026-11-24"), (midnight, "2026-11-25")):
        monkeypatch.setattr("api.routes.request_cache.utc_now", partial(now.replace, second=0))
        (one,) = answers(sqlite, "/customers/acme/stats?tz=Pacific/Kiritimati")
        assert one["to_date"] == expected
