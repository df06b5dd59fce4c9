"""AUTH: who is let in by what the settings say, and what a service refuses to start with."""

import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

import programs
from access_keys import TestKeys, bearer
from asking import line, today
from influxd import free_port
from lines import valid_lines
from pipeline import Pipeline
from running_api import Api, running
from stores import Store
from until import WAIT_SECONDS, wait_until


def refused(environment: dict[str, str], service: str = "api") -> str:
    """What a service says that ends with the status of wrong settings."""
    ended = programs.run(service, env={**os.environ, **environment}, timeout=WAIT_SECONDS)
    assert ended.returncode == 78, ended
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def test_what_others_can_reach_does_not_start_without_auth(tmp_path: Path, sqlite: Store) -> None:
    for host in ("0.0.0.0", "::", f"unix:{tmp_path}/socket"):
        assert refused({**sqlite.environment, "API_HOST": host}).startswith(f"API_HOST={host}: other machines can")


def test_auth_needs_keys_and_secrets_that_nobody_else_reads(tmp_path: Path, sqlite: Store) -> None:
    keys = TestKeys(tmp_path)
    environment = {**sqlite.environment, **keys.environment}
    for name in ("API_KEYS_FILE", "SESSION_SECRET_FILE"):
        path = Path(keys.environment[name])
        path.chmod(0o604)
        assert f"{name}={path}: others may use it, its mode is 0604" in refused(environment)
        path.rename(tmp_path / "away")
        assert f"AUTH=keys: {name}={path}: No such file or directory" in refused(environment)
        (tmp_path / "away").rename(path)
        path.chmod(0o600)
    keys.write_secrets("short")
    assert "a secret has less than 32 characters" in refused(environment)
    keys.write_secrets(*("x" * 40 for _ in range(3)))
    assert "it has 3 secrets" in refused(environment)


def test_a_proxy_has_to_be_named(tmp_path: Path, sqlite: Store) -> None:
    environment = {**sqlite.environment, **TestKeys(tmp_path).environment, "AUTH": "proxy"}
    assert refused(environment).startswith("PROXY_ADDRESSES=: AUTH=proxy needs the addresses of the proxy")


def test_none_is_obeyed_with_a_warning(tmp_path: Path, sqlite: Store) -> None:
    with running(tmp_path, {**sqlite.environment, "AUTH": "none", "API_HOST": "0.0.0.0"}) as api:
        assert api.get("/customers").status_code == 200
        assert "level=warning service=api event=auth_none host=0.0.0.0" in api.said()


def test_without_auth_loopback_is_open_and_says_nothing(tmp_path: Path, sqlite: Store) -> None:
    with running(tmp_path, sqlite.environment) as api:
        answered = api.get("/customers")
        assert answered.status_code == 200
        assert "private" not in answered.headers["Cache-Control"]
        assert api.get("/session").json() == {"scope": "operator", "customers": [], "has_session": False}
        assert api.client.post("/login", json={"key": "x"}).status_code == 404
        assert "warning" not in api.said()


