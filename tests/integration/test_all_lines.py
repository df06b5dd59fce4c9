"""What becomes of each line of a log, and that all that tells it agrees: the api, the metrics, verify and backfill."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

import oracle
from asking import FIGURES, answer, today
from influxd import free_port
from metric_samples import samples
from pipeline import Pipeline
from stores import Store

JSON = {"LOG_FORMAT": "json"}
REQUESTS: list[tuple[Any, Any, Any, Any]] = [
    # Status, duration, method, bytes; as the log has them.
    (200, "0.5", "GET", 512),
    (204, "12.5 ms", "POST", 0),
    ("-", "-", "GET", "-"),
    (0, "-1", "", 7),
    (503, "90000.5", "GET", 1),
    ("502, 200", "0.001", "PUT", 3),
    (999, "0.25", None, None),
]
LOGGED = [
    # As the store has them.
    (200, 0.5, "GET", 512),
    (204, 0.0125, "POST", 0),
    (None, None, "GET", None),
    (None, None, None, 7),
    (503, None, "GET", 1),
    (200, 0.001, "PUT", 3),
    (999, 0.25, None, None),
]
MENDED = {"status": 3, "duration": 2}
COMMENT = b"#Software: a web server\n"
TIMES = 40
"""How often each of them comes."""


def log_of_all() -> bytes:
    lines = []
    for number, (status, duration, method, size) in enumerate(REQUESTS * TIMES):
        second = f"{today()}T00:{number // 60:02d}:{number % 60:02d}Z"
        record = {"time": second, "customer": "acme", "path": "/", "status": status, "duration": duration}
        lines.append(json.dumps({**record, "method": method, "bytes": size}).encode() + b"\n")
    return COMMENT * 2 + b"".join(lines) + COMMENT + b"no object, so no request\n"


def test_all_that_tells_what_became_of_the_lines_agrees(store: Store, tmp_path: Path) -> None:
    requests, mended = len(REQUESTS) * TIMES, {kind: count * TIMES for kind, count in MENDED.items()}
    pipeline = Pipeline(tmp_path, {**store.environment, **JSON, "LOGGING_LEVEL": "INFO"}, store.open)
    port = free_port()
    try:
        pipeline.append(log_of_all())
        pipeline.start(METRICS_PORT=str(port))
        pipeline.until_stored()
        pipeline.until_rolled_up()
        found = samples(httpx.get(f"http://127.0.0.1:{port}/metrics").text)
        (log,) = answer(store, "/status")["logs"]
        said = pipeline.said()
        verified = pipeline.run("verify")
    finally:
        pipeline.close()

    names = ("lines_read", "lines_stored", "lines_rejected", "lines_skipped", "rejected", "mended")
    assert {name: log[name] for name in names} == {
        "lines_read": requests + 4,
        "lines_stored": requests,
        "lines_rejected": 1,
        "lines_skipped": 3,
        "rejected": {"fields": 1},
        "mended": mended,
    }
    for name in ("read", "stored", "skipped"):
        assert found[f"request_statistics_processor_lines_{name}_total", "api_requests"] == log[f"lines_{name}"]
    of_kinds = {
        kind: found["request_statistics_processor_requests_mended_total", kind, "api_requests"] for kind in mended
    }
    assert of_kinds == mended

    events = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in said.splitlines() if " event=stored " in line]
    totals = {name: sum(int(event[name]) for event in events) for name in ("lines", "rejected", "skipped", "mended")}
    assert totals == {"lines": requests, "rejected": 1, "skipped": 3, "mended": sum(mended.values())}

    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(mended.items()))
    counts = f"lines {requests + 4:,}, requests {requests:,}, rejected 1 (fields 1), skipped 3, mended ({kinds})"
    assert (verified.returncode, verified.stdout) == (0, f"All agree: {counts}, customers 1, days 1.\n")

    logged = LOGGED * TIMES
    latest = answer(store, "/customers/acme/requests?limit=1000")["requests"]
    columns = ("status", "duration", "method", "bytes")
    assert [tuple(one[name] for name in columns) for one in reversed(latest)] == logged
    figures = oracle.figures([(status, "" if duration is None else str(duration)) for status, duration, *_ in logged])
    assert answer(store, "/customers/acme/stats").items() >= dict(zip(FIGURES, figures, strict=True)).items()
    codes = answer(store, "/customers/acme/status-codes")["status_codes"]
    assert {one["status"]: one["requests"] for one in codes} == Counter(status for status, *_ in logged)


def test_backfill_says_what_became_of_the_lines(sqlite: Store, tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, {**sqlite.environment, **JSON}, sqlite.open)
    file = tmp_path / "old.json"
    file.write_bytes(log_of_all())
    done = pipeline.run("backfill", str(file))
    assert done.stdout.splitlines()[-1] == (
        f"{file}: 284 lines read, 280 stored, 1 rejected (fields 1), 3 skipped, mended (duration 80, status 120)."
    )
    verified = pipeline.run("verify")
    assert verified.stdout.startswith("All agree: lines 284, requests 280,"), verified.stdout
