"""The proxy of the tests does what it says, to an HTTP server of the standard library."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from faulty_proxy import Decision, Fault, FaultyProxy, faulty_proxy
from until import wait_until


class Server(ThreadingHTTPServer):
    """Keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[bytes] = []

    def handle_error(self, *_: object) -> None:
        """A connection that is reset is no news here."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) == length:
            self.server.received.append(body)
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        answer = b"answer" * 1000
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: Server) -> Iterator[FaultyProxy]:
    with faulty_proxy(f"http://127.0.0.1:{server.server_port}") as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.url, timeout=10) as client:
        yield client


def decide(proxy: FaultyProxy, decision: Decision) -> None:
    proxy.decide = lambda request: decision


def test_it_passes_on(client: httpx.Client, server: Server) -> None:
    for number in range(3):
        assert client.post("/write", content=b"%d" % number).status_code == 204
    assert client.get("/query").content == b"answer" * 1000
    assert server.received == [b"0", b"1", b"2"]


def test_it_answers_itself(client: httpx.Client, proxy: FaultyProxy, server: Server) -> None:
    proxy.decide = lambda request: 503 if request.is_write and b"bad" in request.body else None
    assert client.post("/write", content=b"bad").status_code == 503
    assert client.post("/write", content=b"good").status_code == 204
    assert server.received == [b"good"]


@pytest.mark.parametrize(
    ("fault", "received"),
    [(Fault.RESET_REQUEST, []), (Fault.LOSE_ANSWER, [b"12345678"]), (Fault.CUT_ANSWER, [b"12345678"])],
)
def test_it_resets(
    client: httpx.Client, proxy: FaultyProxy, server: Server, fault: Fault, received: list[bytes]
) -> None:
    decide(proxy, fault)
    with pytest.raises(httpx.TransportError):
        client.post("/write", content=b"12345678")
    assert server.received == received
    with pytest.raises(httpx.TransportError):
        client.get("/query")


def test_it_holds_a_request_until_after_the_client_has_given_up(
    client: httpx.Client, proxy: FaultyProxy, server: Server
) -> None:
    decide(proxy, Fault.HOLD)
    with pytest.raises(httpx.TimeoutException):
        client.post("/write", content=b"late", timeout=0.2)
    wait_until(lambda: proxy.held, "a request is held")
    decide(proxy, None)
    client.post("/write", content=b"newer")
    assert proxy.release() == 1
    assert server.received == [b"newer", b"late"]


def test_it_refuses_connections_for_a_while(client: httpx.Client, proxy: FaultyProxy) -> None:
    client.post("/write", content=b"1")
    proxy.go_away()
    for _ in range(2):
        with pytest.raises(httpx.TransportError):
            client.post("/write", content=b"2")
    with pytest.raises(httpx.ConnectError):
        client.post("/write", content=b"2")
    proxy.come_back()
    assert client.post("/write", content=b"2").status_code == 204
