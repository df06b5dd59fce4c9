"""Who sees what: a real api that asks for keys."""

import json
import socket
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_keys import TestKeys, bearer
from api.app import build_app
from asking import RETENTION_DAYS, line, today
from running_api import Api, running
from stores import Store, sqlite_store
from until import wait_until

MINE, OTHER, UNKNOWN = "mine-1", "other1", "nobody"
"""Of the same length, so that answers about them can be equal to the byte."""
ABOUT_CUSTOMERS = ["stats", "status-codes", "latencies", "series", "paths", "errors", "requests"]
OPEN = (200, 200, 200, 200)
OPERATORS = (401, 403, 403, 200)
OF_ONE = (401, 403, 200, 200)
STATUSES = {
    **dict.fromkeys(("/", "/page/main.js", "/docs", "/openapi.json", "/docs/oauth2-redirect"), OPEN),
    **dict.fromkeys(("/static-offline-docs/favicon.png", "/health", "/ready"), OPEN),
    "/session": (401, 200, 200, 200),
    "/metrics": (401, 200, 403, 200),
    "/status": OPERATORS,
    "/events": OF_ONE,
    "/customers": OPERATORS,
    **dict.fromkeys(
        ("/paths", "/paths/customers?path=/a", "/series", "/series?path=/a", "/series?interval=hour"), OPERATORS
    ),
    **{f"/customers/{what}": OPERATORS for what in ("stats", "status-codes", "latencies")},
    **{f"/customers/{what}?customer_id={MINE}": OF_ONE for what in ABOUT_CUSTOMERS},
    **{f"/customers/{MINE}/{what}": OF_ONE for what in ABOUT_CUSTOMERS},
    "/nowhere": (401, 404, 404, 404),
}
"""By path: the statuses without a key, and with a key for metrics, of a customer, and of an operator."""


class Asked(Api):
    """A running api that asks for keys, with one of each scope."""

    keys: TestKeys
    metrics: str
    mine: str
    operator: str
    store: Store


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("access")
    keys = TestKeys(folder)
    with sqlite_store(folder) as store:
        store.fill(line(today(), MINE) + line(today(), OTHER) * 3)
        environment = {**store.environment, **keys.environment, "LOGGING_LEVEL": "DEBUG"}
        with running(folder, environment) as running_api:
            found: Any = running_api
            found.keys, found.store = keys, store
            found.metrics, found.mine, found.operator = map(keys.add, ("metrics", f"customer:{MINE}", "operator"))
            yield found


def status(api: Asked, path: str, key: str | None) -> int:
    with api.client.stream("GET", path, headers=bearer(key) if key else {}) as answered:
        return answered.status_code


@pytest.mark.parametrize("path", STATUSES)
def test_each_route_shows_itself_to_those_who_may_see_it(api: Asked, path: str) -> None:
    keys = (None, api.metrics, api.mine, api.operator)
    # Twice, and the operator before the others: what is cached is no more open.
    for order in (keys, keys[::-1]):
        found = {key: status(api, path, key) for key in order}
        assert tuple(found[key] for key in keys) == STATUSES[path]


def test_every_route_is_in_the_table(api: Asked, tmp_path: Path) -> None:
    with sqlite_store(tmp_path) as store:
        app = build_app(store.open(), RETENTION_DAYS, access=api.keys.access())
    routes = {route.path for route in _routes(app)}
    known = {path.partition("?")[0].replace(MINE, "{customer_id:path}") for path in STATUSES}
    of_files = {"/page": "/page/main.js", "/static-offline-docs": "/static-offline-docs/favicon.png"}
    assert {of_files.get(path, path) for path in routes} - {"/login", "/logout"} <= known


def _routes(app: Any) -> list[Any]:
    found = []
    for route in app.routes:
        # FastAPI keeps the routers that were included.
        included = getattr(route, "original_router", None)
        found += [route] if included is None else _routes(included)
    return found


