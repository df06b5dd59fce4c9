"""What the services tell Prometheus: scraped from real ones, and compared with what they did."""

import socket
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from asking import line, responses, today
from faulty_proxy import faulty_proxy
from influxd import InfluxServer, free_port
from lines import valid_lines
from log_processor.process import metrics
from metric_samples import Samples, samples
from pipeline import Pipeline
from stores import Store, influxdb_store
from until import WAIT_SECONDS

PROCESSOR, API = "request_statistics_processor", "request_statistics_api"


class Measured:
    """A processor that tells its metrics."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._port = free_port()
        pipeline.start(METRICS_PORT=str(self._port))

    def samples(self) -> Samples:
        answered = httpx.get(f"http://127.0.0.1:{self._port}/metrics")
        assert answered.status_code == 200
        return samples(answered.text)


def test_the_processor_counts_what_its_ledger_does(tmp_path: Path, sqlite: Store) -> None:
    pipeline = Pipeline(tmp_path, sqlite.environment, sqlite.open)
    pipeline.append(valid_lines(2_000) + b"\nnonsense\n" * 3)
    try:
        measured = Measured(pipeline)
        pipeline.until_stored()
        (row,) = pipeline.ledger()
        pipeline.until(
            lambda: measured.samples().get((f"{PROCESSOR}_bytes_behind", "api_requests")) == 0,
            "it shows its lag",
        )
        found = measured.samples()
        assert found[f"{PROCESSOR}_lines_read_total", "api_requests"] == row.read == 2_006
        assert found[f"{PROCESSOR}_lines_stored_total", "api_requests"] == row.stored == 2_000
        for reason, lines in row.rejected.items():
            assert found[f"{PROCESSOR}_lines_rejected_total", "api_requests", reason.value] == lines == 3
        assert found[f"{PROCESSOR}_batch_lines_sum",] == 2_000
        assert found[f"{PROCESSOR}_seconds_behind", "api_requests"] == 0
        for what in ("requests", "counts"):
            assert found[f"{PROCESSOR}_write_seconds_count", what] >= 1
        assert found[f"{PROCESSOR}_store_unavailable",] == found[f"{PROCESSOR}_store_retries_total",] == 0
    finally:
        pipeline.close()


def test_the_processor_tells_when_its_store_is_away_and_how_far_it_is_behind(
    tmp_path: Path, influxd: InfluxServer
) -> None:
    with influxdb_store(influxd) as store, faulty_proxy(influxd.url) as proxy:
        pipeline = Pipeline(tmp_path, {**store.environment, "INFLUXDB_URL": proxy.url}, store.open)
        try:
            pipeline.append(valid_lines(10))
            measured = Measured(pipeline)
            pipeline.until_stored()
            proxy.go_away()
            pipeline.append(valid_lines(10, seed=2))
            pipeline.until(lambda: measured.samples()[f"{PROCESSOR}_store_retries_total",] >= 2, "it tries again")
            assert measured.samples()[f"{PROCESSOR}_store_unavailable",] == 1
            proxy.come_back()
            pipeline.until_stored()
            pipeline.until(lambda: measured.samples()[f"{PROCESSOR}_store_unavailable",] == 0, "the store is back")
        finally:
            pipeline.close()


def test_idle_connections_to_the_metrics_shut_nobody_out(tmp_path: Path, sqlite: Store) -> None:
    port = free_port()
    pipeline = Pipeline(tmp_path, sqlite.environment, sqlite.open)
    with ExitStack() as stack:
        stack.callback(pipeline.close)
        pipeline.append(valid_lines(10))
        pipeline.start(METRICS_PORT=str(port))
        pipeline.until_stored()
        clients = []
        # Half of a request each.
        for _ in range(3 * metrics.MOST_CONNECTIONS):
            clients.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)))
            clients[-1].sendall(b"GET /metrics HTTP/1.1\r\nX-Half: ")
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
        # Those that are too many are closed before their time.
        assert [client.recv(1) for client in clients[: metrics.MOST_CONNECTIONS]] == [b""] * metrics.MOST_CONNECTIONS
        assert "Traceback" not in pipeline.said()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:9464", 200),
        ("[::1]:9464", 200),
        ("evil.example", 421),
        ("evil.example:9464", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost,evil.example", 421),
        ("", 421),
    ],
)
def test_a_page_whose_name_resolves_to_this_machine_cannot_read_them(host: str, status: int) -> None:
    port = free_port()
    metrics.serve("127.0.0.1", port, None)
    assert httpx.get(f"http://127.0.0.1:{port}/metrics", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("sent", [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nX-Half: "])
def test_a_client_that_sends_nothing_more_is_closed_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], sent: bytes
) -> None:
    monkeypatch.setattr(metrics._Handler, "timeout", 0.1)
    port = free_port()
    metrics.serve("127.0.0.1", port, None)
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as client:
        client.sendall(sent)
        assert client.recv(1) == b""
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path, sqlite: Store) -> None:
    pipeline = Pipeline(tmp_path, sqlite.environment, sqlite.open)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        pipeline.start(METRICS_PORT=str(port))
        assert pipeline.wait() == 78
    assert pipeline.said() == f"METRICS_PORT={port}: cannot listen at 127.0.0.1: Address already in use\n"


def test_the_api_counts_what_it_answers(sqlite: Store) -> None:
    sqlite.fill(line(today(), "cust_1"))
    urls = ["/customers/cust_1/stats"] * 3 + ["/customers/nobody/stats", "/nowhere", "/metrics"]
    before = samples(responses(sqlite, "/metrics")[0].text)
    after = samples(responses(sqlite, *urls)[-1].text)

    def more(*key: str) -> float:
        return after.get(key, 0.0) - before.get(key, 0.0)

    route = "/customers/{customer_id:path}/stats"
    assert more(f"{API}_requests_total", route, "200") == 3
    assert more(f"{API}_requests_total", route, "404") == 1
    assert more(f"{API}_requests_total", "other", "404") == 1
    assert more(f"{API}_request_seconds_count", route) == 4
    assert more(f"{API}_answers_total", "built") == 1
    assert more(f"{API}_answers_total", "cached") == 2
    assert more(f"{API}_store_seconds_count", "poll") == 4
    assert more(f"{API}_store_seconds_count", "answer") == 2
