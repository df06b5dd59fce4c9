"""STORE_REQUESTS: what is not stored is counted all the same, through crashes, and answers say what they have."""

import json
import signal
from http import HTTPStatus

import pytest

import oracle
from asking import ago, answer, problem_detail, response, today
from lines import CUSTOMERS, valid_lines
from pipeline import Pipeline
from stores import Store


def failed(lines: bytes, customer: str) -> int:
    """How many requests of a customer failed."""
    return sum(
        figures[2] for (name, _), figures in oracle.days_of(lines).items() if name is not None and name == customer
    )


@pytest.mark.parametrize("kept", ["failed", "none"])
def test_all_is_counted_through_crashes_and_some_is_stored(pipeline: Pipeline, store: Store, kept: str) -> None:
    pipeline.environment["STORE_REQUESTS"] = kept
    lines = b""
    for seed in range(4):
        more = valid_lines(400, seed=seed)
        lines += more
        pipeline.append(more)
        pipeline.start()
        # It is killed somewhere on its way.
        until_more_than(pipeline, 400 * seed)
        pipeline.end(signal.SIGKILL)
    pipeline.start()
    pipeline.until_stored()
    pipeline.until_rolled_up()
    assert pipeline.stored() == oracle.days_of(lines)
    assert pipeline.rolled_up() == oracle.rollups_of(lines)
    checked = pipeline.run("verify")
    assert checked.returncode == 0, checked.stdout
    assert "All agree: lines 1,600, requests 1,600" in checked.stdout
    customer = CUSTOMERS[0]
    found = answer(store, f"/customers/{customer}/requests?from_date={ago(4)}&limit=1000")
    assert found["stored"] == kept
    assert len(found["requests"]) == (failed(lines, customer) if kept == "failed" else 0)
    assert all(not 200 <= request["status"] < 400 for request in found["requests"])
    minutes = response(store, f"/customers/{customer}/series?interval=minute&from={ago(1)}&to={today()}")
    detail = problem_detail(minutes, HTTPStatus.UNPROCESSABLE_ENTITY)
    assert f"{kept} are stored, and minutes need all of them" in json.dumps(detail)


def until_more_than(pipeline: Pipeline, lines: int) -> None:
    """Wait until the processor has read more lines than these."""
    pipeline.until(lambda: sum(row.read for row in pipeline.ledger()) > lines, "it reads")


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_what_needs_all_requests_says_so(pipeline: Pipeline, store: Store) -> None:
    lines = valid_lines(200)
    pipeline.append(lines)
    pipeline.start(STORE_REQUESTS="none")
    pipeline.until_stored()
    pipeline.end()
    # With all of them from now on, those of before are still not stored.
    assert answer(store, f"/customers/cust_1/requests?from_date={ago(4)}")["stored"] == "none"
    pipeline.start()
    more = valid_lines(200, seed=2)
    pipeline.append(more)
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines + more)
    assert answer(store, f"/customers/cust_1/requests?from_date={ago(4)}")["stored"] == "none"
    pipeline.end()
    forgetting = pipeline.run("backfill", "--forget", "any.log")
    assert forgetting.returncode == 1
    assert "Not all requests are, or were, stored" in forgetting.stdout
    pipeline.log.unlink()
    checked = pipeline.run("verify")
    assert checked.returncode == 1
    assert "in no file any more, and not all requests are stored" in checked.stdout + checked.stderr
