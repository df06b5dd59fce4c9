"""The OpenAPI document describes what the api does."""

import json
from typing import Any

import pytest

from asking import answer
from example_answers import FILE, all_examples
from stores import Store

ERRORS = {**dict.fromkeys(("403", "404", "414", "421", "503"), "Problem"), "422": "ValidationProblem"}


@pytest.fixture
def document(sqlite: Store) -> Any:
    return answer(sqlite, "/openapi.json")


@pytest.fixture
def operations(document: Any) -> dict[str, Any]:
    """The GET operation of each path; there are no others."""
    assert {tuple(operations) for operations in document["paths"].values()} == {("get",)}
    # tests/integration/test_events.py has the tests of /events.
    return {path: operations["get"] for path, operations in document["paths"].items() if path != "/events"}


def test_the_examples_are_what_the_api_answers() -> None:
    # If they differ: PYTHONPATH=src:tests python -m example_answers
    assert json.loads(FILE.read_text()) == all_examples()


def test_every_response_is_documented_with_its_model_and_an_example(operations: dict[str, Any]) -> None:
    for path, operation in operations.items():
        is_service = path in ("/health", "/ready", "/status")
        documented = {"200"} if is_service else {"200", "304", "403", "414", "421", "422", "503"}
        if "/customers/" in path:
            documented.add("404")
        if path in ("/ready", "/status"):
            documented.add("503")
        if path == "/status":
            documented |= {"403", "421"}
        assert operation["responses"].keys() == documented, path
        good = operation["responses"]["200"]["content"]
        assert good.keys() == ({"application/json"} if is_service else {"application/json", "text/csv"}), path
        assert "$ref" in good["application/json"]["schema"]
        assert all("example" in content for content in good.values()), path
        for status in documented & ERRORS.keys():
            (kind, content), *others = operation["responses"][status]["content"].items()
            assert (kind, others) == ("application/problem+json", [])
            assert content["schema"] == {"$ref": f"#/components/schemas/{ERRORS[status]}"}
            assert "example" in content


def test_every_operation_has_a_stable_name_and_a_summary(operations: dict[str, Any]) -> None:
    names = {path: operation["operationId"] for path, operation in operations.items()}
    assert len(set(names.values())) == len(names)
    # Generated clients have these names.
    assert {
        "/customers": "customers",
        "/customers/stats": "stats",
        "/customers/{customer_id}/stats": "customer_stats",
        "/customers/status-codes": "status_codes",
        "/customers/{customer_id}/status-codes": "customer_status_codes",
        "/customers/latencies": "latencies",
        "/customers/{customer_id}/latencies": "customer_latencies",
        "/customers/series": "series",
        "/customers/{customer_id}/series": "customer_series",
        "/customers/paths": "paths",
        "/customers/{customer_id}/paths": "customer_paths",
        "/customers/requests": "requests",
        "/customers/{customer_id}/requests": "customer_requests",
        "/status": "status",
        "/health": "health",
        "/ready": "ready",
    }.items() <= names.items()
    for operation in operations.values():
        assert operation["summary"]
        assert operation["description"]


def test_every_parameter_and_every_latency_is_described(operations: dict[str, Any], document: Any) -> None:
    for path, operation in operations.items():
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (path, parameter["name"])
    for name, schema in document["components"]["schemas"].items():
        for field, of_field in schema.get("properties", {}).items():
            if "latency" in field:
                assert "econds" in of_field["description"], (name, field)
