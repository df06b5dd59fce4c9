"""The api's answers, over HTTP, from real stores."""

import csv
import random
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from datetime import time as clock
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import oracle
import parsed_log
from asking import FIGURES, RETENTION_DAYS, ago, answer, line, problem_detail, response, responses, today
from json_log import PARSE, json_line
from lines import valid_lines
from parsed_log import parsed_line
from stores import Store

NOTHING = dict(zip(FIGURES, [0, 0, 0, 0, 0, None, None, None, None, None], strict=True))
ODD_CUSTOMERS = [
    "a/b",
    "/a",
    "a/",
    "a//b",
    "stats",
    "stats/stats",
    "latencies",
    "a/status-codes",
    "a/stats",
    "/",
    'quo"te',
    "quo'te",
    "com,ma",
    "equals=sign",
    "back\\slash\\",
    "per%cent",
    "%2F",
    "a%2Fb",
    "pl+us",
    "ques?tion",
    "ha#sh",
    "semi;colon&ampersand",
    "$customer",
    "' or 1=1 --".replace(" ", ""),
    "ünïcödé-客户-🙂",
    "line\u2028separator",
    "{brace}",
    "<script>",
]
WITHOUT_PATH = [".", "..", "../..", "a/../b"]
"""Customers that HTTP clients cannot send in a path, because they resolve these as relative paths."""


def in_path(customer: str) -> str:
    return f"/customers/{quote(customer, safe='')}/stats"


def test_every_figure_of_every_customer_and_day_is_that_of_the_log(store: Store) -> None:
    log = valid_lines(3_000, days=4)
    store.fill(log)
    truth = oracle.days_of(log)
    customers = {customer for customer, _ in truth if customer is not None}
    answers = responses(store, "/customers/stats", *map(in_path, customers))
    served = {
        (found["customer_id"], day["date"]): tuple(day[figure] for figure in FIGURES)
        for found in (response.json() for response in answers)
        for day in found["daily"]
    }
    assert served == truth


def test_figures_over_a_range_are_those_of_all_its_requests(store: Store) -> None:
    store.fill(
        line(ago(2), "c", 200, "0.100")
        + line(ago(2), "c", 301, "0.300")
        + line(ago(1), "c", 404, "0.200")
        + line(ago(1), "other", 500, "9")
        + line(ago(0), "c", 399, "1.0005")
    )
    found = answer(store, "/customers/c/stats?from_date=1970-01-01")
    assert [day["date"] for day in found.pop("daily")] == [str(ago(2)), str(ago(1)), str(ago(0))]
    assert found == {
        "customer_id": "c",
        "from_date": str(ago(RETENTION_DAYS)),
        "to_date": str(today()),
        "complete_through": None,
        "missing": [],
        "total_requests": 4,
        "successful_requests": 3,
        "failed_requests": 1,
        "client_errors": 1,
        "server_errors": 0,
        "uptime": 75.0,
        "availability": 100.0,
        "average_latency": (0.1 + 0.3 + 0.2 + 1.001) / 4,
        "median_latency": 0.25,
        "p99_latency": 1.001,
    }
    everybody = answer(store, "/customers/stats")
    assert everybody["customer_id"] is None
    assert (everybody["total_requests"], everybody["p99_latency"]) == (5, 9.0)
    assert (everybody["failed_requests"], everybody["client_errors"], everybody["server_errors"]) == (2, 1, 1)
    assert (everybody["uptime"], everybody["availability"]) == (60.0, 80.0)


