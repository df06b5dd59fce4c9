"""Percentiles, HTTP statuses and the distribution of latencies, from real stores."""

import pytest

from asking import ago, answer, line, response, today
from stores import Store


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with requests of two customers on two days."""
    store.fill(
        line(ago(1), "c", 200, "0.0104")
        + line(ago(1), "c", 404, "0.0149")
        + line(ago(1), "c", 200, "0.0150")
        + line(ago(0), "c", 200, "1.0005")
        + line(ago(0), "c", 503, "0")
        + line(ago(0), "other", 503, "86400")
    )
    return store


def test_percentiles_are_in_the_answer_on_request(filled: Store) -> None:
    found = answer(filled, "/customers/c/stats?percentiles=99.9,50,20.0,100")
    assert found["percentiles"] == {"20": 0.0, "50": 0.015, "99.9": 1.001, "100": 1.001}
    assert [day["percentiles"] for day in found["daily"]] == [
        {"20": 0.01, "50": 0.015, "99.9": 0.015, "100": 0.015},
        {"20": 0.0, "50": 0.0, "99.9": 1.001, "100": 1.001},
    ]
    assert answer(filled, "/customers/stats?percentiles=100")["percentiles"] == {"100": 86_400.0}
    assert answer(filled, f"/customers/other/stats?to_date={ago(1)}&percentiles=50")["percentiles"] == {"50": None}
    without = answer(filled, "/customers/c/stats")
    assert "percentiles" not in without
    assert all("percentiles" not in day for day in without["daily"])


def test_an_invalid_percentile_is_rejected_with_its_parameter(filled: Store) -> None:
    for url in ("/customers/stats", "/customers/c/stats"):
        rejected = response(filled, f"{url}?percentiles=50,101")
        assert rejected.status_code == 422
        (fault,) = rejected.json()["detail"]
        assert fault["loc"] == ["query", "percentiles"]
        assert fault["msg"].startswith("'101' is not a percentile: a number above 0 and up to 100")


def test_requests_of_each_status_are_counted_over_the_range(filled: Store) -> None:
    found = answer(filled, "/customers/c/status-codes")
    assert (found["customer_id"], found["to_date"]) == ("c", str(today()))
    assert found["status_codes"] == [
        {"status": 200, "requests": 3},
        {"status": 404, "requests": 1},
        {"status": 503, "requests": 1},
    ]
    one_day = answer(filled, f"/customers/c/status-codes?to_date={ago(1)}")
    assert one_day["status_codes"] == [{"status": 200, "requests": 2}, {"status": 404, "requests": 1}]
    everybody = answer(filled, f"/customers/status-codes?from_date={ago(0)}")
    assert everybody["customer_id"] is None
    assert everybody["status_codes"] == [{"status": 200, "requests": 1}, {"status": 503, "requests": 2}]


def test_latencies_are_counted_in_bins_without_a_hole(filled: Store) -> None:
    found = answer(filled, f"/customers/c/latencies?to_date={ago(1)}")
    assert (found["customer_id"], found["total"]) == ("c", 3)
    assert found["bins"] == [
        {"from_latency": 0.01, "to_latency": 0.015, "requests": 1},
        {"from_latency": 0.015, "to_latency": 0.02, "requests": 2},
    ]
    bins = answer(filled, "/customers/latencies")["bins"]
    assert [one["from_latency"] for one in bins[1:]] == [one["to_latency"] for one in bins[:-1]]
    assert bins[0] == {"from_latency": 0.0, "to_latency": 0.001, "requests": 1}
    assert bins[-1] == {"from_latency": 70_000.0, "to_latency": 100_000.0, "requests": 1}
    assert sum(one["requests"] for one in bins) == 6


@pytest.mark.parametrize("what", ["status-codes", "latencies"])
def test_an_unknown_customer_is_404_and_one_without_requests_has_an_empty_list(filled: Store, what: str) -> None:
    assert response(filled, f"/customers/nobody/{what}").status_code == 404
    found = answer(filled, f"/customers/other/{what}?to_date={ago(1)}")
    assert found["bins" if what == "latencies" else "status_codes"] == []