def _shown(answered: httpx.Response, customer: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """An answer without what differs each time, and without the customer's name."""
    request_id = answered.headers["X-Request-ID"]
    headers = [(name, value) for name, value in answered.headers.raw if name not in (b"x-request-id", b"date")]
    return (
        answered.status_code,
        headers,
        answered.content.replace(request_id.encode(), b"").replace(customer.encode(), b"customer"),
    )


QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "format": st.sampled_from(["csv", "json", "xml"]),
        "from_date": st.sampled_from(["1970-01-01", str(today()), "2999-01-01", "no"]),
        "to_date": st.sampled_from(["1970-01-01", str(today())]),
        "from": st.sampled_from(["1970-01-01", f"{today()}T00:00:00Z"]),
        "interval": st.sampled_from(["minute", "hour", "day", "week", "month"]),
        "tz": st.sampled_from(["UTC", "Asia/Kathmandu", "Mars/Olympus"]),
        "period": st.sampled_from([f"{today():%Y-%m}", "1999-Q1", "no"]),
        "compare": st.sampled_from(["previous", "next"]),
        "percentiles": st.sampled_from(["50,99.9", "200"]),
        "limit": st.sampled_from(["1", "0"]),
        "sort": st.sampled_from(["server_errors", "path", "x"]),
        "by": st.sampled_from(["method", "x"]),
        "status": st.sampled_from(["failed", "x"]),
    },
)


@given(
    what=st.sampled_from([*ABOUT_CUSTOMERS, "nothing"]),
    in_path=st.booleans(),
    query=QUERIES,
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    headers=st.sampled_from([{}, {"Accept": "text/csv"}, {"If-None-Match": "*"}]),
    warm=st.booleans(),
    takes_all=st.booleans(),
)
def test_another_customer_looks_like_an_unknown_one(
    api: Asked,
    what: str,
    in_path: bool,
    query: dict[str, str],
    method: str,
    headers: dict[str, str],
    warm: bool,
    takes_all: bool,
) -> None:
    known = {
        "stats": {"from_date", "to_date", "period", "tz", "percentiles", "compare"},
        "status-codes": {"from_date", "to_date", "period", "tz"},
        "latencies": {"from_date", "to_date", "period", "tz"},
        "series": {"from", "interval", "period", "tz"},
        "paths": {"from_date", "to_date", "period", "limit", "sort", "by"},
        "errors": {"from_date", "to_date", "period", "limit"},
        "requests": {"from_date", "to_date", "period", "tz", "limit", "status"},
    }.get(what, set())
    # Mostly parameters that the route has: others are refused before anything is asked.
    parameters = query if takes_all else {name: value for name, value in query.items() if name in {"format", *known}}

    def ask(customer: str, key: str) -> httpx.Response:
        path = f"/customers/{customer}/{what}" if in_path else f"/customers/{what}"
        of_one = parameters if in_path else {**parameters, "customer_id": customer}
        return api.client.request(method, path, params=of_one, headers={**headers, **bearer(key)})

    if warm:
        for customer in (OTHER, UNKNOWN):
            ask(customer, api.operator)
    answers = [_shown(ask(customer, api.mine), customer) for customer in (OTHER, UNKNOWN)]
    assert answers[0] == answers[1]
    assert answers[0][0] in (404, 405, 422)


