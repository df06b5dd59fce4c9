"""Requests to an api inside the process of the test."""

import asyncio
from datetime import date, datetime, timedelta, timezone
from http import HTTPStatus
from typing import Any

import httpx

from api.app import build_app
from stores import Store

RETENTION_DAYS = 45
FIGURES = [
    "total_requests",
    "successful_requests",
    "failed_requests",
    "client_errors",
    "server_errors",
    "uptime",
    "availability",
    "average_latency",
    "median_latency",
    "p99_latency",
]
"""In the order of `oracle.Figures`."""

Headers = dict[str, str] | dict[bytes, bytes]


def responses(
    store: Store, *urls: str, headers: Headers | None = None, method: str = "GET", **settings: Any
) -> list[httpx.Response]:
    """The responses of one api to these URLs, in order. `settings`: further arguments of `build_app`."""

    async def ask() -> list[httpx.Response]:
        storage = store.open()
        transport = httpx.ASGITransport(build_app(storage, RETENTION_DAYS, allowed_hosts={"api"}, **settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            answers = [await client.request(method, url, headers=headers) for url in urls]
        await storage.aclose()
        return answers

    return asyncio.run(ask())


def response(store: Store, url: str, headers: Headers | None = None, method: str = "GET") -> httpx.Response:
    """The response to one URL."""
    (answer,) = responses(store, url, headers=headers, method=method)
    return answer


def answer(store: Store, url: str) -> Any:
    """The JSON of a response that must have status 200."""
    found = response(store, url)
    assert found.status_code == 200, found.text
    return found.json()


def problem_detail(found: httpx.Response, status: HTTPStatus) -> Any:
    """The detail of a response that must be problem details (RFC 9457) with this status."""
    assert found.status_code == status
    assert found.headers["Content-Type"] == "application/problem+json"
    problem = found.json()
    assert (problem["type"], problem["title"], problem["status"]) == ("about:blank", status.phrase, status)
    assert problem["request_id"] == found.headers["X-Request-ID"]
    return problem["detail"]


def line(day: date, customer: str, status: int = 200, seconds: str = "0.100", clock: str = "12:00:00") -> bytes:
    """A line of a log in the format `simple`."""
    return f"{day} {clock} {customer} /api/v1/resource1 {status} {seconds}\n".encode()


def today() -> date:
    """Today in UTC."""
    return datetime.now(timezone.utc).date()


def ago(days: int) -> date:
    """The UTC day this many days before today."""
    return today() - timedelta(days=days)