def test_both_dates_are_inclusive_and_the_answer_has_the_dates_that_were_used(store: Store) -> None:
    store.fill(b"".join(line(ago(age), "c") for age in (4, 3, 2, 1, 0)))

    def days(query: str) -> list[str]:
        found = answer(store, f"/customers/c/stats?{query}")
        assert found["total_requests"] == len(found["daily"])
        return [found["from_date"], found["to_date"], *(day["date"] for day in found["daily"])]

    kept = str(ago(RETENTION_DAYS))
    assert days(f"from_date={ago(3)}&to_date={ago(2)}") == [str(ago(age)) for age in (3, 2, 3, 2)]
    assert days(f"from_date={ago(1)}&to_date={ago(1)}") == [str(ago(1))] * 3
    assert days(f"to_date={ago(4)}") == [kept, str(ago(4)), str(ago(4))]
    assert days(f"from_date={ago(1)}&to_date=2199-01-01") == [str(ago(age)) for age in (1, 0, 1, 0)]


def test_expired_days_are_left_out_even_if_the_store_still_has_them(store: Store) -> None:
    store.fill(line(ago(RETENTION_DAYS), "c") + line(ago(RETENTION_DAYS + 1), "c"))
    found = answer(store, "/customers/c/stats?from_date=1970-01-01")
    assert [day["date"] for day in found["daily"]] == [str(ago(RETENTION_DAYS))]
    before = answer(store, f"/customers/c/stats?from_date=1970-01-01&to_date={ago(RETENTION_DAYS + 1)}")
    assert {figure: before[figure] for figure in FIGURES} == NOTHING
    assert answer(store, f"/customers?to_date={ago(RETENTION_DAYS + 1)}")["total"] == 0


def test_an_unknown_customer_is_404_and_one_without_requests_in_the_range_is_zero(store: Store) -> None:
    store.fill(line(ago(3), "c"))
    for url in ("/customers/nobody/stats", "/customers/stats?customer_id=nobody"):
        found = response(store, url)
        assert found.status_code == 404
        assert found.json()["detail"] == "Customer nobody is unknown: none of its requests is stored"
    for url in ("/customers/c/stats?", "/customers/stats?customer_id=c&", "/customers/stats?"):
        empty = answer(store, f"{url}from_date={ago(2)}")
        assert {figure: empty[figure] for figure in FIGURES} == NOTHING
        assert empty["daily"] == []


def test_every_customer_id_can_be_asked_for(store: Store) -> None:
    store.fill(b"".join(line(today(), customer) for customer in [*ODD_CUSTOMERS, *WITHOUT_PATH]))
    for what in ("stats", "status-codes", "latencies", "series", "paths", "requests"):
        in_path = [f"/customers/{quote(customer, safe='')}/{what}" for customer in ODD_CUSTOMERS]
        in_query = [
            f"/customers/{what}?customer_id={quote(customer, safe='')}" for customer in ODD_CUSTOMERS + WITHOUT_PATH
        ]
        found = [answered.json() for answered in responses(store, *in_path, *in_query)]
        assert [one.get("customer_id") for one in found] == ODD_CUSTOMERS * 2 + WITHOUT_PATH
        if what == "stats":
            assert {one["total_requests"] for one in found} == {1}
        elif what in ("paths", "requests"):
            assert {len(one[what]) for one in found} == {1}
    listed = answer(store, "/customers?sort=customer_id")
    assert [one["customer_id"] for one in listed["customers"]] == sorted([*ODD_CUSTOMERS, *WITHOUT_PATH], reverse=True)


def test_slashes_in_a_customer_id_need_no_encoding(sqlite: Store) -> None:
    sqlite.fill(line(today(), "a/b") + line(today(), "stats"))
    assert answer(sqlite, "/customers/a/b/stats")["customer_id"] == "a/b"
    assert answer(sqlite, "/customers/stats/stats")["customer_id"] == "stats"
    assert answer(sqlite, "/customers/stats")["customer_id"] is None


@pytest.mark.parametrize("what", ["series", "paths", "requests"])
def test_questions_about_one_customer_require_its_id(sqlite: Store, what: str) -> None:
    found = response(sqlite, f"/customers/{what}")
    assert found.status_code == 422
    (fault,) = found.json()["detail"]
    assert (fault["loc"], fault["msg"]) == (["query", "customer_id"], "Field required")


