"""The scripts, as a user runs them, in a copy of the project and without Docker."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from influxd import free_port
from until import wait_until

pytestmark = pytest.mark.host

PROJECT = Path(__file__).resolve().parents[2]
NOT_COPIED = shutil.ignore_patterns(
    ".git",
    ".venv*",
    "sbom.json",
    ".run",
    ".*_cache",
    ".hypothesis",
    "*.sqlite*",
    "*.jsonl*",
    "logs",
    "secrets",
    "*.log",
)
KEY = r"rs_[0-9a-f]{12}_[\w-]{43}"
SCRIPTS = ["start.sh", "run_tests.sh", "testmode.sh", "cleanup.sh"]
SECONDS = 120
LINE = "2026-11-23 16:15:35 cust_5 /api/v1/resource4 200 0.772\n"


class Copy:
    """A copy of the project, where no Docker can be used and the api has a port of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(PROJECT, root, symlinks=True, ignore=NOT_COPIED)
        commands = root.parent / "commands"
        commands.mkdir()
        self.environment = {
            **os.environ,
            "PATH": f"{commands}:{os.environ['PATH']}",
            "API_PORT": str(free_port()),
            "LOG_BATCH_SIZE": "100",
            "LOG_INTERVAL_SECONDS": "0.1",
            "MAX_LOGS_TO_GENERATE": "500",
            "STREAM_MAX_WAIT_TIME_IN_SECONDS": "0.1",
        }
        self.commands = commands
        self.replace_command("docker", "exit 1")
        self.share_venv()

    def replace_command(self, name: str, script: str) -> None:
        """Put a shell script in the place of a command on PATH."""
        command = self.commands / name
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)

    def share_venv(self) -> None:
        """Take the environment that the tests run in, where run_tests.sh made it; else start.sh makes one."""
        if (Path(sys.prefix) / "installed-requirements.txt").exists():
            (self.root / ".venv").symlink_to(sys.prefix)

    def run(self, script: str, *arguments: str, **variables: str) -> "Result":
        """Run a script to its end."""
        return self.run_in(self.root, script, *arguments, **variables)

    def run_in(self, folder: Path, script: str, *arguments: str, **variables: str) -> "Result":
        """Run a script to its end, from a folder."""
        done = subprocess.run(
            [self.root / script, *arguments],
            cwd=folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def total_requests(self) -> int:
        url = f"http://127.0.0.1:{self.environment['API_PORT']}/customers/stats"
        with urllib.request.urlopen(url, timeout=10) as answer:
            total: int = json.load(answer)["total_requests"]
            return total

    def until_stored(self, requests: int) -> None:
        wait_until(lambda: self.total_requests() == requests, f"{requests} requests are stored")

    def processes(self) -> dict[str, int]:
        """The numbers of the services' processes that run, by service."""
        found = {}
        for file in (self.root / ".run").glob("*.pid"):
            process = int(file.read_text().split()[0])
            if is_running(process):
                found[file.stem] = process
        return found

    def every_process(self) -> set[int]:
        """The numbers of all processes that run in this copy."""
        found = set()
        for folder in Path("/proc").glob("[0-9]*/cwd"):
            with suppress(OSError):
                if folder.readlink() == self.root:
                    found.add(int(folder.parent.name))
        return found

    def snapshot(self) -> set[Path]:
        return {path.relative_to(self.root) for path in self.root.rglob("*") if "__pycache__" not in path.parts}


class Result:
    """How a script ended."""

    def __init__(self, status: int, output: str, errors: str) -> None:
        self.status = status
        self.output = output
        self.errors = errors

    def __repr__(self) -> str:
        return f"status {self.status}\n{self.output}\n{self.errors}"


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    made = Copy(tmp_path / "project")
    yield made
    made.run("cleanup.sh")


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_shown_in_any_folder(script: str, tmp_path: Path) -> None:
    done = subprocess.run([PROJECT / script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"Usage: ./{script}")
    assert done.stderr == ""


@pytest.mark.parametrize(("argument", "shown"), [("--nonsense", "--nonsense"), ("", "''"), ("\x1b[2J", "$'\\E[2J'")])
@pytest.mark.parametrize("script", ["start.sh", "testmode.sh", "cleanup.sh"])
def test_an_unknown_argument_is_refused(script: str, argument: str, shown: str, copy: Copy) -> None:
    before = copy.snapshot()
    result = copy.run(script, argument)
    assert result.status == 2
    assert f"unknown argument {shown}, see" in result.errors
    assert copy.snapshot() == before


@pytest.mark.parametrize("script", ["start.sh", "run_tests.sh"])
def test_only_one_mode_can_be_asked_for(script: str, copy: Copy) -> None:
    result = copy.run(script, "--local", "--docker")
    assert result.status == 1
    assert "not both" in result.errors


@pytest.mark.parametrize(
    ("script", "arguments"), [("start.sh", ["--docker"]), ("run_tests.sh", ["--docker"]), ("testmode.sh", [])]
)
def test_what_needs_docker_says_what_is_missing_and_what_to_do(script: str, arguments: list[str], copy: Copy) -> None:
    result = copy.run(script, *arguments)
    assert result.status == 1
    assert "docker has no Compose plugin" in result.errors
    assert "--local" in result.errors


def test_without_a_fit_python_it_says_which_are_fit(copy: Copy) -> None:
    for name in ["python3.10", "python3.11", "python3.12", "python3", "python"]:
        copy.replace_command(name, "exit 1")
    (copy.root / ".venv").unlink(missing_ok=True)
    result = copy.run("start.sh", "--local")
    assert result.status == 1
    assert "Python 3.10, 3.11 or 3.12" in result.errors


def test_python_finds_no_packages_of_the_callers(copy: Copy) -> None:
    (copy.root / ".venv").unlink(missing_ok=True)
    for name in ("python3.11", "python3.12", "python3.10", "python3", "python"):
        copy.replace_command(name, 'printf %s "${PYTHONPATH-}${PYTHONHOME-}" >>"$0.found"; exit 1')
    result = copy.run("start.sh", "--local", PYTHONPATH="/of/the/callers", PYTHONHOME="/of/the/callers")
    assert result.status == 1, result
    assert {path.read_text() for path in copy.commands.glob("*.found")} == {""}


def test_folders_of_the_project_are_found_whatever_cdpath_says(copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "others/src/log_generator").mkdir(parents=True)
    result = copy.run("start.sh", "--local", "--detach", CDPATH=f".:{tmp_path}/others")
    assert result.status == 0, result
    assert copy.processes().keys() >= {"log_processor", "api"}


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["none", "LF", "CRLF"])
def test_a_setting_counts_however_its_line_ends(end: str, copy: Copy) -> None:
    settings = copy.root / ".env.local"
    lines = [line for line in settings.read_text().splitlines() if not line.startswith("LOG_FORMAT=")]
    settings.write_text((end or "\n").join([*lines, "LOG_FORMAT=json"]) + end, newline="")
    result = copy.run("start.sh", "--local", "--detach")
    assert "LOG_FORMAT=json: the generator writes simple lines" in result.errors


def test_a_file_in_the_place_of_the_heartbeat_stays(copy: Copy) -> None:
    before = (copy.root / "README.md").read_bytes()
    result = copy.run("start.sh", "--local", "--detach", HEARTBEAT_PATH="README.md")
    assert result.status == 1
    assert "HEARTBEAT_PATH=README.md is no heartbeat" in result.errors
    assert copy.processes() == {}
    assert (copy.root / "README.md").read_bytes() == before


def test_the_cleanup_removes_nothing_outside_the_project(copy: Copy, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text("precious")
    (copy.root / ".run").mkdir()
    (copy.root / ".run/made").write_text(f"{foreign}\n")
    assert copy.run("cleanup.sh").status == 0
    assert foreign.exists()


def test_a_setting_with_a_line_break_is_refused(copy: Copy) -> None:
    # The list of what the scripts made would have README.md.
    for script, arguments in (("start.sh", ["--local", "--detach"]), ("cleanup.sh", [])):
        result = copy.run(script, *arguments, LOG_FILE_PATH="README.md\nlog")
        assert (result.status, result.errors) == (
            1,
            f"{script}: LOG_FILE_PATH has a line break, and no setting can have one\n",
        )
    assert copy.run("cleanup.sh").status == 0
    assert (copy.root / "README.md").exists()


def test_an_empty_setting_is_its_default_and_a_name_may_begin_with_a_dash(copy: Copy) -> None:
    result = copy.run("start.sh", "--local", "--detach", BACKFILL_FOLDER="", DEAD_LETTERS_PATH="-rf")
    assert result.status == 0, result
    assert (copy.root / "-rf").exists()
    assert (copy.root / "data/backfill").is_dir()
    assert copy.run("cleanup.sh").status == 0
    assert not (copy.root / "-rf").exists()


def test_two_starts_at_once_leave_the_processes_of_one(copy: Copy) -> None:
    environment = {**copy.environment, "MAX_LOGS_TO_GENERATE": "0"}
    command: list[str | Path] = [copy.root / "start.sh", "--local", "--detach"]
    starts = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [start.wait(timeout=SECONDS) for start in starts] == [0, 0]
    assert copy.processes().keys() == {"log_generator", "log_processor", "api"}
    assert copy.run("cleanup.sh").status == 0
    assert copy.every_process() == set()


@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_foreign_log_is_neither_cleared_nor_written(through_a_link: bool, copy: Copy, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.log"
    foreign.write_text(LINE)
    named = foreign
    if through_a_link:
        named = copy.root / "data.log"
        named.symlink_to(foreign)
    result = copy.run("start.sh", "--local", "--detach", LOG_FILE_PATH=str(named))
    assert result.status == 1
    assert "--no-generator" in result.errors
    assert copy.processes() == {}
    assert foreign.read_text() == LINE


def test_a_foreign_database_is_not_cleared(copy: Copy, tmp_path: Path) -> None:
    database = tmp_path / "others.sqlite"
    database.write_text("precious")
    result = copy.run("start.sh", "--local", "--detach", SQLITE_PATH=str(database))
    assert result.status == 1
    assert "--keep" in result.errors
    assert database.read_text() == "precious"


@pytest.mark.parametrize("script", ["start.sh", "cleanup.sh"])
def test_a_folder_that_the_scripts_did_not_make_stays(script: str, copy: Copy) -> None:
    docs = sorted((copy.root / "docs").rglob("*"))
    arguments = ["--local", "--detach"] if script == "start.sh" else []
    result = copy.run(script, *arguments, BACKFILL_FOLDER="docs")
    assert result.status == 0, result
    assert [path for path in docs if not path.exists()] == []


def test_the_cleanup_removes_nothing_through_a_link(copy: Copy, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    names = ["api.log", "api.log.1", "build.log", "requests.sqlite", "requests.sqlite-wal", "spool/old.log"]
    for name in [*names, "spool/.made-by-request-statistics"]:
        (foreign / name).parent.mkdir(parents=True, exist_ok=True)
        (foreign / name).write_text("precious")
    (copy.root / ".run").mkdir()
    (copy.root / ".run/made").write_text(f"{copy.root}/kept/requests.sqlite\n")
    for link in ("logs", "kept"):
        (copy.root / link).symlink_to(foreign)
    assert copy.run("cleanup.sh", BACKFILL_FOLDER="kept/spool").status == 0
    assert [name for name in names if not (foreign / name).exists()] == []


def test_what_somebody_keeps_beside_our_files_stays(copy: Copy) -> None:
    start = "start.sh", "--local", "--detach"
    assert copy.run(*start).status == 0
    database, log = copy.root / "data/requests.sqlite", copy.root / "src/log_generator/api_requests.log"
    backups = [f"{database}.bak", f"{database}.2026-11-30", f"{database}.replaced-1", f"{log}.old", f"{log}.1.bak"]
    companions = [f"{database}.writer.lock", f"{log}.1", f"{log}.2.gz"]
    for end_of_ours in (start, ["cleanup.sh"]):
        for path in map(Path, [*backups, *companions]):
            path.touch()
        assert copy.run(*end_of_ours).status == 0
        assert [path for path in backups if not Path(path).exists()] == []
        assert [path for path in companions if Path(path).exists()] == []


@pytest.mark.parametrize("variable", ["SQLITE_PATH", "DEAD_LETTERS_PATH", "LOG_FILE_PATH"])
def test_a_file_that_the_scripts_did_not_make_is_not_cleared(variable: str, copy: Copy) -> None:
    before = (copy.root / "README.md").read_bytes()
    result = copy.run("start.sh", "--local", "--detach", **{variable: "README.md"})
    assert result.status == 1
    assert f"{variable}=README.md was not made by this script" in result.errors
    assert copy.processes() == {}
    copy.run("cleanup.sh", **{variable: "README.md"})
    assert (copy.root / "README.md").read_bytes() == before


def test_all_that_a_start_makes_is_for_its_caller_alone_and_goes_again(copy: Copy) -> None:
    before = copy.snapshot()
    result = copy.run("start.sh", "--local", "--detach", BACKFILL_FOLDER="spool", SQLITE_PATH="data/a.sqlite")
    assert result.status == 0, result
    made = copy.snapshot() - before
    assert {Path("spool"), Path("data/a.sqlite"), Path("logs/api.log")} <= made
    for path in made - {Path(".venv")}:
        if Path(".venv") not in path.parents:
            assert (copy.root / path).stat().st_mode & 0o077 == 0, path
    assert copy.run("cleanup.sh", BACKFILL_FOLDER="spool").status == 0
    assert copy.snapshot() == before - {Path(".venv")}


def test_a_taken_port_is_told_with_its_variable_before_anything_is_cleared(copy: Copy) -> None:
    log = copy.root / "src/log_generator/api_requests.log"
    log.write_text(LINE)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = copy.run("start.sh", "--local", "--detach", API_PORT=str(port))
    assert result.status == 1
    assert f"port {port} is taken" in result.errors
    assert "API_PORT=" in result.errors
    assert log.read_text() == LINE


def test_a_bad_setting_is_told(copy: Copy) -> None:
    result = copy.run("start.sh", "--local", "--detach", POLL_INTERVAL_MS="often")
    assert result.status == 1
    assert "POLL_INTERVAL_MS=often" in result.output
    assert copy.processes() == {}


def test_from_a_start_to_the_cleanup(copy: Copy, tmp_path: Path) -> None:
    before = copy.snapshot()

    result = copy.run_in(tmp_path, "start.sh", "--detach")
    assert result.status == 0, result
    assert "Without containers, because docker has no Compose plugin." in result.output
    assert copy.total_requests() > 0
    shown = re.search(r"curl '(.*)'", result.output)
    assert shown is not None
    with urllib.request.urlopen(shown[1], timeout=10) as answer:
        assert json.load(answer)["total_requests"] > 0

    log = copy.root / "src/log_generator/api_requests.log"
    wait_until(lambda: len(log.read_bytes().splitlines()) == 500, "all is written")
    compare: list[str | Path] = [
        sys.executable,
        copy.root / "tests/end_to_end/compare_with_log.py",
        "--wait",
        "30",
        log,
    ]
    compare += ["--api", f"http://127.0.0.1:{copy.environment['API_PORT']}"]
    assert subprocess.run(compare, capture_output=True, text=True, check=True).stdout.count("500 requests") == 1

    first = copy.processes()
    assert first.keys() >= {"log_processor", "api"}
    result = copy.run("start.sh", "--local", "--detach", "--keep")
    assert result.status == 0, result
    assert not any(is_running(process) for process in first.values())
    copy.until_stored(1000)

    result = copy.run("start.sh", "--local", "--detach", MAX_LOGS_TO_GENERATE="100")
    assert result.status == 0, result
    copy.until_stored(100)

    last = copy.processes()
    result = copy.run("cleanup.sh")
    assert result.status == 0, result
    assert not any(is_running(process) for process in last.values())
    assert copy.snapshot() == before - {Path(".venv")}
    assert copy.run("cleanup.sh").status == 0


def test_a_log_of_the_users_own_is_followed_and_left_as_it_is(copy: Copy, tmp_path: Path) -> None:
    log = tmp_path / "own.log"
    log.write_text(LINE * 3)
    follow = {"LOG_FILE_PATH": str(log), "START_POSITION": "beginning"}
    result = copy.run("start.sh", "--local", "--detach", "--no-generator", **follow)
    assert result.status == 0, result
    assert copy.processes().keys() == {"log_processor", "api"}
    copy.until_stored(3)
    with log.open("a") as file:
        file.write(LINE)
    copy.until_stored(4)
    assert copy.run("cleanup.sh", **follow).status == 0
    assert log.read_text() == LINE * 4


def test_others_reach_it_only_with_a_key_that_is_shown_once(copy: Copy) -> None:
    before = copy.snapshot()
    arguments = ("--local", "--detach", "--keep")
    result = copy.run("start.sh", *arguments, API_HOST="0.0.0.0")
    assert result.status == 0, result
    (key,) = set(re.findall(KEY, result.output))
    url = f"http://127.0.0.1:{copy.environment['API_PORT']}/customers/stats"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(url, timeout=10)
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer)["total_requests"] > 0
    shown = re.search(r"curl (.*)", result.output)
    assert shown is not None
    curl = subprocess.run(f"curl --silent {shown[1]}", shell=True, capture_output=True, text=True, check=True)
    assert '"total_requests"' in curl.stdout

    result = copy.run("start.sh", *arguments, API_HOST="0.0.0.0")
    assert result.status == 0, result
    assert re.search(KEY, result.output) is None
    # Its own key, by which it looked for lines, is revoked.
    keys = copy.root / "secrets/keys/keys.jsonl"
    assert keys.stat().st_mode & 0o777 == 0o600
    assert len(keys.read_text().splitlines()) == 1
    assert copy.run("cleanup.sh").status == 0
    assert copy.snapshot() == before - {Path(".venv")}


def test_ctrl_c_stops_all(copy: Copy) -> None:
    start = subprocess.Popen(
        [copy.root / "start.sh", "--local"],
        env={**copy.environment, "MAX_LOGS_TO_GENERATE": "0"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Who runs the tests in the background has them ignore it, and a shell cannot take that back.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert start.stdout is not None
    for line in start.stdout:
        if line.startswith("log_processor") and "event=stored" in line:
            break
    running = copy.processes()
    assert running.keys() == {"log_generator", "log_processor", "api"}
    # As a terminal does: to all that stand in the foreground.
    os.killpg(start.pid, signal.SIGINT)
    start.communicate(timeout=SECONDS)
    assert start.returncode == 130
    assert not any(is_running(process) for process in running.values())


def test_a_process_that_only_has_the_number_of_ours_is_left_alone(copy: Copy) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        (copy.root / ".run").mkdir()
        (copy.root / ".run/api.pid").write_text(f"{other.pid} 1\n")
        assert copy.run("cleanup.sh").status == 0
        assert is_running(other.pid)
        other.kill()


@pytest.mark.parametrize("of_ended", [False, True])
def test_a_file_without_the_start_of_a_process_stands_for_none(of_ended: bool, copy: Copy) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    (copy.root / ".run").mkdir()
    (copy.root / ".run/api.pid").write_text(f"{ended.pid} \n" if of_ended else "")
    result = copy.run("cleanup.sh")
    assert (result.status, result.errors) == (0, "")
    assert "did not end" not in result.output
