"""What the api answers about a known log: the examples of the OpenAPI document.

PYTHONPATH=src:tests python -m example_answers
"""

import json
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from asking import response
from log_processor.format_settings import LogFormat
from storage.ledger import Report
from storage.logs import Position
from storage.observed import ObservedEnd
from stores import Store, count_lines, sqlite_store, write_report

FILE = Path(__file__).parents[1] / "src/api/routes/examples.json"
LOG = b"""\
192.0.2.7 - cust_1 [23/Nov/2026:07:15:00 +0000] "GET /api/v1/orders HTTP/1.1" 200 2326 "-" "curl/8.5.0" 0.048
192.0.2.7 - cust_1 [23/Nov/2026:09:41:07 +0000] "GET /api/v1/orders/1042 HTTP/1.1" 404 153 "-" "curl/8.5.0" 0.012
192.0.2.9 - cust_2 [23/Nov/2026:18:02:44 +0000] "POST /api/v1/orders HTTP/1.1" 201 87 "-" "curl/8.5.0" 0.131
192.0.2.7 - cust_1 [24/Nov/2026:06:29:31 +0000] "GET /api/v1/orders HTTP/1.1" 200 2326 "-" "curl/8.5.0" 0.0635
192.0.2.7 - cust_1 [24/Nov/2026:06:29:58 +0000] "GET /api/v1/invoices HTTP/1.1" 503 197 "-" "curl/8.5.0" 2.004
192.0.2.9 - cust_2 [24/Nov/2026:06:30:00 +0000] "GET /api/v1/orders HTTP/1.1" 200 2290 "-" "curl/8.5.0" 0.097
"""
SEEN = 1_795_501_801.482
"""2026-11-24 06:30:01.482"""
REFUSED = {
    "404": "/customers/nobody/stats",
    "414": f"/customers/stats?customer_id={'x' * 10_000}",
    "421": "http://statistics.example.com/customers",
    "422": "/customers/stats?from_date=24.11.2026",
}


def all_examples() -> dict[str, dict[str, Any]]:
    """By the name of an operation, or the status of an error: the response by its media type."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("api.routes.request_cache.utc_now", lambda: datetime(2026, 11, 24, 6, 30, tzinfo=timezone.utc)),
        patch("api.routes.service.time.time", lambda: SEEN + 0.4),
    ):
        with sqlite_store(Path(folder)) as store:
            storage = store.open()
            count_lines(storage, LOG, LogFormat(log_format="combined").parser())
            write_report(
                storage, Report(SEEN, 1, SEEN), [ObservedEnd("log", SEEN, Position(0, len(LOG)), len(LOG), 0, len(LOG))]
            )
            found = {name: _examples(store, url, kinds) for name, (url, kinds) in _questions(store).items()}
            found |= {status: _examples(store, url, ["application/problem+json"]) for status, url in REFUSED.items()}
            of_other_site = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
            found["403"] = _examples(store, "/customers", ["application/problem+json"], of_other_site)
        Path(store.environment["SQLITE_PATH"]).unlink()
        found["503"] = _examples(store, "/ready", ["application/problem+json"])
    return found


def _questions(store: Store) -> dict[str, tuple[str, list[str]]]:
    """By operation: the URL that the examples of its parameters make, and the media types of its response."""
    document = response(store, "/openapi.json").json()
    found = {}
    for path, operations in document["paths"].items():
        (operation,) = operations.values()
        query = {}
        for parameter in operation.get("parameters", []):
            for example in parameter.get("examples", {}).values():
                if parameter["in"] == "path":
                    path = path.replace(f"{{{parameter['name']}}}", example["value"])
                else:
                    query[parameter["name"]] = example["value"]
        kinds = list(operation["responses"]["200"]["content"])
        if kinds == ["text/event-stream"]:
            # Its response has no end.
            continue
        found[operation["operationId"]] = (str(httpx.URL(path, params=query)), kinds)
    return found


def _examples(store: Store, url: str, kinds: list[str], headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    found = {}
    for kind in kinds:
        answered = response(store, url, {"Accept": kind, "X-Request-ID": "01JDF0Z6", **(headers or {})})
        assert answered.headers["Content-Type"].partition(";")[0] == kind
        found[kind] = answered.json() if kind.endswith("json") else answered.text
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(all_examples(), indent=2) + "\n")
