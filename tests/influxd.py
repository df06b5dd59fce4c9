"""A real InfluxDB for tests: one that runs already, or an `influxd` of our own."""

import os
import secrets
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path

import httpx
import pytest

from request_log.line import SECONDS_A_DAY
from storage.influxdb.schema import COUNTS
from storage.influxdb.setup import COUNTS_SHARD_DAYS, SHARD_DAYS

START_SECONDS = 60
DELETE_SECONDS = 300
"""How long to delete a bucket may take: influxd first ends to merge the files in it."""
RETENTION_SECONDS = 47 * SECONDS_A_DAY
ENVIRONMENT = {"GOMAXPROCS": "8", "INFLUXD_STORAGE_MAX_CONCURRENT_COMPACTIONS": "1"}
"""As docker-compose.yml has it."""
PORTS = range(10_000, 32_000)
"""TCP ports below those that the kernel gives to clients."""


@dataclass(frozen=True)
class InfluxServer:
    """A running InfluxDB, and the token that may do everything in it."""

    url: str
    org: str
    admin_token: str
    pid: int | None = None
    """The number of its process, where it is a child of this one."""

    def new_bucket(self, expires: bool = True) -> str:
        """The name of a fresh bucket that keeps 47 days, or all; the one for rows is beside it. Their shards are those
        of `python -m storage setup`."""
        name = f"test_{uuid.uuid4().hex}"
        with self.client() as client:
            orgs = client.get("/api/v2/orgs", params={"org": self.org}).raise_for_status().json()["orgs"]
            for of_bucket, shard_days in ((name, SHARD_DAYS), (f"{name}{COUNTS}", COUNTS_SHARD_DAYS)):
                rule = {
                    "type": "expire",
                    "everySeconds": RETENTION_SECONDS if expires else 0,
                    "shardGroupDurationSeconds": shard_days * SECONDS_A_DAY,
                }
                bucket = {"orgID": orgs[0]["id"], "name": of_bucket, "retentionRules": [rule]}
                client.post("/api/v2/buckets", json=bucket).raise_for_status()
        return name

    def delete_bucket(self, name: str) -> None:
        """Delete a bucket of `new_bucket`, and the one for rows. The shards of sixty filled ones take a third of a core
        while nothing is written."""
        with self.client() as client:
            for of_bucket in (name, f"{name}{COUNTS}"):
                found = client.get("/api/v2/buckets", params={"name": of_bucket}).raise_for_status().json()["buckets"]
                for bucket in found:
                    path = f"/api/v2/buckets/{bucket['id']}"
                    client.delete(path, timeout=DELETE_SECONDS).raise_for_status()

    def client(self) -> httpx.Client:
        """An HTTP client with the admin token."""
        headers = {"Authorization": f"Token {self.admin_token}"}
        # To read the certificates of all authorities takes 20 ms.
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, verify=self.url.startswith("https:"))


def named_server() -> InfluxServer | None:
    """The InfluxDB that TEST_INFLUXDB_URL names; None where it names none."""
    url = os.environ.get("TEST_INFLUXDB_URL")
    if not url:
        return None
    token = os.environ.get("TEST_INFLUXDB_ADMIN_TOKEN")
    if token is None:
        token = Path(os.environ["TEST_INFLUXDB_ADMIN_TOKEN_FILE"]).read_text().strip()
    return InfluxServer(url, os.environ["TEST_INFLUXDB_ORG"], token)


@contextmanager
def influx_server(folder: Path) -> Iterator[InfluxServer]:
    """The InfluxDB that TEST_INFLUXDB_URL names, else an `influxd` with its data in `folder`, ended after.

    With neither the test is skipped.
    """
    if server := named_server():
        yield server
    elif command := shutil.which("influxd"):
        with influxd(command, folder) as server:
            yield server
    else:
        pytest.skip("no influxd on PATH and no TEST_INFLUXDB_URL")


@contextmanager
def influxd(command: str, folder: Path) -> Iterator[InfluxServer]:
    """An `influxd` of our own on a free port, set up."""
    port = free_port()
    with (folder / "influxd.log").open("wb") as log:
        process = subprocess.Popen(
            [
                command,
                f"--bolt-path={folder / 'influxd.bolt'}",
                f"--sqlite-path={folder / 'influxd.sqlite'}",
                f"--engine-path={folder / 'engine'}",
                f"--http-bind-address=127.0.0.1:{port}",
                "--reporting-disabled",
                "--log-level=error",
            ],
            env={**os.environ, **ENVIRONMENT},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        server = InfluxServer(f"http://127.0.0.1:{port}", "test_org", secrets.token_hex(), process.pid)
        with httpx.Client(base_url=server.url) as client:
            _wait_until_healthy(client, process, folder / "influxd.log")
            first_user = {
                "username": "admin",
                "password": secrets.token_hex(),
                "org": server.org,
                "bucket": "first_bucket",
                "token": server.admin_token,
            }
            client.post("/api/v2/setup", json=first_user, timeout=30).raise_for_status()
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A TCP port of this machine that nobody listens on, and that no other process of the test session is given."""
    for port in _ports():
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the ports have no end")


@cache
def _ports() -> Iterator[int]:
    """The ports of this process, from a random one on, again and again.

    The kernel's choice can be the same for two processes until one of them listens. The other one's test would then ask
    a server that ends with another test.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = PORTS[number :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    first = secrets.randbelow(len(ports))
    return cycle((*ports[first:], *ports[:first]))


def _wait_until_healthy(client: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"influxd ended with status {process.returncode}: {log.read_text()}")
        try:
            if client.get("/health").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"influxd did not answer within {START_SECONDS} s: {log.read_text()}")
