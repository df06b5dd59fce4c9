"""Headers of every response: the request id, and security headers."""

import pytest

from asking import line, response, today
from stores import Store


@pytest.fixture
def store(sqlite: Store) -> Store:
    sqlite.fill(line(today(), "cust_1"))
    return sqlite


@pytest.mark.parametrize(
    "path", ["/customers/cust_1/stats", "/customers/nobody/stats", "/nowhere", "/customers?limit=0"]
)
def test_a_request_keeps_its_id(store: Store, path: str) -> None:
    answered = response(store, path, {"X-Request-ID": "abc-123"})
    assert answered.headers["X-Request-ID"] == "abc-123"
    if answered.status_code != 200:
        assert answered.json()["request_id"] == "abc-123"


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "\u00e9"])
def test_a_request_without_a_valid_id_gets_one(store: Store, given: str) -> None:
    found = [response(store, "/nowhere", {b"X-Request-ID": given.encode("latin-1")}) for _ in range(2)]
    ids = {answered.headers["X-Request-ID"] for answered in found}
    assert len(ids) == 2
    assert given not in ids
    assert {answered.json()["request_id"] for answered in found} == ids


@pytest.mark.parametrize("path", ["/customers/cust_1/stats", "/customers?format=csv", "/nowhere", "/docs"])
def test_a_browser_may_only_show_a_response(store: Store, path: str) -> None:
    headers = response(store, path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers
