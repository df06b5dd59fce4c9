"""`python -m storage setup` as a process, on a real InfluxDB and on SQLite."""

import asyncio
import shutil
import sqlite3
import stat
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from influxdb_client.client.influxdb_client import InfluxDBClient

from influxd import InfluxServer, free_port
from influxd import influxd as influxd_of_its_own
from rollups.counts import NO_COUNTS, DailyAggregate, DailyKey
from rollups.rows import encode_daily
from service.settings import EXIT_CONFIG
from storage.errors import StorageUnavailable
from storage.influxdb.client import Client
from storage.influxdb.schema import COUNTS, SCHEMA
from storage.influxdb.setup import wait_until_it_answers
from storage.influxdb.store import InfluxStorage
from storage_command import assert_failed, run

SERVICES = ("log_processor", "api")
DAY = 86_400

Setup = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bucket() -> str:
    """A name that no bucket has."""
    return f"setup_{uuid.uuid4().hex}"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return tmp_path / "secrets"


@pytest.fixture
def setup(influxd: InfluxServer, bucket: str, tokens: Path) -> Setup:
    """The command, with the settings of this test's bucket; others can be given."""

    def run_setup(**settings: object) -> "subprocess.CompletedProcess[str]":
        return run(
            "setup",
            **{
                "STORAGE": "influxdb",
                "INFLUXDB_URL": influxd.url,
                "INFLUXDB_ORG": influxd.org,
                "INFLUXDB_BUCKET": bucket,
                "TOKENS_PATH": tokens,
                "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN": influxd.admin_token,
                **settings,
            },
        )

    return run_setup


def retention(influxd: InfluxServer, bucket: str) -> tuple[int, int]:
    """What the bucket keeps, and its shards' duration, in seconds."""
    with influxd.client() as client:
        found = client.get("/api/v2/buckets", params={"name": bucket}).raise_for_status().json()["buckets"]
    assert len(found) == 1
    (rule,) = found[0]["retentionRules"]
    return rule["everySeconds"], rule["shardGroupDurationSeconds"]


def authorizations(influxd: InfluxServer, bucket: str) -> list[str]:
    """The descriptions of all tokens of this bucket."""
    with influxd.client() as client:
        found = client.get("/api/v2/authorizations").raise_for_status().json()["authorizations"]
    return sorted(
        authorization["description"]
        for authorization in found
        if bucket in [permission["resource"].get("name") for permission in authorization["permissions"]]
    )


def read(tokens: Path) -> dict[str, str]:
    return {service: (tokens / service / "token").read_text().strip() for service in SERVICES}


def write(influxd: InfluxServer, bucket: str, token: str) -> int:
    """Write a point. Returns the HTTP status."""
    return httpx.post(
        f"{influxd.url}/api/v2/write",
        params={"org": influxd.org, "bucket": bucket},
        headers={"Authorization": f"Token {token}"},
        content=b"point value=1i",
    ).status_code


def ask(influxd: InfluxServer, bucket: str, token: str) -> str:
    """The answer to a question for all points."""
    return httpx.get(
        f"{influxd.url}/query",
        params={"db": bucket, "q": "SELECT * FROM point"},
        headers={"Authorization": f"Token {token}"},
    ).text


def row_of_store(influxd: InfluxServer, bucket: str) -> dict[str, object]:
    """What the store says of itself."""
    client = Client(influxd.url, influxd.org, influxd.admin_token, 10.0)
    (row,) = client.ask(f"{bucket}{COUNTS}", "SELECT * FROM store", {})
    client.close()
    return row


def assert_right_permissions(influxd: InfluxServer, bucket: str, tokens: dict[str, str]) -> None:
    other = influxd.new_bucket()
    for ours in (bucket, f"{bucket}{COUNTS}"):
        assert write(influxd, ours, tokens["log_processor"]) == 204
        assert write(influxd, ours, tokens["api"]) == 403
        for token in tokens.values():
            assert '"values"' in ask(influxd, ours, token)
    for token in tokens.values():
        assert "not found" in ask(influxd, other, token)
        assert write(influxd, other, token) == 403


def test_it_makes_the_buckets_and_a_token_for_each_service(
    influxd: InfluxServer, bucket: str, tokens: Path, setup: Setup
) -> None:
    ended = setup()
    assert ended.returncode == 0, ended
    assert retention(influxd, bucket) == (47 * DAY, 7 * DAY)
    assert retention(influxd, f"{bucket}{COUNTS}") == (402 * DAY, 28 * DAY)
    files = sorted(path for path in tokens.rglob("*") if path.is_file())
    assert files == [tokens / "api" / "token", tokens / "log_processor" / "token"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert_right_permissions(influxd, bucket, read(tokens))
    for secret in (influxd.admin_token, *read(tokens).values()):
        assert secret not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("days", "days_of_counts", "limits", "limits_of_counts"),
    [
        (1, 1, (3, 3), (3, 3)),
        (20, 30, (22, 7), (32, 28)),
        # Counts are kept no shorter than requests.
        (400, 20, (402, 7), (402, 28)),
    ],
)
def test_the_buckets_keep_two_days_more_than_is_asked_for(
    influxd: InfluxServer,
    bucket: str,
    setup: Setup,
    days: int,
    days_of_counts: int,
    limits: tuple[int, int],
    limits_of_counts: tuple[int, int],
) -> None:
    assert setup(RETENTION_DAYS=days, COUNTS_RETENTION_DAYS=days_of_counts).returncode == 0
    for name, (kept, shard) in ((bucket, limits), (f"{bucket}{COUNTS}", limits_of_counts)):
        assert retention(influxd, name) == (kept * DAY, shard * DAY)


