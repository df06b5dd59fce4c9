"""The README and the pages in docs: each command in them works."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from influxd import free_port
from lines import valid_lines
from until import wait_until

PROJECT = Path(__file__).resolve().parents[2]
PAGES = {
    page: (PROJECT / page).read_text()
    for page in (
        # Their commands are run in this order.
        "README.md",
        "docs/api.md",
        "docs/operations.md",
        "docs/logs.md",
        "docs/upgrade.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
        *sorted(str(path.relative_to(PROJECT)) for path in PROJECT.glob("docs/**/*.md")),
        "tests/README.md",
    )
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
README_LINES = 150
API = "http://127.0.0.1:8000"
COMPARE = "tests/end_to_end/compare_with_log.py"
SCRIPT_TESTS = "tests/end_to_end/test_scripts.py"
LINES = 500
SECONDS = 30.0


class Command(NamedTuple):
    """A command of a page."""

    page: str
    section: str
    """The heading above it."""
    text: str


def commands() -> Iterator[Command]:
    """All of them, in their order; what ends in a backslash goes on in the next line."""
    for page, text in PAGES.items():
        for section in re.split(r"^##+ ", text, flags=re.MULTILINE):
            for language, block in BLOCK.findall(section):
                if language == "sh":
                    for command in block.replace("\\\n", "").splitlines():
                        yield Command(page, section.partition("\n")[0], re.sub(" +", " ", command))


COMMANDS = list(commands())
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
    "LOG_FILES='/var/log/containers/shop-*.log' LOG_ROOTS=/var/log/pods LOG_WRAPPER=cri LOG_FORMAT=json PYTHONPATH=src "
    ".venv/bin/python -m log_processor": (
        "tests/integration/test_framed_logs.py",
        '{"LOG_FORMAT": "json", "LOG_WRAPPER": wrapper}',
    ),
    "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN=for-trying-only-admin-token ./start.sh --docker --keep --detach": (
        ".ci/run",
        "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN=for-trying-only-admin-token ./start.sh --docker --keep --detach",
    ),
    **dict.fromkeys(
        [
            "docker stop log_processor",
            "INFLUX_TOKEN=$(cat secrets/influxdb_admin_token) docker exec --env INFLUX_TOKEN influx_db influx backup "
            "/tmp/backup",
            "docker cp influx_db:/tmp/backup data/influxdb-backup && chmod -R go= data/influxdb-backup",
            "docker start log_processor",
            "docker stop log_processor api",
            "docker cp data/influxdb-backup influx_db:/tmp/restored",
            "export INFLUX_TOKEN=$(cat secrets/influxdb_admin_token)",
            *(
                f"docker exec --env INFLUX_TOKEN influx_db influx {command} --org acme --{option} {bucket}{path}"
                for command, option, path in (("bucket delete", "name", ""), ("restore", "bucket", " /tmp/restored"))
                for bucket in ("api_requests", "api_requests_counts")
            ),
            "./start.sh --docker --keep --detach",
        ],
        ("tests/integration/test_influxdb_backup.py", "docs/operations.md"),
    ),
    "chmod -R go= data src/log_generator/*.log*": (
        SCRIPT_TESTS,
        "def test_all_that_a_start_makes_is_for_its_caller_alone_and_goes_again",
    ),
    "./cleanup.sh": (SCRIPT_TESTS, "def test_from_a_start_to_the_cleanup"),
    "./testmode.sh": (".ci/run", "./testmode.sh"),
    "docker exec -it log_processor python -m pytest tests/unit": (
        ".ci/run",
        "docker exec log_processor python -m pytest",
    ),
}
"""Commands that are run where this says, in this form. Other commands of docker are in .ci/run word for word."""
ELSEWHERE_OF_PAGES = {"docs/reverse-proxy.md": ("tests/integration/test_reverse_proxy.py", 'block("sh")')}
"""Pages whose commands all are run where this says."""
TESTS_OF_SERVERS = ("tests/integration/test_real_servers.py", "tests/unit/test_presets.py")
"""Of docs/logs.md's sections about a server: these take configuration and settings from there, by section."""


def is_run_elsewhere(command: Command) -> bool:
    return (
        command.text in ELSEWHERE
        or command.page in ELSEWHERE_OF_PAGES
        or command.text.startswith(("docker ", "make "))
        or is_of_a_server(command)
    )


def is_of_a_server(command: Command) -> bool:
    return command.page == "docs/logs.md" and command.section in SERVERS


_, _, _servers = PAGES["docs/logs.md"].partition("\n## Servers\n")
SERVERS = re.findall(r"^### (.*)$", _servers, re.MULTILINE)


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= README_LINES