@pytest.mark.parametrize("url", ["/customers//stats", "/customers/stats?customer_id=", "/customers/paths?customer_id="])
def test_an_empty_customer_id_is_invalid_and_does_not_mean_all_customers(sqlite: Store, url: str) -> None:
    sqlite.fill(line(today(), "c"))
    assert response(sqlite, url).status_code == 422


@pytest.mark.parametrize(
    "text",
    [
        "20261124",
        "2026-02-30",
        "2026-13-01",
        "2026-1-1",
        "0000-01-01",
        "2026-11-24T00:00:00",
        "24.11.2026",
        "\u0662026-11-24",
        "yesterday",
        "0",
        "-1",
        "1700000000",
        "",
    ],
)
@pytest.mark.parametrize("parameter", ["from_date", "to_date"])
def test_an_invalid_date_is_rejected(sqlite: Store, parameter: str, text: str) -> None:
    found = response(sqlite, f"/customers/stats?{parameter}={quote(text)}")
    assert found.status_code == 422
    (fault,) = found.json()["detail"]
    assert fault["loc"] == ["query", parameter]


@pytest.mark.parametrize("url", ["/customers", "/customers/stats", "/customers/c/stats"])
def test_an_impossible_range_is_rejected(sqlite: Store, url: str) -> None:
    sqlite.fill(line(today(), "c"))
    before = today()
    future, reverse, longest = responses(
        sqlite,
        f"{url}?from_date={ago(-2)}",
        f"{url}?from_date={ago(1)}&to_date={ago(2)}",
        f"{url}?from_date=0001-01-01&to_date=9999-12-31",
    )
    assert future.status_code == 422
    message = future.json()["detail"][0]["msg"]
    assert message in [f"from_date is in the future: today is {day} in UTC" for day in (before, today())]
    assert reverse.status_code == 422
    assert reverse.json()["detail"][0]["msg"] == f"to_date is before from_date, {ago(1)}"
    assert longest.status_code == 200


# Five customers, some of them equal in `requests`, `failures`, `uptime` and latencies.
LISTED = {
    "a": [(200, "0.1"), (200, "0.2"), (500, "0.9")],
    "b": [(200, "0.5"), (200, "0.5")],
    "c": [(200, "0.1"), (404, "0.2"), (404, "0.4")],
    "d": [(200, "0.7")],
    "e": [(500, "0.1")],
}


@pytest.fixture
def listed(store: Store) -> Store:
    """A store with the customers of LISTED today, and another customer ten days ago."""
    lines = [line(today(), customer, *request) for customer, requests in LISTED.items() for request in requests]
    store.fill(b"".join(lines) + line(ago(10), "gone"))
    return store


SORTS: list[tuple[str, Callable[[oracle.Figures], Any]]] = [
    ("total", lambda figures: figures[0]),
    ("failed", lambda figures: figures[2]),
    ("client_errors", lambda figures: figures[3]),
    ("server_errors", lambda figures: figures[4]),
    ("uptime", lambda figures: figures[5]),
    ("availability", lambda figures: figures[6]),
    ("average", lambda figures: figures[7]),
    ("median", lambda figures: figures[8]),
    ("p99", lambda figures: figures[9]),
]


def test_customers_are_sorted_by_any_figure_and_then_by_id(listed: Store) -> None:
    figures = {customer: oracle.figures(requests) for customer, requests in LISTED.items()}
    urls = [
        f"/customers?from_date={today()}&sort={sort}&order={order}" for sort, _ in SORTS for order in ("asc", "desc")
    ]
    found = [
        [customer["customer_id"] for customer in answered.json()["customers"]] for answered in responses(listed, *urls)
    ]
    assert found == [
        sorted(figures, key=lambda customer: (sign * figure(figures[customer]), customer))
        for _, figure in SORTS
        for sign in (1, -1)
    ]


