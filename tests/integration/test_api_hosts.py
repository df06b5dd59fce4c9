"""The Host of a request: a web page whose name resolves to this machine (DNS rebinding) gets no answer."""

import socket
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from asking import line, problem_detail, today
from running_api import Api, running
from stores import Store, sqlite_store

DATA = [
    "/customers",
    "/customers/cust_1/stats",
    "/customers/stats",
    "/status",
    "/events",
    "/metrics",
    "/openapi.json",
    "/",
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("hosts")
    with sqlite_store(folder) as store:
        store.fill(line(today(), "cust_1"))
        allowed = {"ALLOWED_HOSTS": "statistics.example.com, [2001:db8::7]"}
        with running(folder, {**store.environment, **allowed}) as started:
            yield started


def test_a_host_that_is_not_allowed_gets_no_data_also_when_the_question_is_known(api: Api) -> None:
    for path in DATA:
        if path != "/events":
            assert api.get(path).status_code == 200
        refused = api.client.get(path, headers={"Host": f"evil.example:{api.port}"})
        detail = problem_detail(refused, HTTPStatus.MISDIRECTED_REQUEST)
        assert detail == f"The host 'evil.example:{api.port}' is not allowed: ALLOWED_HOSTS has to name it"
        assert "cust_1" not in refused.text
        assert api.client.head(path, headers={"Host": "evil.example"}).status_code == 421
    assert 'request_statistics_api_requests_total{route="other",status="421"}' in api.get("/metrics").text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LocalHost:8000", 200),
        ("127.0.0.1", 200),
        ("[::1]:8000", 200),
        ("statistics.example.com", 200),
        ("Statistics.Example.com:443", 200),
        ("[2001:DB8::7]:8000", 200),
        ("", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example#localhost", 421),
        ("localhost:8000@evil.example", 421),
        ("::1", 421),
        ("x.statistics.example.com", 421),
        ("192.0.2.7", 421),
        ("x" * 5_000, 421),
    ],
)
def test_only_loopback_and_the_named_hosts_are_allowed(api: Api, host: str, status: int) -> None:
    assert api.client.get("/customers", headers={"Host": host}).status_code == status


def test_probes_may_use_any_address(api: Api) -> None:
    for path in ("/health", "/ready"):
        assert api.client.get(path, headers={"Host": "192.0.2.7:8000"}).status_code == 200


def test_probes_under_any_host_are_not_told_why_the_store_does_not_answer(tmp_path: Path, sqlite: Store) -> None:
    path = Path(sqlite.environment["SQLITE_PATH"])
    with running(tmp_path, sqlite.environment) as api:
        path.unlink()
        assert path.name in api.until("/ready", 503).json()["detail"]
        probed = api.client.get("/ready", headers={"Host": "evil.example"})
        assert probed.status_code == 503
        assert path.name not in probed.text


@pytest.mark.parametrize("hosts", [[], ["localhost", "evil.example"]])
def test_none_or_two_of_them_are_refused(api: Api, hosts: list[str]) -> None:
    lines = ["GET /customers HTTP/1.1", *(f"Host: {host}" for host in hosts), "Connection: close", "", ""]
    with socket.create_connection(("127.0.0.1", api.port)) as connection, connection.makefile("rb") as answer:
        connection.sendall("\r\n".join(lines).encode())
        assert answer.readline() == b"HTTP/1.1 421 Misdirected Request\r\n"


def test_the_address_where_it_listens_is_allowed(tmp_path: Path) -> None:
    with (
        sqlite_store(tmp_path) as store,
        running(tmp_path, {**store.environment, "API_HOST": "0.0.0.0", "AUTH": "none"}) as listening,
    ):
        assert listening.client.get("/customers", headers={"Host": f"0.0.0.0:{listening.port}"}).status_code == 200