@pytest.mark.parametrize(
    "rules", [[], [{"type": "expire", "everySeconds": 47 * DAY}]], ids=["for ever", "other shards"]
)
def test_it_corrects_a_bucket_and_keeps_its_points(
    influxd: InfluxServer, bucket: str, tokens: Path, setup: Setup, rules: list[dict[str, object]]
) -> None:
    with influxd.client() as client:
        org = client.get("/api/v2/orgs", params={"org": influxd.org}).json()["orgs"][0]["id"]
        client.post("/api/v2/buckets", json={"orgID": org, "name": bucket, "retentionRules": rules}).raise_for_status()
    assert write(influxd, bucket, influxd.admin_token) == 204
    assert retention(influxd, bucket) != (47 * DAY, 7 * DAY)
    assert "event=bucket_corrected" in setup().stdout
    assert retention(influxd, bucket) == (47 * DAY, 7 * DAY)
    assert '"values"' in ask(influxd, bucket, read(tokens)["api"])
    assert "event=bucket_corrected" not in setup().stdout


def test_again_it_changes_nothing(influxd: InfluxServer, bucket: str, tokens: Path, setup: Setup) -> None:
    setup()
    first = read(tokens)
    assert setup().returncode == 0
    assert read(tokens) == first
    assert_right_permissions(influxd, bucket, first)
    assert len(authorizations(influxd, bucket)) == 2


@pytest.mark.parametrize("content", ["", "no-token-of-this-server", "\xff\x00", "{admin}", None])
def test_a_token_that_does_not_serve_is_made_anew_and_the_other_kept(
    influxd: InfluxServer, bucket: str, tokens: Path, setup: Setup, content: str | None
) -> None:
    setup()
    first = read(tokens)
    path = tokens / "log_processor" / "token"
    if content is None:
        path.unlink()
    else:
        path.write_text(content.format(admin=influxd.admin_token))
    ended = setup()
    assert ended.returncode == 0, ended
    second = read(tokens)
    assert second["api"] == first["api"]
    assert second["log_processor"] != first["log_processor"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert_right_permissions(influxd, bucket, second)
    # The old one is gone, not forgotten.
    assert len(authorizations(influxd, bucket)) == 2
    assert write(influxd, bucket, first["log_processor"]) == 401


def test_a_token_that_could_write_is_not_kept_for_the_api(
    influxd: InfluxServer, bucket: str, tokens: Path, setup: Setup
) -> None:
    setup()
    (tokens / "api" / "token").write_text(read(tokens)["log_processor"])
    setup()
    assert_right_permissions(influxd, bucket, read(tokens))


@pytest.mark.parametrize("ending", ["", COUNTS])
def test_a_bucket_that_was_made_anew_gets_new_tokens(
    influxd: InfluxServer, bucket: str, tokens: Path, setup: Setup, ending: str
) -> None:
    setup()
    with influxd.client() as client:
        (found,) = client.get("/api/v2/buckets", params={"name": f"{bucket}{ending}"}).json()["buckets"]
        client.delete(f"/api/v2/buckets/{found['id']}").raise_for_status()
    assert setup().returncode == 0
    assert_right_permissions(influxd, bucket, read(tokens))


def test_the_services_can_use_what_was_set_up(influxd: InfluxServer, bucket: str, tokens: Path, setup: Setup) -> None:
    setup()
    first = row_of_store(influxd, bucket)
    assert first["schema"] == SCHEMA
    token = read(tokens)
    writing = InfluxStorage(influxd.url, influxd.org, bucket, token["log_processor"])
    writing.acquire()
    writing.write({DailyKey("a", int(time.time()) // DAY): encode_daily(DailyAggregate(NO_COUNTS, NO_COUNTS))})
    writing.close()

    async def ask_api() -> list[str]:
        reading = InfluxStorage(influxd.url, influxd.org, bucket, token["api"])
        try:
            return await reading.customer_names()
        finally:
            await reading.aclose()
            reading.close()

    assert asyncio.run(ask_api()) == ["a"]
    # The key of the customers' hash stays, or none would be found any more.
    assert setup().returncode == 0
    assert row_of_store(influxd, bucket) == first


def test_a_wrong_admin_token_is_told(setup: Setup, tokens: Path) -> None:
    assert_failed(setup(DOCKER_INFLUXDB_INIT_ADMIN_TOKEN="wrong"), "refuses the admin token")
    assert not tokens.exists()


def test_the_admin_gets_a_new_token_and_password_and_the_old_token_ends(tmp_path: Path) -> None:
    command = shutil.which("influxd")
    if command is None:
        pytest.skip("no influxd on PATH, and no other server's admin may lose its token")
    old, token, password = tmp_path / "old", tmp_path / "token", tmp_path / "password"
    with influxd_of_its_own(command, tmp_path) as server:
        old.write_text(f"{server.admin_token}\n")
        ended = replace_admin(server, old, token, password)
        assert ended.returncode == 0, ended
        assert {stat.S_IMODE(path.stat().st_mode) for path in (token, password)} == {0o600}
        for secret in (server.admin_token, token.read_text().strip(), password.read_text().strip()):
            assert secret not in ended.stdout + ended.stderr
        login = ("admin", password.read_text().strip())
        assert httpx.post(f"{server.url}/api/v2/signin", auth=login).status_code == 204
        assert_failed(replace_admin(server, old, token, password), "refuses the admin token")
        # The new token may do what the old one did, and be replaced itself.
        token.replace(old)
        assert replace_admin(server, old, token, password).returncode == 0
        assert_failed(replace_admin(server, old, token, password), "refuses the admin token")


def replace_admin(influxd: InfluxServer, old: Path, *files: Path) -> "subprocess.CompletedProcess[str]":
    return run(
        "replace-admin",
        *map(str, files),
        STORAGE="influxdb",
        INFLUXDB_URL=influxd.url,
        INFLUXDB_ORG=influxd.org,
        DOCKER_INFLUXDB_INIT_ADMIN_TOKEN_FILE=old,
    )


def test_a_missing_organisation_is_told(setup: Setup) -> None:
    assert_failed(setup(INFLUXDB_ORG="nobody"), "has no organisation nobody (INFLUXDB_ORG)")


def test_a_token_of_less_than_the_admin_is_told(setup: Setup, tokens: Path) -> None:
    setup()
    ended = setup(DOCKER_INFLUXDB_INIT_ADMIN_TOKEN=read(tokens)["api"], RETENTION_DAYS=3)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_folder_that_cannot_be_is_told(setup: Setup, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert_failed(setup(TOKENS_PATH=file / "secrets"), "cannot be used: Not a directory")


def test_a_server_that_does_not_answer_is_told_in_time() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with (
        InfluxDBClient(url, "token", org="org") as client,
        pytest.raises(StorageUnavailable, match=f"{url} has not answered"),
    ):
        wait_until_it_answers(client, seconds=0.1)


@pytest.mark.parametrize("command", [["setup"], ["replace-admin", "token", "password"]])
@pytest.mark.parametrize("answer", [b"null", b"<html>"])
def test_another_server_in_the_place_of_influxdb_is_told(command: list[str], answer: bytes, tmp_path: Path) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever).start()
        settings = {"INFLUXDB_URL": f"http://127.0.0.1:{server.server_port}", "TOKENS_PATH": tmp_path}
        ended = run(*command, STORAGE="influxdb", DOCKER_INFLUXDB_INIT_ADMIN_TOKEN="token", **settings)
        server.shutdown()
    assert ended.returncode == 1
    assert "Traceback" not in ended.stdout + ended.stderr
    is_none_found = command == ["setup"] and answer != b"null"
    assert ("has no organisation" if is_none_found else "does not answer as InfluxDB does") in ended.stderr


def test_influxdb_needs_the_admin_token_and_sqlite_does_not(setup: Setup) -> None:
    ended = setup(DOCKER_INFLUXDB_INIT_ADMIN_TOKEN="")
    assert ended.returncode == EXIT_CONFIG
    assert ended.stderr.startswith("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN=: ")


def test_sqlite_is_set_up_and_again_without_harm(tmp_path: Path) -> None:
    path = tmp_path / "data" / "requests.sqlite"
    for _ in range(2):
        ended = run("setup", STORAGE="sqlite", SQLITE_PATH=path)
        assert ended.returncode == 0, ended
        with sqlite3.connect(path) as connection:
            assert connection.execute("SELECT count(*) FROM logs").fetchone() == (0,)
        connection.close()


def test_sqlite_where_no_file_can_be_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    ended = run("setup", STORAGE="sqlite", SQLITE_PATH=file / "requests.sqlite")
    assert_failed(ended, str(file))


@pytest.mark.parametrize("arguments", [[], ["clear"], ["setup", "--force"], ["setup", "now"]])
def test_unknown_arguments_are_refused(arguments: list[str], tmp_path: Path) -> None:
    ended = run(*arguments, SQLITE_PATH=tmp_path / "requests.sqlite")
    assert ended.returncode == 2
    assert "usage: python -m storage" in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--help"], ["setup", "--help"]])
def test_help(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.returncode == 0
    assert "before its first use" in ended.stdout