def test_requests_without_durations_count_and_have_no_latencies(store: Store) -> None:
    timed = json_line(f"{today()}T12:00:00.25Z", "b", "/a", 200, "0.5")
    untimed = b"".join(json_line(f"{today()}T12:00:01Z", customer, "/a", 500) for customer in "acd")
    store.fill(timed + untimed, PARSE)
    urls = [f"/customers?sort=p99&order={order}&limit=3" for order in ("asc", "desc")]
    first, last = (answered.json() for answered in responses(store, *urls))
    assert [customer["customer_id"] for customer in first["customers"]] == ["b", "a", "c"]
    assert [customer["customer_id"] for customer in last["customers"]] == ["b", "a", "c"]
    rest = answer(store, f"{urls[0]}&cursor={first['next_cursor']}")
    assert [customer["customer_id"] for customer in rest["customers"]] == ["d"]

    nothing = {"average_latency": None, "median_latency": None, "p99_latency": None}
    for url in ("", "/customers/a"):
        found = answer(store, f"{url or '/customers'}/stats?percentiles=50")
        assert found["total_requests"] == (1 if url else 4)
        assert found["percentiles"] == {"50": None if url else 0.5}
        assert found.items() >= (nothing if url else {"p99_latency": 0.5}).items()
    assert answer(store, "/customers/a/latencies")["bins"] == []
    assert answer(store, "/customers/b/latencies")["total"] == 1
    for interval in ("minute", "hour", "day"):
        (point,) = answer(store, f"/customers/a/series?interval={interval}&from={today()}")["points"]
        assert point.items() >= nothing.items()
    assert answer(store, "/customers/a/paths")["paths"][0].items() >= nothing.items()
    (of_a,) = answer(store, "/customers/a/requests")["requests"]
    (of_b,) = answer(store, "/customers/b/requests")["requests"]
    assert (of_a["time"], of_a["duration"]) == (f"{today()}T12:00:01Z", None)
    assert (of_b["time"], of_b["duration"]) == (f"{today()}T12:00:00.250000Z", 0.5)


def test_a_request_without_a_status_has_failed_with_status_null(store: Store) -> None:
    pick = random.Random(1)
    noon = int(datetime.combine(today(), clock(12), timezone.utc).timestamp())
    statuses = [0, *(pick.choice([0, 100, 199, 200, 399, 400, 599, 600, 999]) for _ in range(60))]
    durations = [pick.choice(["", "0.001", "0.5"]) for _ in statuses]
    requests = list(zip(statuses, durations, strict=True))
    lines = [parsed_line(noon + n, "c", "/a", *request) for n, request in enumerate(requests)]
    store.fill(b"".join(lines), parsed_log.parse)
    logged = [status or None for status in statuses]
    expected = dict(zip(FIGURES, oracle.figures(list(zip(logged, durations, strict=True))), strict=True))

    for url in ("/customers/c/stats", "/customers/stats"):
        found = answer(store, url)
        assert found.items() >= expected.items()
        assert found["daily"] == [{"date": str(today()), **expected}]
    assert answer(store, "/customers")["customers"] == [{"customer_id": "c", **expected}]
    assert answer(store, "/customers/c/paths")["paths"] == [{"path": "/a", **expected, "bytes_sent": None}]
    for interval in ("hour", "day"):
        (point,) = answer(store, f"/customers/c/series?interval={interval}&from={today()}")["points"]
        assert point.items() >= expected.items()

    counted = Counter(logged)
    codes = [{"status": status, "requests": counted[status]} for status in sorted(counted, key=lambda one: one or 0)]
    assert answer(store, "/customers/c/status-codes")["status_codes"] == codes
    header, without, *_ = response(store, "/customers/c/status-codes?format=csv").text.splitlines()
    assert (header, without) == ('"status","requests"', f'"","{counted[None]}"')

    outcomes = {
        "failed": [status for status in logged if status is None or not 200 <= status < 400],
        "successful": [status for status in logged if status is not None and 200 <= status < 400],
        "client_errors": [status for status in logged if status is not None and 400 <= status < 500],
        "server_errors": [status for status in logged if status is None or 500 <= status < 600],
        "all": logged,
    }
    for outcome, expected_statuses in outcomes.items():
        latest = answer(store, f"/customers/c/requests?status={outcome}")["requests"]
        assert [one["status"] for one in reversed(latest)] == expected_statuses


