"""Generated requests, valid and invalid by the OpenAPI document, to a real api on either store.

No response is an internal error, and each is as the document says. Where keys are asked for, none has what the key does
not show.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, BaseSchema, Case, CheckFunction, GenerationMode, Response
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from access_keys import TestKeys, bearer
from asking import ago, line
from influxd import InfluxServer
from running_api import running
from stores import Store, influxdb_store, sqlite_store

EXAMPLES = 30
EXAMPLES_OF_KEY = 5
"""Of each operation and each key: what the parameters do is tested without keys."""
MINE, OTHER = "cust_1", "hidden_9"
"""A customer of the key, and another one, whose name no generated parameter has."""
OTHERS_STATUS, OTHERS_SECONDS = 599, 77.777
OPEN = {"/health", "/ready"}
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


@pytest.fixture(scope="module", params=["sqlite", "influxdb"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all requests."""
    if request.param == "influxdb":
        server: InfluxServer = request.getfixturevalue("influxd")
        with influxdb_store(server) as opened:
            yield opened
    else:
        with sqlite_store(tmp_path_factory.mktemp("store")) as opened:
            yield opened


@pytest.fixture(scope="module")
def document(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document of a running api."""
    store.fill(b"".join(line(ago(day), "cust_1", status) for day in range(3) for status in (200, 404, 503)))
    with running(tmp_path_factory.mktemp("api"), store.environment) as api:
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{api.port}/openapi.json")


@pytest.mark.parametrize("mode", MODES)
def test_every_response_is_as_the_document_says(document: BaseSchema, mode: GenerationMode) -> None:
    for operation in _operations(document, mode):

        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Case[Any]) -> None:
            answered = case.call()
            case.validate_response(answered, excluded_checks=_excepted(answered))

        check()


@pytest.fixture(scope="module")
def with_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BaseSchema, TestKeys]]:
    """The document of a running api that asks for keys. What a key shows does not depend on the store."""
    folder = tmp_path_factory.mktemp("keys")
    keys = TestKeys(folder)
    with sqlite_store(folder) as store:
        store.fill(line(ago(0), MINE) + line(ago(0), OTHER, OTHERS_STATUS, f"{OTHERS_SECONDS}"))
        with running(folder, {**store.environment, **keys.environment}) as api:
            yield schemathesis.openapi.from_url(f"http://127.0.0.1:{api.port}/openapi.json"), keys


@pytest.mark.parametrize(
    ("scope", "mode"),
    [("operator", MODES[0]), ("metrics", MODES[0]), *((f"customer:{MINE}", mode) for mode in MODES)],
)
def test_no_response_has_what_its_key_does_not_show(
    with_keys: tuple[BaseSchema, TestKeys], scope: str, mode: GenerationMode
) -> None:
    document, keys = with_keys
    headers = bearer(keys.add(scope))
    for operation in _operations(document, mode):

        @settings(max_examples=EXAMPLES_OF_KEY, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode), customer=st.sampled_from([None, MINE, OTHER]))
        def check(case: Case[Any], customer: str | None) -> None:
            for parameters in (case.path_parameters, case.query):
                if customer is not None and "customer_id" in (parameters or {}):
                    parameters["customer_id"] = customer
            # A generated key would go before one that is an argument of the call.
            case.headers.update(headers)
            answered = case.call()
            # The key is no generated one, and a customer that was put in may make wrong parameters right.
            excepted = [*_excepted(answered), ignored_auth, negative_data_rejection]
            if answered.status_code in (403, 404):
                excepted.append(positive_data_acceptance)
            case.validate_response(answered, excluded_checks=excepted)
            if scope != "operator" and case.operation.path not in OPEN:
                _check_shows(answered, scope)

        check()


def _check_shows(answered: Response, scope: str) -> None:
    """A response has only what the scope shows: of metrics, no operation has any."""
    if answered.status_code != 200:
        # 401: a generated header went before the key.
        assert answered.status_code in (401, 403, 404, 414, 422)
        return
    assert scope != "metrics"
    if answered.headers["content-type"][0] == "application/json":
        assert answered.json()["customer_id"] == MINE
    else:
        assert not any(mark in answered.text for mark in (OTHER, f"{OTHERS_STATUS}", f"{OTHERS_SECONDS}"))


def _operations(document: BaseSchema, mode: GenerationMode) -> Iterator[APIOperation[Any, Any, Any, Any]]:
    """All operations that end, and that have parameters where these are to be wrong."""
    for found in document.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        has_parameters = operation.query or operation.path_parameters
        # The events have no end.
        if operation.path != "/events" and (mode is GenerationMode.POSITIVE or has_parameters):
            yield operation


def _excepted(answered: Response) -> list[CheckFunction]:
    """The checks that would reject this correct response."""
    if answered.status_code == 414:
        # A too long URL is rejected, even with valid parameters.
        return [negative_data_rejection]
    if answered.status_code == 422 and all(fault["type"] == "value_error" for fault in answered.json()["detail"]):
        # No schema can say this: a date in the future, an end before its start, a cursor of another ranking.
        return [positive_data_acceptance]
    return []
