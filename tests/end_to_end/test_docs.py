"""The README: each command in it works."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from influxd import free_port
from lines import valid_lines
from until import wait_until

PROJECT = Path(__file__).resolve().parents[2]
README = (PROJECT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, text in BLOCK.findall(README) if language == "sh" for line in text.splitlines()]
API = "http://127.0.0.1:8000"
COMPARE = "tests/end_to_end/compare_with_log.py"
SCRIPT_TESTS = "tests/end_to_end/test_scripts.py"
LINES = 500
SECONDS = 30.0

ELSEWHERE = {
    "./start.sh --detach": (SCRIPT_TESTS, "def test_from_a_start_to_the_cleanup"),
    "LOG_HISTORY_DAYS=7 LOG_BATCH_SIZE=1000 MAX_LOGS_TO_GENERATE=20000 ./start.sh --detach": (
        ".ci/run",
        "LOG_HISTORY_DAYS=30",
    ),
    "LOG_FILE_PATH=/var/log/shop/access.log START_POSITION=beginning ./start.sh --no-generator": (
        SCRIPT_TESTS,
        "def test_a_log_of_the_users_own_is_followed_and_left_as_it_is",
    ),
    "LOG_FILE_PATH=/var/log/nginx/access.log LOG_FORMAT=combined LOG_CUSTOMER_FROM=extra1 ./start.sh --no-generator": (
        "tests/integration/test_log_formats.py",
        '"LOG_FORMAT": "combined", "LOG_CUSTOMER_FROM": "extra1"',
    ),
    "PYTHONPATH=src .venv/bin/python -m log_processor check /var/log/nginx/access.log": (
        "tests/integration/test_log_formats.py",
        'pipeline.run("check", str(log)',
    ),
    "./cleanup.sh": (".ci/run", "./cleanup.sh"),
    "./run_tests.sh": (".ci/run", "./run_tests.sh --docker"),
    "PYTHONPATH=src:tests .venv/bin/python -m torture --store sqlite --kills 100": (
        ".ci/run",
        "python -m torture --store sqlite --kills 3",
    ),
    ".venv/bin/pip install -r requirements-test.txt -r requirements-bench.txt": (
        ".ci/run",
        "requirements-test.txt requirements-bench.txt",
    ),
    "PYTHONPATH=src:tests .venv/bin/python -m bench": (".ci/run", "python -m bench --short"),
    "./testmode.sh": (".ci/run", "./testmode.sh"),
}
"""Commands that are run where this says, in this form. Other commands of docker are in .ci/run word for word."""


def is_run_elsewhere(command: str) -> bool:
    return command in ELSEWHERE or command.startswith("docker ")


def test_blocks_are_of_known_kinds() -> None:
    assert {language for language, _ in BLOCK.findall(README)} == {"sh", "text", "json", "mermaid"}


@pytest.mark.parametrize("command", sorted(set(filter(is_run_elsewhere, COMMANDS))))
def test_what_is_not_run_here_is_run_elsewhere(command: str) -> None:
    # There is no terminal in .ci/run.
    file, words = ELSEWHERE.get(command, (".ci/run", command.replace("docker exec -it ", "docker exec ")))
    assert words in re.sub(r" \\\n *", " ", (PROJECT / file).read_text())


def test_nothing_is_listed_that_is_not_in_the_readme() -> None:
    assert ELSEWHERE.keys() <= set(COMMANDS)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (PROJECT / target).exists(), target


def test_what_people_see_when_something_is_wrong_is_in_the_code() -> None:
    files = [*PROJECT.glob("*.sh"), *PROJECT.glob("scripts/*.sh"), *PROJECT.glob("src/**/*.py")]
    code = "\n".join(file.read_text() for file in files)
    _, _, table = README.partition("\n| what you see |")
    seen = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
    phrases = [part.strip() for cell in seen for quoted in re.findall("`(.*?)`", cell) for part in quoted.split("...")]
    assert len(phrases) > 10
    assert [phrase for phrase in phrases if phrase not in code] == []


class System:
    """A processor that follows a log, and an api, in a folder like that of a project that was just started."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.root = root
        self.log = root / "src/log_generator/api_requests.log"
        self.url = f"http://127.0.0.1:{free_port()}"
        shutil.copytree(PROJECT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.log*"))
        (root / COMPARE).parent.mkdir(parents=True)
        shutil.copy(PROJECT / COMPARE, root / COMPARE)
        (root / ".venv").symlink_to(sys.prefix)
        self.environment = {
            **os.environ,
            "PATH": f"{root}/.venv/bin:{os.environ['PATH']}",
            "PYTHONPATH": f"{root}/src",
            "API_PORT": self.url.rpartition(":")[2],
            "STREAM_MAX_WAIT_TIME_IN_SECONDS": "0.1",
        }
        self.log.touch()
        subprocess.run([sys.executable, "-m", "storage", "setup"], env=self.environment, check=True)
        for service in ("log_processor", "api"):
            stack.enter_context(self._started(service))
        wait_until((root / ".run/log_processor.heartbeat").exists, "the processor is there")
        wait_until(lambda: self.run(f"curl {API}/ready").returncode == 0, "the api is there")

    def _started(self, service: str) -> ExitStack:
        process = subprocess.Popen([sys.executable, "-m", service], env=self.environment)
        stack = ExitStack()
        stack.callback(process.wait, timeout=SECONDS)
        stack.callback(process.terminate)
        return stack

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the README, with this api's address."""
        if COMPARE in command:
            command += f" --api {API}"
        command = command.replace("curl ", "curl --silent --show-error --fail --noproxy '*' ").replace(API, self.url)
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def total_requests(self) -> int:
        with urllib.request.urlopen(f"{self.url}/customers/stats", timeout=SECONDS) as answer:
            total: int = json.load(answer)["total_requests"]
            return total

    def until_stored(self, requests: int) -> None:
        wait_until(lambda: self.total_requests() == requests, f"{requests} requests are stored")


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with ExitStack() as stack:
        yield System(tmp_path, stack)


@pytest.mark.host
def test_from_the_first_command_to_the_last(system: System) -> None:
    system.log.write_bytes(valid_lines(LINES))
    system.until_stored(LINES)
    said = {}
    dead_letters = system.root / "data/dead_letters.jsonl"
    for command in COMMANDS:
        if not is_run_elsewhere(command):
            if command.startswith("tail "):
                wait_until(lambda: dead_letters.stat().st_size > 0, "the line is rejected")
            result = system.run(command)
            assert result.returncode == 0, (command, result)
            said[command] = result.stdout
    # One line was rejected, and mended.
    system.until_stored(LINES + 1)

    def said_by(words: str) -> str:
        (found,) = (output for command, output in said.items() if words in command)
        return found

    assert said_by("{print n}") == f"{LINES}\n"
    assert said_by("verify").startswith("All agree:")
    assert json.loads(said_by("tail -n 1"))["reason"] == "fields"