def test_blocks_are_of_known_kinds() -> None:
    languages = {language for text in PAGES.values() for language, _ in BLOCK.findall(text)}
    servers = {"nginx", "apache", "caddy", "yaml", "haproxy"}
    assert languages == {"sh", "text", "json", "mermaid", "diff", *servers}


@pytest.mark.parametrize("command", sorted(filter(is_run_elsewhere, COMMANDS)), ids=lambda command: command.text)
def test_what_is_not_run_here_is_run_elsewhere(command: Command) -> None:
    if command.text.startswith("make "):
        targets = [word for word in shlex.split(command.text)[1:] if "=" not in word]
        assert set(targets) <= set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
        return
    if is_of_a_server(command):
        assert any(f'"{command.section}"' in (PROJECT / file).read_text() for file in TESTS_OF_SERVERS)
        return
    # There is no terminal in .ci/run.
    by_words = (".ci/run", command.text.replace("docker exec -it ", "docker exec "))
    file, words = ELSEWHERE_OF_PAGES.get(command.page) or ELSEWHERE.get(command.text, by_words)
    assert words in re.sub(r" \\\n *", " ", (PROJECT / file).read_text())


def test_nothing_is_listed_that_is_on_no_page() -> None:
    assert ELSEWHERE.keys() <= {command.text for command in COMMANDS}
    assert ELSEWHERE_OF_PAGES.keys() <= {command.page for command in COMMANDS}


def anchor_of(heading: str) -> str:
    """How GitHub calls a heading in links."""
    return re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", PAGES[page]):
        file = (PROJECT / page).parent / target if target else PROJECT / page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}, (
                anchor
            )


@pytest.mark.parametrize("page", PAGES)
def test_paths_that_are_named_are_there(page: str) -> None:
    named = re.findall(r"`((?:src|tests|docs|bench|deploy|scripts)/[\w./-]*)`", PAGES[page])
    # Logs come and go.
    assert [path for path in named if not (PROJECT / path).exists() and ".log" not in path] == []


def test_modules_that_tests_share_are_all_named() -> None:
    named = re.findall(r"`(\w+\.py)`", PAGES["tests/README.md"])
    assert [path.name for path in PROJECT.glob("tests/*.py") if path.name not in named] == []


def test_the_example_of_a_new_figure_is_true(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.log*"))
    for language, block in BLOCK.findall(PAGES["CONTRIBUTING.md"]):
        for file in re.split(r"^--- ", block, flags=re.MULTILINE)[1:] if language == "diff" else ():
            path, *hunks = re.split(r"\n@@\n", file)
            text = (tmp_path / path).read_text()
            for hunk in hunks:
                lines = f"{hunk.rstrip(chr(10))}\n".splitlines(keepends=True)
                old, new = ("".join(line[1:] for line in lines if line[0] != sign) for sign in "+-")
                assert text.count(old) == 1, (path, hunk)
                text = text.replace(old, new)
            (tmp_path / path).write_text(text)
    program = """if True:
        import numpy as np
        from api.caching.figures_table import FiguresTable
        from api.schemas.figures import Figures
        from log_processor.commands.verify.daily_rows import NOTHING as COUNTED_NOTHING
        from rollups.counts import Outcomes
        from rollups.figures import NOTHING, figures
        from rollups.histogram import Histogram
        found = figures(Histogram(Outcomes(3, 3), np.array([5, 70]), np.array([2, 1])))
        assert Figures(**found._asdict()).max_latency == 0.07
        assert FiguresTable.of({"acme": found})["acme"] == found
        assert len(COUNTED_NOTHING.figures) == len(NOTHING)
    """
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


@pytest.mark.parametrize("page", PAGES)
def test_prose_has_no_line_longer_than_code_may_be(page: str) -> None:
    prose = BLOCK.sub("", PAGES[page]).splitlines()
    assert [line for line in prose if len(line) > 120 and not line.startswith("|")] == []


def test_what_people_see_when_something_is_wrong_is_in_the_code() -> None:
    files = [*PROJECT.glob("*.sh"), *PROJECT.glob("scripts/*.sh"), *PROJECT.glob("src/**/*.py")]
    code = "\n".join(file.read_text() for file in files)
    _, _, table = PAGES["docs/troubleshooting.md"].partition("\n| what you see |")
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
        """Run a command of a page, with this api's address."""
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
            if command.text.startswith("tail "):
                wait_until(lambda: dead_letters.stat().st_size > 0, "the line is rejected")
            result = system.run(command.text)
            assert result.returncode == 0, (command, result)
            said[command.text] = result.stdout
    # One line was rejected, and mended.
    system.until_stored(LINES + 1)

    def said_by(words: str) -> str:
        (found,) = (output for command, output in said.items() if words in command)
        return found

    assert said_by("{print n}") == f"{LINES}\n"
    assert said_by("verify").startswith("All agree:")
    assert json.loads(said_by("tail -n 1"))["reason"] == "fields"
