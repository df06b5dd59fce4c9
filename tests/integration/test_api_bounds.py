"""Bounds of the api: durations of answers, and known parameters."""

import asyncio
from http import HTTPStatus

import httpx
import pytest

from api.app import build_app
from asking import RETENTION_DAYS, line, problem_detail, response, today
from stores import Store


@pytest.fixture
def store(sqlite: Store) -> Store:
    """A store with many customers."""
    sqlite.fill(b"".join(line(today(), f"cust_{number}") for number in range(2_000)))
    return sqlite


def test_a_query_that_takes_sqlite_too_long_is_503(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert response(store, "/customers").status_code == 200
    monkeypatch.setattr("storage.sqlite.connection._QUESTION_SECONDS", 0.0)
    rejected = response(store, "/customers")
    assert rejected.status_code == 503
    assert rejected.headers["Retry-After"] == "5"
    assert rejected.json()["detail"] == "SQLite store requests.sqlite: no answer within 0 s"


def test_who_asks_whether_it_is_ready_at_once_has_the_store_asked_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = store.open()
    ping, pings = storage.ping, 0

    async def counted() -> None:
        nonlocal pings
        pings += 1
        await ping()

    monkeypatch.setattr(storage, "ping", counted)

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(build_app(storage, RETENTION_DAYS))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            answers = await asyncio.gather(*(client.get("/ready") for _ in range(100)))
        await storage.aclose()
        return [answered.status_code for answered in answers]

    assert asyncio.run(ask()) == [200] * 100
    # Those who come while it is asked have it asked once more.
    assert pings < 10


@pytest.mark.parametrize(
    ("url", "name", "said"),
    [
        (
            "/customers/cust_1/stats?fromdate=2026-01-01",
            "fromdate",
            "allowed are compare, format, from_date, percentiles, period, to_date, tz",
        ),
        (
            "/customers/cust_1/series?from_date=2026-01-01",
            "from_date",
            "allowed are format, from, interval, period, to, tz",
        ),
        (
            "/customers/paths?customer_id=cust_1&page=2",
            "page",
            "allowed are by, customer_id, format, from_date, limit, order, period, sort, to_date",
        ),
        ("/status?verbose=1", "verbose", "there are none"),
    ],
)
def test_an_unknown_parameter_is_rejected_with_the_known_ones(store: Store, url: str, name: str, said: str) -> None:
    rejected = response(store, url)
    (error,) = problem_detail(rejected, HTTPStatus.UNPROCESSABLE_ENTITY)
    assert error["loc"] == ["query", name]
    assert error["msg"] == f"There is no such parameter: {said}"


@pytest.mark.parametrize("again", ["to_date=2026-01-01", "to_date=2026-01-02", "%74o_date="])
def test_a_parameter_that_comes_twice_is_rejected(store: Store, again: str) -> None:
    rejected = response(store, f"/customers/cust_1/stats?from_date=2026-01-01&to_date=2026-01-01&{again}")
    (error,) = problem_detail(rejected, HTTPStatus.UNPROCESSABLE_ENTITY)
    assert error["loc"] == ["query", "to_date"]
    assert error["msg"] == "The parameter comes more than once: give it one value"


def test_an_answer_that_takes_too_long_is_503(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.questions.responding._MAX_SECONDS", 0.0)
    rejected = response(store, "/customers")
    assert rejected.status_code == 503
    assert "ask again" in rejected.json()["detail"]