def test_without_a_key_no_answer_tells_anything(api: Asked) -> None:
    path = f"/customers/{OTHER}/stats"
    assert api.client.get(path, headers=bearer(api.operator)).status_code == 200
    # The request is known by now, and is answered without its route.
    refused = api.client.get(path)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert api.client.get(path, headers=bearer(api.operator)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer rs_000000000000_" + "A" * 43},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer \u00fc"},
        {"Cookie": "request_statistics_session=x"},
        {"Cookie": "request_statistics_session=WyJhIiwiIl0.aaa.bbb"},
        {"Cookie": ";;;=;request_statistics_session"},
        {"X-Auth-Scope": "operator"},
    ],
)
def test_what_is_no_key_lets_nobody_in(api: Asked, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert api.client.get("/customers", headers=raw).status_code == 401


def test_two_keys_in_one_request_count_for_nothing(api: Asked) -> None:
    raw = [("Authorization", f"Bearer {key}") for key in (api.operator, api.mine)]
    assert api.client.get("/customers", headers=raw).status_code == 401


@pytest.mark.parametrize("host", ["[::1", "]", "a@b", "", "x:99999999", "a/b?c#d"])
def test_no_host_breaks_an_answer(api: Asked, host: str) -> None:
    for path in ("/customers?limit=1", f"/customers/{MINE}/stats", "/session", "/nowhere"):
        headers = {**bearer(api.operator), "Host": host}
        assert api.client.get(path, headers=headers).status_code == (404 if path == "/nowhere" else 200)


def test_answers_are_for_their_callers_alone(api: Asked) -> None:
    for path in (f"/customers/{MINE}/stats", "/customers/nobody/stats", "/session"):
        headers = api.client.get(path, headers=bearer(api.mine)).headers
        assert "private" in headers["Cache-Control"]
        assert {"Authorization", "Cookie"} <= {name.strip() for name in headers["Vary"].split(",")}


def test_each_line_of_a_request_names_its_key(api: Asked) -> None:
    api.client.get("/customers/of-the-log/stats", headers=bearer(api.mine))
    wait_until(lambda: "/customers/of-the-log/stats" in api.said(), "the request is logged")
    (answered,) = [said for said in api.said().splitlines() if "/customers/of-the-log/stats" in said]
    assert f" key={api.mine.split('_')[1]}" in answered
    assert api.mine not in api.said()


def test_a_pipelined_request_has_nothing_of_the_one_before_it(api: Asked) -> None:
    head = f"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n"
    trace = f"00-{'1' * 32}-{'2' * 16}-00"
    first = f"{head}Authorization: Bearer {api.mine}\r\nTraceparent: {trace}\r\nX-Request-ID: first-1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", api.port)) as client:
        client.sendall(f"{first}{head}X-Request-ID: second-1\r\nConnection: close\r\n\r\n".encode())
        answered = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answered.count(b"HTTP/1.1 404 ") == answered.count(b"HTTP/1.1 401 ") == 1
    wait_until(lambda: "second-1" in api.said(), "both are logged")
    (of_first,) = [said for said in api.said().splitlines() if "first-1" in said]
    (of_second,) = [said for said in api.said().splitlines() if "second-1" in said]
    assert (" key=" in of_first, trace in of_first) == (True, True)
    assert (" key=" in of_second, trace in of_second) == (False, False)


def test_a_revoked_key_ends_at_once_and_so_does_its_stream(api: Asked) -> None:
    key = api.keys.add("operator")
    with api.client.stream("GET", "/events", headers=bearer(key)) as response:
        lines = response.iter_lines()
        assert next(lines).startswith("event: progress")
        api.keys.revoke(key)
        assert api.client.get("/customers", headers=bearer(key)).status_code == 401
        began = time.monotonic()
        for _ in lines:
            pass
        assert time.monotonic() - began < 10


def test_an_expired_key_ends_at_once_and_so_does_its_stream(api: Asked) -> None:
    key = api.keys.add("operator", datetime.now(timezone.utc) + timedelta(seconds=1.5))
    with api.client.stream("GET", "/events", headers=bearer(key)) as response:
        assert response.status_code == 200
        for _ in response.iter_lines():
            pass
    assert api.client.get("/customers", headers=bearer(key)).status_code == 401


def test_while_the_file_of_keys_is_away_nobody_is_let_in(api: Asked) -> None:
    path = Path(api.keys.environment["API_KEYS_FILE"])
    path.rename(path.with_name("away"))
    assert api.client.get("/customers", headers=bearer(api.operator)).status_code == 401
    assert api.client.get("/ready").status_code == 200
    path.with_name("away").rename(path)
    assert api.client.get("/customers", headers=bearer(api.operator)).status_code == 200
    assert "event=private_file_unusable" in api.said()


