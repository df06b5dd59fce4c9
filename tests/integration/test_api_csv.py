"""CSV: the figures of JSON, and no cell that a spreadsheet would run."""

import csv
import io
import re
from urllib.parse import quote

import httpx
import pytest

from asking import ago, line, response, responses, today
from storage.ledger import Report
from stores import Store, count_lines, write_report

LISTS = {
    "/customers": "customers",
    "/customers/stats": "daily",
    "/customers/c/stats?percentiles=50,99.9": "daily",
    "/customers/c/status-codes": "status_codes",
    "/customers/c/latencies": "bins",
    "/customers/c/errors": "errors",
}
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://evil","x")', "\uff1dA1"]


def rows(answered: httpx.Response) -> list[dict[str, str]]:
    assert answered.status_code == 200, answered.text
    assert answered.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    text = answered.content.decode()
    assert text.count("\n") == text.count("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def flat(row: dict[str, object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in row.items():
        inner = {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
        found |= {key: "" if one is None else str(one) for key, one in inner.items()}
    return found


@pytest.mark.parametrize("url", LISTS)
def test_csv_has_the_rows_of_json(store: Store, url: str) -> None:
    store.fill(line(ago(1), "c", 404, "0.2") + line(ago(0), "c") + line(ago(0), "d,\u5ba2", 500, "9"))
    as_json = response(store, url)
    as_csv = response(store, url, {"Accept": "text/csv"})
    assert rows(as_csv) == [flat(row) for row in as_json.json()[LISTS[url]]]
    assert as_json.headers["Content-Type"] == "application/json"
    assert as_json.headers["Vary"] == as_csv.headers["Vary"] == "Accept"
    assert as_json.headers["ETag"] != as_csv.headers["ETag"]
    by_query = response(store, f"{url}{'&' if '?' in url else '?'}format=csv", {"Accept": "application/json"})
    assert (by_query.content, by_query.headers["ETag"]) == (as_csv.content, as_csv.headers["ETag"])


def test_an_empty_list_has_a_header_row(sqlite: Store) -> None:
    counts = "total_requests,successful_requests,failed_requests,client_errors,server_errors"
    figures = f"{counts},uptime,availability,average_latency,median_latency,p99_latency"
    urls = [*LISTS, "/customers/stats?percentiles=50,99.9"]
    sqlite.fill(line(ago(5), "c"))
    asked = [f"{url}{'&' if '?' in url else '?'}format=csv&from_date={today()}" for url in urls]
    assert [answered.text.replace('"', "") for answered in responses(sqlite, *asked)] == [
        f"customer_id,{figures}\r\n",
        f"date,{figures}\r\n",
        f"date,{figures},percentiles.50,percentiles.99.9\r\n",
        "status,requests\r\n",
        "from_latency,to_latency,requests\r\n",
        "path,status,requests,latest_date\r\n",
        f"date,{figures},percentiles.50,percentiles.99.9\r\n",
    ]


def test_no_cell_is_a_formula(sqlite: Store) -> None:
    odd = ["'quoted", 'com,ma"', "a=b"]
    sqlite.fill(b"".join(line(today(), customer) for customer in [*FORMULAS, *odd]))
    found = {row["customer_id"] for row in rows(response(sqlite, "/customers?format=csv"))}
    assert found == {*(f"'{formula}" for formula in FORMULAS), *odd}


def test_each_cell_is_quoted(sqlite: Store) -> None:
    sqlite.fill(line(today(), ";=1+1;x"))
    table = response(sqlite, "/customers?format=csv").text
    assert all(re.fullmatch(r'"[^"]*"(,"[^"]*")*', row) for row in table.splitlines())
    assert '";=1+1;x","1","1","0","0","0","100.0","100.0",' in table


@pytest.mark.parametrize(
    ("customer", "name"),
    [
        ("c", "c"),
        ('a"b\\c', "a_b_c"),
        ("../../etc", "_etc"),
        ("\u5ba2;x=y", "_x_y"),
        ("=1", "_1"),
        ("x" * 250, "x" * 94),
    ],
)
def test_the_file_name_has_safe_characters_only(sqlite: Store, customer: str, name: str) -> None:
    sqlite.fill(line(today(), customer))
    answered = response(sqlite, f"/customers/stats?format=csv&customer_id={quote(customer)}")
    assert answered.headers["Content-Disposition"] == f'attachment; filename="daily-{name}.csv"'


def test_the_caches_tell_both_formats_of_a_request_apart(store: Store) -> None:
    store.fill(line(today(), "c"))
    for accept in ("text/csv", "*/*", "text/csv", "application/json"):
        for answered in responses(store, *["/customers/c/stats"] * 2, headers={"Accept": accept}):
            assert answered.headers["Content-Type"].startswith(
                "text/csv" if accept == "text/csv" else "application/json"
            )


def test_a_client_that_has_the_csv_gets_304(store: Store) -> None:
    store.fill(line(today(), "c"))
    first = response(store, "/customers/c/stats?format=csv")
    tag = {"If-None-Match": first.headers["ETag"]}
    again, as_json = responses(store, "/customers/c/stats?format=csv", "/customers/c/stats", headers=tag)
    assert (again.status_code, again.content, again.headers["Vary"]) == (304, b"", "Accept")
    assert as_json.status_code == 200


def test_errors_are_json(sqlite: Store) -> None:
    for url in (
        "/customers/nobody/stats?format=csv",
        "/customers/stats?format=csv&from_date=x",
        "/customers?format=xml",
    ):
        answered = response(sqlite, url, {"Accept": "text/csv"})
        assert answered.status_code in (404, 422)
        assert answered.headers["Content-Type"] == "application/problem+json"


def test_csv_has_complete_through_in_a_header(store: Store) -> None:
    storage = store.open()
    count_lines(storage, line(today(), "c"))
    assert "Complete-Through" not in response(store, "/customers?format=csv").headers
    write_report(storage, Report(1_764_000_000.25, 1, 1_764_000_000.25))
    as_csv, as_json = responses(store, "/customers?format=csv", "/customers")
    assert as_csv.headers["Complete-Through"] == as_json.json()["complete_through"]


@pytest.mark.parametrize("accept", ["text/csv", "application/json"])
def test_the_next_page_is_linked(sqlite: Store, accept: str) -> None:
    customers = ["a", "b&c", "d/e", "f=g", "\u5ba2"]
    sqlite.fill(b"".join(line(today(), customer) for customer in customers))
    url = "/customers?sort=customer_id&order=asc&limit=2"
    found = []
    while True:
        answered = response(sqlite, url, {"Accept": accept})
        page = rows(answered) if accept == "text/csv" else answered.json()["customers"]
        found += [row["customer_id"] for row in page]
        if "next" not in answered.links:
            assert accept == "text/csv" or answered.json()["next_cursor"] is None
            break
        url = str(httpx.URL("http://api").join(url).join(answered.links["next"]["url"]))
    assert found == customers