def test_pages_of_all_origins_may_ask_with_a_key_and_never_with_a_cookie(tmp_path: Path, sqlite: Store) -> None:
    keys = TestKeys(tmp_path)
    key = keys.add("operator")
    with running(tmp_path, {**sqlite.environment, **keys.environment, "CORS_ORIGINS": "*"}) as api:
        preflight = {
            "Origin": "https://a.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        }
        allowed = api.client.options("/customers", headers=preflight)
        assert allowed.status_code == 200
        assert "authorization" in allowed.headers["Access-Control-Allow-Headers"].lower()
        answered = api.client.get("/customers", headers={"Origin": "https://a.example", **bearer(key)})
        assert answered.headers["Access-Control-Allow-Origin"] == "*"
        for found in (allowed, answered):
            assert "Access-Control-Allow-Credentials" not in found.headers


def test_who_asks_too_often_is_told_when_to_come_again(tmp_path: Path, sqlite: Store) -> None:
    keys = TestKeys(tmp_path)
    key, other = keys.add("operator"), keys.add("operator")
    environment = {**sqlite.environment, **keys.environment, "KEY_REQUESTS_PER_SECOND": "1"}
    with running(tmp_path, environment) as api:
        answers = [api.client.get("/session", headers=bearer(key)) for _ in range(40)]
        limited = [answered for answered in answers if answered.status_code == 429]
        assert answers[0].status_code == 200
        assert limited
        assert all(answered.headers["Retry-After"] == "1" for answered in limited)
        assert limited[0].headers["Content-Type"] == "application/problem+json"
        # Others, and whether the api works, do not depend on it.
        assert api.client.get("/session", headers=bearer(other)).status_code == 200
        assert api.client.get("/ready").status_code == 200


def named(scope: str, user: str = "ann") -> dict[str, str]:
    return {"X-Auth-Scope": scope, "X-Auth-User": user}


def test_a_named_proxy_says_who_asks(tmp_path: Path, sqlite: Store) -> None:
    sqlite.fill(line(today(), "acme") + line(today(), "other"))
    keys = TestKeys(tmp_path)
    key = keys.add("metrics")
    environment = {
        **sqlite.environment,
        **keys.environment,
        "AUTH": "proxy",
        "PROXY_ADDRESSES": "10.0.0.7, 127.0.0.0/8",
    }
    with running(tmp_path, {**environment, "LOGGING_LEVEL": "DEBUG"}) as api:

        def status(path: str, headers: list[tuple[str, str]] | dict[str, str]) -> int:
            return api.client.get(path, headers=headers).status_code

        assert status("/customers", named("operator")) == 200
        assert status("/customers/acme/stats", named("customer:acme")) == 200
        assert status("/customers/other/stats", named("customer:acme")) == 404
        assert status("/customers", named("customer:acme")) == 403
        for scope in ("", "root", "customer:", "\u00e9"):
            assert status("/customers", {"X-Auth-Scope": scope.encode()}) == 401  # type: ignore[dict-item]
        # One of the two may be the client's.
        assert status("/customers", [("X-Auth-Scope", "operator"), ("X-Auth-Scope", "customer:acme")]) == 401
        assert status("/customers", {}) == 401
        # Prometheus comes without the proxy.
        assert status("/metrics", bearer(key)) == 200
        wait_until(lambda: " key=proxy:ann" in api.said(), "log lines name the user")
        # A rebound name could add the headers as well.
        assert status("/customers", {**named("operator"), "Host": "evil.example"}) == 421


def test_a_proxys_ipv4_address_may_be_written_as_ipv6(tmp_path: Path, sqlite: Store) -> None:
    environment = {**sqlite.environment, **TestKeys(tmp_path).environment, "AUTH": "proxy"}
    for addresses, status in (("::ffff:127.0.0.0/104", 200), ("::ffff:10.0.0.7, ::1", 401)):
        with running(tmp_path, {**environment, "PROXY_ADDRESSES": addresses}) as api:
            assert api.client.get("/customers", headers=named("operator")).status_code == status


def test_others_than_the_proxy_name_nobody(tmp_path: Path, sqlite: Store) -> None:
    keys = TestKeys(tmp_path)
    environment = {**sqlite.environment, **keys.environment, "AUTH": "proxy", "PROXY_ADDRESSES": "10.0.0.7"}
    with running(tmp_path, environment) as api:
        for headers in (named("operator"), {**named("operator"), "X-Forwarded-For": "10.0.0.7"}):
            assert api.client.get("/customers", headers=headers).status_code == 401
        assert api.client.get("/customers", headers=bearer(keys.add("operator"))).status_code == 200


def test_a_proxy_may_come_by_a_unix_socket(tmp_path: Path, sqlite: Store) -> None:
    path = tmp_path / "api.socket"
    with socket.socket(socket.AF_UNIX) as earlier:
        earlier.bind(str(path))
    environment = {**sqlite.environment, **TestKeys(tmp_path).environment, "AUTH": "proxy", "API_HOST": f"unix:{path}"}
    api = Api(tmp_path, environment)
    try:
        wait_until(lambda: "event=listening" in api.said(), "it listens", api.said)
        assert path.stat().st_mode & 0o777 == 0o660
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost") as proxy:
            assert proxy.get("/customers", headers=named("operator")).status_code == 200
            assert proxy.get("/customers").status_code == 401
        assert api.end(signal.SIGTERM) == 0
    finally:
        api.close()


def test_another_file_in_the_place_of_the_socket_stays(tmp_path: Path, sqlite: Store) -> None:
    path = tmp_path / "precious"
    path.write_text("precious")
    environment = {**sqlite.environment, **TestKeys(tmp_path).environment, "API_HOST": f"unix:{path}"}
    assert refused(environment) == f"API_HOST=unix:{path}: cannot listen: Address already in use\n"
    assert path.read_text() == "precious"


def test_the_processors_metrics_need_a_key_as_well(tmp_path: Path, sqlite: Store) -> None:
    keys = TestKeys(tmp_path)
    port = free_port()
    pipeline = Pipeline(tmp_path, sqlite.environment, sqlite.open)
    pipeline.append(valid_lines(10))
    files = {"AUTH": "keys", "API_KEYS_FILE": keys.environment["API_KEYS_FILE"]}
    try:
        pipeline.start(METRICS_PORT=str(port), **files)
        pipeline.until_stored()

        def status(headers: dict[str, str]) -> int:
            return httpx.get(f"http://127.0.0.1:{port}/metrics", headers=headers).status_code

        assert status({}) == 401
        assert status(bearer("rs_wrong")) == 401
        metrics = keys.add("metrics")
        assert status(bearer(metrics)) == 200
        assert status(bearer(keys.add("operator"))) == 200
        assert status(bearer(keys.add("customer:cust_1"))) == 403
        keys.revoke(metrics)
        assert status(bearer(metrics)) == 401
    finally:
        pipeline.close()


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "METRICS_HOST=0.0.0.0: other machines"),
        ({"AUTH": "keys"}, "AUTH=keys: API_KEYS_FILE=/nowhere/keys: No such"),
    ],
)
def test_a_processor_does_not_show_its_metrics_to_others_without_keys(
    sqlite: Store, tmp_path: Path, environment: dict[str, str], told: str
) -> None:
    (tmp_path / "log").touch()
    said = refused(
        {
            **sqlite.environment,
            **environment,
            "API_KEYS_FILE": "/nowhere/keys",
            "LOG_FILE_PATH": str(tmp_path / "log"),
            "METRICS_HOST": "0.0.0.0",
            "METRICS_PORT": str(free_port()),
        },
        "log_processor",
    )
    assert said.startswith(told)
