"""What a real processor breaks down, through crashes; and what the api says of it."""

import csv
import io
import signal
from typing import Any

import pytest

import oracle
from asking import FIGURES, ago, answer, response
from lines import valid_lines
from pipeline import Pipeline
from stores import Store

CUSTOMERS = ["cust_1", 'quo"te', "a/b"]


def test_hours_and_paths_are_those_of_the_log(pipeline: Pipeline, store: Store) -> None:
    lines = valid_lines(4_000, customers=CUSTOMERS)
    half = lines.index(b"\n", len(lines) // 2) + 1
    pipeline.append(lines[:half])
    pipeline.start()
    pipeline.until_stored()
    pipeline.append(lines[half:])
    pipeline.until_stored()
    pipeline.until_rolled_up()
    expected = oracle.rollups_of(lines)
    assert pipeline.rolled_up() == expected

    series = answer(store, "/customers/cust_1/series?interval=hour")
    assert {point["start"]: figures(point) for point in series["points"]} == {
        f"{day}T{hour:02d}:00:00Z": found
        for (name, day, hour), found in expected.items()
        if name == "cust_1" and isinstance(hour, int)
    }
    assert series["from"] == f"{ago(6)}T00:00:00Z"
    assert series["to"] == f"{ago(-1)}T00:00:00Z"

    days = answer(store, "/customers/a/b/series?interval=day")
    assert {point["start"]: figures(point) for point in days["points"]} == {
        f"{day}T00:00:00Z": found for (name, day), found in oracle.days_of(lines).items() if name == "a/b"
    }

    of_one_day = [line for line in lines.splitlines(keepends=True) if line.startswith(str(ago(1)).encode())]
    paths = answer(store, f"/customers/cust_1/paths?from_date={ago(1)}&to_date={ago(1)}")
    assert {path["path"]: figures(path) for path in paths["paths"]} == {
        path: found
        for (name, _, path), found in oracle.rollups_of(b"".join(of_one_day)).items()
        if name == "cust_1" and isinstance(path, str)
    }
    totals = [path["total_requests"] for path in paths["paths"]]
    assert totals == sorted(totals, reverse=True)
    assert paths["total"] == len(totals) == 9
    first = answer(store, f"/customers/cust_1/paths?from_date={ago(1)}&to_date={ago(1)}&limit=2")
    assert (first["total"], first["paths"]) == (9, paths["paths"][:2])


def figures(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in FIGURES)


def test_minutes_and_the_latest_requests_are_those_of_the_log(pipeline: Pipeline, store: Store) -> None:
    lines = valid_lines(4_000, customers=CUSTOMERS)
    pipeline.append(lines)
    pipeline.start()
    pipeline.until_stored()
    of_customer = [line.decode().split(" ") for line in lines.splitlines() if line.split(b" ")[2] == b"cust_1"]

    day = str(ago(1))
    minutes = answer(store, f"/customers/cust_1/series?interval=minute&from={day}&to={ago(0)}")
    by_minute: dict[str, list[bytes]] = {}
    for fields in of_customer:
        if fields[0] == day:
            by_minute.setdefault(fields[1][:5], []).append(" ".join(fields).encode() + b"\n")
    assert {point["start"]: figures(point) for point in minutes["points"]} == {
        f"{day}T{minute}:00Z": oracle.days_of(b"".join(of_minute))["cust_1", day]
        for minute, of_minute in by_minute.items()
    }

    not_logged: dict[str, Any] = {"method": None, "bytes": None}
    expected = [
        {"time": f"{date}T{time}Z", "path": path, "status": int(status), "duration": float(duration), **not_logged}
        for date, time, _, path, status, duration in sorted(of_customer, key=lambda fields: fields[:2])[::-1]
    ]
    failed = [request for request in expected if not 200 <= request["status"] < 400]
    by_fault = {
        "client_errors": [request for request in failed if request["status"] < 500],
        "server_errors": [request for request in failed if request["status"] >= 500],
    }
    part = expected[0]["path"]
    # Before and after the hours are counted, by which it looks.
    for _ in range(2):
        for status, all_of_them in (("all", expected), ("failed", failed), *by_fault.items()):
            for limit in (1, 7, 1_000):
                found = answer(store, f"/customers/cust_1/requests?status={status}&limit={limit}")["requests"]
                assert found == all_of_them[:limit]
                found = answer(store, f"/customers/cust_1/requests?status={status}&limit={limit}&path={part}")[
                    "requests"
                ]
                assert found == [request for request in all_of_them if part in request["path"]][:limit]
        found = answer(store, f"/customers/cust_1/requests?status=failed&from_date={day}&to_date={day}")["requests"]
        assert found == [request for request in failed if request["time"].startswith(day)][:100]
        pipeline.until_rolled_up()
    assert answer(store, "/customers/cust_1/requests?to_date=1970-01-01")["requests"] == []
    assert response(store, "/customers/nobody/requests").status_code == 404


def test_minutes_are_refused_where_they_are_too_many_requests(
    pipeline: Pipeline, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.append(valid_lines(1_000, customers=CUSTOMERS))
    pipeline.start()
    pipeline.until_stored()
    monkeypatch.setattr("api.questions.series.MAX_REQUESTS", 3)
    # Today may have just begun.
    refused = response(store, f"/customers/cust_1/series?interval=minute&from={ago(1)}&to={ago(0)}")
    assert refused.status_code == 422
    assert "more than 3 requests" in refused.json()["detail"][0]["msg"]


def test_nothing_is_lost_or_doubled_when_the_processor_is_killed(pipeline: Pipeline) -> None:
    parts = [valid_lines(2_000, seed=seed) for seed in range(6)]
    for number, part in enumerate(parts):
        pipeline.append(part)
        times = pipeline.said().count(" event=stored ") if number else 0
        pipeline.start()
        if number % 2:
            pipeline.until_stored()
        else:
            # Before the roll-ups have what the counts have, or while they are written.
            pipeline.until_said(" event=stored ", times + 1)
        pipeline.end(signal.SIGKILL)
    pipeline.start()
    pipeline.until_stored()
    pipeline.until_rolled_up()
    assert pipeline.stored() == oracle.days_of(b"".join(parts))
    assert pipeline.rolled_up() == oracle.rollups_of(b"".join(parts))


def test_what_waits_is_rolled_up_before_the_processor_ends(pipeline: Pipeline) -> None:
    lines = valid_lines(2_000)
    pipeline.start()
    pipeline.append(lines)
    pipeline.until_stored()
    assert pipeline.end() == 0
    assert pipeline.is_rolled_up()
    assert pipeline.rolled_up() == oracle.rollups_of(lines)


def test_paths_that_differ_in_ids_are_one(pipeline: Pipeline, store: Store) -> None:
    lines = [
        f"{ago(n % 3)} 12:00:00 cust_1 /users/{n}/orders?page={n} {200 + n % 2 * 300} 0.{n:03d}\n" for n in range(100)
    ]
    pipeline.append("".join(lines).encode())
    pipeline.start()
    pipeline.until_stored()
    pipeline.until_rolled_up()
    (path,) = answer(store, "/customers/cust_1/paths")["paths"]
    assert figures(path)[:3] == (100, 50, 50)
    assert (path["path"], path["median_latency"], path["p99_latency"]) == ("/users/{id}/orders", 0.0495, 0.098)
    table = response(store, "/customers/cust_1/paths", {"Accept": "text/csv"})
    (row,) = csv.DictReader(io.StringIO(table.text))
    assert (row["path"], row["total_requests"]) == ("/users/{id}/orders", "100")
    assert "Complete-Through" in table.headers


def test_what_cannot_be_asked_is_refused_with_the_parameter(store: Store) -> None:
    store.fill(f"{ago(0)} 12:00:00 c /a 200 0.1\n".encode())
    for query, parameter, text in [
        ("interval=year", "interval", "'minute', 'hour', 'day', 'week' or 'month'"),
        ("from=20261124", "from", "of the form"),
        ("from=yesterday", "from", "of the form"),
        ("from=2026-11-24T25:00", "from", "valid datetime"),
        (f"from={ago(-1)}", "from", "in the future"),
        (f"from={ago(2)}&to={ago(2)}", "to", f"to is not after from, {ago(2)}T00:00:00"),
        (f"interval=minute&from={ago(2)}", "from", f"from {ago(2)}T00:00:00Z to {ago(-1)}T00:00:00Z there are 4,320 "),
    ]:
        refused = response(store, f"/customers/c/series?{query}")
        assert refused.status_code == 422
        (fault,) = refused.json()["detail"]
        assert fault["loc"] == ["query", parameter]
        assert text in fault["msg"]
    assert response(store, "/customers/c/paths?limit=0").status_code == 422
    for of in ("paths", "series", "series?interval=day"):
        assert response(store, f"/customers/nobody/{of}").status_code == 404


def test_times_are_made_whole_intervals(store: Store) -> None:
    store.fill(f"{ago(1)} 12:00:00 c /a 200 0.1\n".encode())
    for query, first, last in [
        (f"interval=day&from={ago(3)}T13:00&to={ago(1)}T00:00:01Z", f"{ago(3)}T00:00:00Z", f"{ago(0)}T00:00:00Z"),
        (f"from={ago(3)}T13:30:59%2B05:30&to={ago(3)}T10:00Z", f"{ago(3)}T08:00:00Z", f"{ago(3)}T10:00:00Z"),
        ("interval=day&from=1970-01-01", f"{ago(45)}T00:00:00Z", f"{ago(-1)}T00:00:00Z"),
        ("from=1970-01-01&to=1970-01-02", "1970-01-02T00:00:00Z", "1970-01-02T00:00:00Z"),
    ]:
        found = answer(store, f"/customers/c/series?{query}")
        assert (found["from"], found["to"]) == (first, last)