def test_the_latest_requests_have_the_method_and_the_bytes_that_were_logged(store: Store) -> None:
    noon = int(datetime.combine(today(), clock(12), timezone.utc).timestamp())
    logged = [("GET", 512), ("", 0), ("POST", None), ("", None)]
    lines = [parsed_line(noon + n, "c", method=method, size=size) for n, (method, size) in enumerate(logged)]
    store.fill(b"".join(lines), parsed_log.parse)
    found = answer(store, "/customers/c/requests")["requests"]
    assert [(one["method"], one["bytes"]) for one in reversed(found)] == [
        ("GET", 512),
        (None, 0),
        ("POST", None),
        (None, None),
    ]
    header, *rows = response(store, "/customers/c/requests?format=csv").text.splitlines()
    assert header == '"time","path","status","duration","method","bytes"'
    methods_and_bytes = [row.split(",", 3)[3] for row in reversed(rows)]
    assert methods_and_bytes == ['"","GET","512"', '"","","0"', '"","POST",""', '"","",""']


@pytest.mark.parametrize("part", ["/a.b", "a+b(c)[d]{e}^$|*?", "/", "\\", "'; --", "שלום", "%41", "A", "%", "a b"])
def test_the_latest_requests_are_those_whose_path_has_a_text(store: Store, part: str) -> None:
    noon = int(datetime.combine(today(), clock(12), timezone.utc).timestamp())
    paths = ["/a.b/1", "/aXb/2", "/x/a+b(c)[d]{e}^$|*?/y", "/\\d", "/'; --", "/שלום/1", "/%41", "/A", "/a b"]
    store.fill(b"".join(parsed_line(noon + n, "c", path, 500) for n, path in enumerate(paths)), parsed_log.parse)
    found = answer(store, f"/customers/c/requests?status=server_errors&path={quote(part, safe='')}")["requests"]
    assert [one["path"] for one in reversed(found)] == [path for path in paths if part in path]


def test_paths_are_searched_in_all_days(store: Store) -> None:
    days = [age for age in range(20) if age not in (4, 5, 11)]
    store.fill(b"".join(line(ago(age), "c", 404) + line(ago(age), "c") for age in days))
    for status, each in (("all", 2), ("client_errors", 1)):
        for limit in (1, 3, 9, 1_000):
            url = f"/customers/c/requests?path=/resource1&status={status}&limit={limit}"
            expected = [str(ago(age)) for age in days for _ in range(each)]
            assert [one["time"][:10] for one in answer(store, url)["requests"]] == expected[:limit]


def test_customers_are_listed_with_their_totals_in_pages(listed: Store) -> None:
    every = answer(listed, "/customers")
    assert [customer["customer_id"] for customer in every["customers"]] == ["a", "c", "b", "d", "e", "gone"]
    assert (every["from_date"], every["to_date"]) == (str(ago(RETENTION_DAYS)), str(today()))

    first = f"/customers?from_date={today()}&sort=customer_id&order=asc&limit=2"
    page = answer(listed, f"{first}&cursor={answer(listed, first)['next_cursor']}")
    assert page["total"] == len(LISTED)
    assert page["customers"] == [
        {"customer_id": customer, **dict(zip(FIGURES, oracle.figures(LISTED[customer]), strict=True))}
        for customer in ("c", "d")
    ]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        "sort=size",
        "order=down",
        "format=xml",
        "search=",
        f"search={'x' * 257}",
        "cursor=",
        "cursor=x",
        "cursor=%FF",
        f"cursor={'x' * 1001}",
    ],
)
def test_invalid_parameters_of_the_list_are_rejected(sqlite: Store, query: str) -> None:
    assert response(sqlite, f"/customers?{query}").status_code == 422


