"""The rights of the containers that run: what an intruder in one of them, or beside them, could do.

`./start.sh --docker --detach` starts them. Without them the tests are skipped.
"""

import json
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.host

PROJECT = Path(__file__).resolve().parents[2]
OURS = ["log_processor", "api", "log_generator"]
# What setup used before it made random ones.
OLD_TOKEN = "for-trying-only-admin-token"
FOLDER_LABEL = "com.docker.compose.project.working_dir"


def inspect(container: str) -> dict[str, Any]:
    """What Docker says of a container. The test is skipped where it does not run, or is of another folder."""
    try:
        asked = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no docker on PATH")
    found: list[dict[str, Any]] = json.loads(asked.stdout or "[]")
    if not found or not found[0]["State"]["Running"] or found[0]["Config"]["Labels"].get(FOLDER_LABEL) != str(PROJECT):
        pytest.skip(f"no container {container} of this folder runs: ./start.sh --docker --detach")
    return found[0]


def run_in(container: str, command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["docker", "exec", container, "sh", "-c", command], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("container", OURS)
def test_a_service_cannot_become_more_than_the_caller(container: str) -> None:
    inspect(container)
    status = dict(re.findall(r"^(\w+):\t(.*)$", run_in(container, "cat /proc/1/status").stdout, re.MULTILINE))
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["Uid"].split()[0] == str(os.getuid())


@pytest.mark.parametrize("container", OURS)
def test_a_service_cannot_change_its_code(container: str) -> None:
    inspect(container)
    for path in ("/app/src/service/settings.py", "/venv/pyvenv.cfg", "/app/new", "/new"):
        tried = run_in(container, f": >>{path}")
        assert tried.returncode, path
        assert "Read-only file system" in tried.stderr


@pytest.mark.parametrize("container", OURS)
def test_a_service_cannot_take_the_machine(container: str) -> None:
    limits = inspect(container)["HostConfig"]
    assert 0 < limits["Memory"] <= 2 << 30
    assert 0 < limits["PidsLimit"] <= 256


def test_the_database_is_reached_by_no_other_program_of_this_machine() -> None:
    assert not any(inspect("influx_db")["NetworkSettings"]["Ports"].values())


def test_the_token_that_everybody_knows_opens_nothing() -> None:
    inspect("influx_db")
    ask = "curl --silent --output /dev/null --write-out '%{http_code}' --header 'Authorization: Token ' http://127.0.0.1:8086/api/v2/buckets"

    def status(token: str) -> str:
        return run_in("influx_db", ask.replace("Token ", f"Token {token}")).stdout

    assert status(OLD_TOKEN) == "401"
    assert status((PROJECT / "secrets/influxdb_admin_token").read_text().strip()) == "200"


def secret_files() -> list[Path]:
    """The files of secrets, also those in folders."""
    return [file for file in (PROJECT / "secrets").rglob("*") if file.is_file()]


@pytest.mark.parametrize("container", ["influx_db", *OURS])
def test_whoever_sees_the_containers_settings_sees_no_secret(container: str) -> None:
    settings = json.dumps(inspect(container))
    secrets = [secret for file in secret_files() for secret in file.read_text().split()]
    assert secrets
    assert [secret for secret in secrets if secret in settings] == []


def test_what_start_sh_made_is_for_its_caller_alone() -> None:
    inspect("api")
    files = [*secret_files(), *(PROJECT / "logs").iterdir(), *(PROJECT / ".run").iterdir()]
    files += [PROJECT / "data/dead_letters.jsonl", PROJECT / "src/log_generator/api_requests.log"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    folders = [PROJECT / "secrets", *(path for path in (PROJECT / "secrets").rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
