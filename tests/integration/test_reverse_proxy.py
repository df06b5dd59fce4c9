"""nginx before the api, configured as docs/reverse-proxy.md says."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import servers
from access_keys import TestKeys
from influxd import free_port
from running_api import Api, running
from stores import sqlite_store
from until import WAIT_SECONDS, wait_until

PAGE = (Path(__file__).parents[2] / "docs/reverse-proxy.md").read_text()
NAME = "statistics.example.com"
SETTINGS = dict([setting.split("=") for setting in re.findall(r"`(ALLOWED_HOSTS=[^`]+)`", PAGE)])
LOGIN = ("admin", "choose your own")


@dataclass(frozen=True)
class Proxy:
    """A proxy with its api behind it."""

    client: httpx.Client
    """With the password."""
    plain_port: int
    port: int
    api: Api


def block(language: str) -> str:
    """The page's block of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy")
    servers.program("nginx")
    servers.program("openssl")
    commands = block("sh").replace("/etc/nginx", str(folder))
    subprocess.run(["sh", "-e", "-c", commands], check=True, capture_output=True)
    plain_port, port = free_port(), free_port()
    with sqlite_store(folder) as store, running(folder, {**store.environment, **SETTINGS}) as api:
        configuration = (
            block("nginx")
            .replace("/etc/nginx", str(folder))
            .replace("listen 80;", f"listen 127.0.0.1:{plain_port};")
            .replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;")
            .replace("127.0.0.1:8000", f"127.0.0.1:{api.port}")
        )
        with (
            servers.nginx_with(folder, port, configuration),
            httpx.Client(
                base_url=f"https://127.0.0.1:{port}",
                headers={"Host": NAME},
                auth=LOGIN,
                verify=False,
                timeout=WAIT_SECONDS,
            ) as client,
        ):
            yield Proxy(client, plain_port, port, api)


def test_the_page_and_swagger_come_through_it(proxy: Proxy) -> None:
    for path in ("/", "/docs", "/openapi.json", "/customers", "/status"):
        answer = proxy.client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["Strict-Transport-Security"]
    assert proxy.client.get("/").content == proxy.api.get("/").content


def test_without_the_password_nothing_is_told(proxy: Proxy) -> None:
    for path in ("/", "/customers", "/events"):
        answer = httpx.get(f"https://127.0.0.1:{proxy.port}{path}", headers={"Host": NAME}, verify=False)
        assert answer.status_code == 401, path


def test_the_host_that_nginx_sends_has_to_be_allowed(proxy: Proxy, tmp_path: Path) -> None:
    assert SETTINGS == {"ALLOWED_HOSTS": NAME}
    for host, status in ((NAME, 200), ("request_statistics", 421)):
        assert proxy.api.client.get("/customers", headers={"Host": host}).status_code == status


def test_plain_http_is_sent_to_https(proxy: Proxy) -> None:
    answer = httpx.get(f"http://127.0.0.1:{proxy.plain_port}/customers?limit=1", headers={"Host": NAME})
    assert (answer.status_code, answer.headers["Location"]) == (301, f"https://{NAME}/customers?limit=1")


def test_the_metrics_stay_inside(proxy: Proxy) -> None:
    assert proxy.client.get("/metrics").status_code == 404
    assert proxy.api.get("/metrics").status_code == 200


def test_events_come_at_once(proxy: Proxy) -> None:
    with proxy.client.stream("GET", "/events") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert next(answer.iter_lines()).startswith("event: ")


def test_it_may_name_who_asks(tmp_path: Path) -> None:
    servers.program("nginx")
    access = (Path(__file__).parents[2] / "docs/access.md").read_text()
    (headers,) = re.findall(r"^```nginx\n(.*?)^```$", access, re.MULTILINE | re.DOTALL)
    port = free_port()
    socket = tmp_path / "api"
    with sqlite_store(tmp_path) as store:
        environment = {**store.environment, **TestKeys(tmp_path).environment, "AUTH": "proxy", "ALLOWED_HOSTS": NAME}
        with (
            asked_over(socket, tmp_path, environment),
            servers.nginx_with(
                tmp_path,
                port,
                f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://unix:{socket}; "
                f"proxy_set_header Host $host; {headers} }} }}",
            ),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Host": NAME}, timeout=WAIT_SECONDS) as client,
        ):
            # What a client says of itself is replaced.
            for said in ({}, {"X-Auth-Scope": "customer:acme"}, {"X-Forwarded-For": "192.0.2.1"}):
                answered = client.get("/session", headers=said)
                assert answered.json() == {"scope": "operator", "customers": [], "has_session": False}


@contextmanager
def asked_over(socket: Path, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """An api that listens on a unix socket."""
    api = Api(folder, {**environment, "API_HOST": f"unix:{socket}"})
    try:
        wait_until(lambda: "event=listening" in api.said(), "it listens", api.said)
        yield
    finally:
        api.close()


def test_ids_and_long_queries_reach_the_api_as_they_came(proxy: Proxy) -> None:
    answer = proxy.client.get("/customers/a%2Fb%2F..%2Fc/stats")
    assert answer.status_code == 404
    assert answer.headers["X-Request-ID"] in answer.text
    for length in (7_000, 9_000):
        path = f"/customers/{'x' * length}/stats"
        answer = proxy.client.get(path)
        assert (answer.status_code, "request_id" in answer.text) == (proxy.api.get(path).status_code, True)