@pytest.mark.parametrize("figure", ["uptime", "availability"])
def test_a_percentage_of_all_answers_comes_from_one_function(
    sqlite: Store, monkeypatch: pytest.MonkeyPatch, figure: str
) -> None:
    monkeypatch.setattr(f"rollups.figures.{figure}", lambda some, total: 42.0)
    sqlite.fill(line(today(), "c") + line(today(), "c", 500))
    lists = {
        "/customers": "customers",
        "/customers/stats": "daily",
        "/customers/c/stats": "daily",
        "/customers/c/stats?percentiles=50": "daily",
        "/customers/c/series?interval=day": "points",
        "/customers/c/series?interval=hour": "points",
        "/customers/c/series?interval=minute": "points",
        "/customers/c/paths": "paths",
    }
    for url, rows in lists.items():
        found = answer(sqlite, url)
        assert [row[figure] for row in found[rows]] == [42.0], url
        assert found.get(figure, 42.0) == 42.0, url
        as_csv = response(sqlite, url, {"Accept": "text/csv"}).text
        assert [row[figure] for row in csv.DictReader(as_csv.splitlines())] == ["42.0"], url


def test_an_empty_store_is_ready_and_has_no_customers(store: Store) -> None:
    assert answer(store, "/health") == {"status": "ok"}
    assert answer(store, "/ready") == {"status": "ok"}
    assert answer(store, "/customers")["customers"] == []
    assert answer(store, "/customers/stats")["total_requests"] == 0


@pytest.mark.parametrize("url", ["/nothing", "/customers/", "/customers/c", "/redoc", "/static-offline-docs/no"])
def test_an_unknown_url_is_404_with_problem_details(sqlite: Store, url: str) -> None:
    found = response(sqlite, url)
    assert problem_detail(found, HTTPStatus.NOT_FOUND) == "Not Found"


def test_the_documentation_needs_no_other_server(sqlite: Store) -> None:
    page = response(sqlite, "/docs")
    assert page.status_code == 200
    assert not re.search(r"https?://|['\"]//", page.text)
    files = re.findall(r"(?:href|src)=\"([^\"]+)\"", page.text)
    assert [Path(file).suffix for file in files] == [".css", ".png", ".js"]
    for found, kind in zip(responses(sqlite, *files), ["text/css", "image/png", "text/javascript"], strict=True):
        assert found.status_code == 200
        assert found.headers["content-type"].partition(";")[0] == kind


@pytest.mark.parametrize("url", ["/customers/c/stats", "/customers", "/customers/nobody/stats", "/health", "/nothing"])
def test_head_has_the_response_of_get_without_the_body(sqlite: Store, url: str) -> None:
    sqlite.fill(line(today(), "c"))
    get, head = (response(sqlite, url, {"X-Request-ID": "id"}, method=method) for method in ("GET", "HEAD"))
    assert (head.status_code, head.headers, head.content) == (get.status_code, get.headers, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_405_with_the_allowed_ones(sqlite: Store, method: str) -> None:
    for url in ("/customers/c/stats", "/customers", "/ready"):
        rejected = response(sqlite, url, method=method)
        assert rejected.headers["Allow"] == "GET, HEAD"
        assert problem_detail(rejected, HTTPStatus.METHOD_NOT_ALLOWED) == "Method Not Allowed"


def test_a_too_long_url_is_rejected(sqlite: Store) -> None:
    for url in (f"/customers/{'x' * 8_000}/stats", f"/customers?search={'x' * 8_000}"):
        rejected = response(sqlite, url)
        detail = problem_detail(rejected, HTTPStatus.REQUEST_URI_TOO_LONG)
        assert detail == "The path and the query are longer than 8000 characters"


def test_a_customer_id_that_is_too_long_for_any_log_is_rejected(sqlite: Store) -> None:
    for url in (f"/customers/{'x' * 257}/stats", f"/customers/latencies?customer_id={'x' * 257}"):
        assert response(sqlite, url).status_code == 422