def first_event(api: Asked, key: str) -> dict[str, Any]:
    """The data of the first event that the key hears."""
    with api.client.stream("GET", "/events", headers=bearer(key)) as response:
        data = next(text for text in response.iter_lines() if text.startswith("data: "))
    found: dict[str, Any] = json.loads(data.removeprefix("data: "))
    return found


def test_customers_hear_only_of_themselves(api: Asked) -> None:
    operator, customer = first_event(api, api.operator), first_event(api, api.mine)
    assert customer.keys() == {"ledger", "complete_through", "age_seconds", "seen_age_seconds", "missing"}
    assert customer["ledger"] != operator["ledger"]
    api.store.fill(line(today(), OTHER), writer="web-1")
    wait_until(lambda: first_event(api, api.operator)["ledger"] != operator["ledger"], "the operator hears of it")
    assert first_event(api, api.mine)["ledger"] == customer["ledger"]
    api.store.fill(line(today(), MINE), writer="web-2")
    wait_until(lambda: first_event(api, api.mine)["ledger"] != customer["ledger"], "the customer hears of it")


def test_the_tag_of_a_customers_answer_tells_nothing_of_others(api: Asked) -> None:
    urls = [f"/customers/{MINE}/{what}" for what in ABOUT_CUSTOMERS]
    key = bearer(api.mine)
    tags = {url: api.client.get(url, headers=key).headers["ETag"] for url in urls}
    of_operator = api.client.get(urls[0], headers=bearer(api.operator)).headers["ETag"]
    api.store.fill(line(today(), OTHER), writer="web-3")
    for url, tag in tags.items():
        same = api.client.get(url, headers={**key, "If-None-Match": tag})
        assert (same.status_code, same.headers["ETag"]) == (304, tag), url
    assert api.client.get(urls[0], headers=bearer(api.operator)).headers["ETag"] != of_operator
    api.store.fill(line(today(), MINE, 500), writer="web-4")
    for url, tag in tags.items():
        news = api.client.get(url, headers={**key, "If-None-Match": tag})
        assert (news.status_code, news.headers["ETag"] != tag) == (200, True), url


def test_why_the_store_is_away_is_for_operators_and_the_log(tmp_path: Path) -> None:
    keys = TestKeys(tmp_path)
    away = {
        "STORAGE": "influxdb",
        "INFLUXDB_URL": "http://store.internal.invalid:1",
        "INFLUXDB_ORG": "org",
        "INFLUXDB_BUCKET": "bucket",
        "INFLUXDB_TOKEN": "token",
    }
    with running(tmp_path, {**keys.environment, **away}) as api:
        stats = f"/customers/{MINE}/stats"
        callers = (("/ready", None), (stats, keys.add(f"customer:{MINE}")), (stats, keys.add("operator")))
        answers = [api.client.get(url, headers=bearer(key) if key else {}) for url, key in callers]
        assert [answered.status_code for answered in answers] == [503] * 3
        assert ["store.internal" in answered.text for answered in answers] == [False, False, True]
        for answered in answers:
            said = [text for text in api.said().splitlines() if answered.json()["request_id"] in text]
            assert any("event=store_unavailable" in text and "store.internal" in text for text in said)


def test_several_customers_of_one_key(api: Asked) -> None:
    key = api.keys.add(f"customer:{MINE},{OTHER}")
    for customer, expected in ((MINE, 200), (OTHER, 200), (UNKNOWN, 404)):
        assert api.client.get(f"/customers/{customer}/stats", headers=bearer(key)).status_code == expected
    assert api.client.get("/session", headers=bearer(key)).json()["customers"] == [MINE, OTHER]


def test_the_document_says_what_a_key_is_for(api: Asked) -> None:
    document = api.client.get("/openapi.json").json()
    (name,) = document["components"]["securitySchemes"]
    assert document["components"]["securitySchemes"][name]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        responses = operations["get"]["responses"]
        if path in ("/health", "/ready"):
            assert "security" not in operations["get"]
        else:
            assert operations["get"]["security"] == [{name: []}]
            for error in ("401", "403", "429"):
                assert responses[error]["content"].keys() == {"application/problem+json"}
