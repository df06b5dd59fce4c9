"""Files that the services make are for their owner alone, whatever umask they are started with."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lines import valid_lines
from pipeline import Pipeline
from programs import SOURCES
from running_api import running
from storage_command import run
from until import wait_until


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def readable_by_others(folder: Path) -> list[Path]:
    """What others may read of a folder, but for what tests make."""
    return [
        path
        for path in folder.rglob("*")
        if path.suffix != ".out" and not path.is_symlink() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]


def test_what_the_processor_the_api_and_the_commands_make(tmp_path: Path) -> None:
    environment = {"SQLITE_PATH": str(tmp_path / "data/requests.sqlite"), "METRICS_PORT": "0"}
    assert run("setup", **environment).returncode == 0
    assert run("backup", str(tmp_path / "copy.sqlite"), **environment).returncode == 0
    log = tmp_path / "log"
    log.mkdir(mode=0o700)
    pipeline = Pipeline(log, environment, lambda: pytest.fail("not opened"))
    pipeline.append(b"nonsense\n" + valid_lines(10))
    pipeline.log.chmod(0o600)
    try:
        pipeline.start()
        pipeline.until(lambda: "event=stored" in pipeline.said(), "it is stored")
        old = log / "old.log"
        old.write_bytes(valid_lines(20))
        old.chmod(0o600)
        assert pipeline.end() == 0
        # It waits in the spool now.
        added = pipeline.run("backfill", str(old))
        assert "no processor" in (added.stdout + added.stderr).lower() or added.returncode == 0, added
        with running(tmp_path, environment) as api:
            api.until("/health", 200)
    finally:
        pipeline.close()
    assert (log / "dead_letters.jsonl").stat().st_size > 0
    assert readable_by_others(tmp_path) == []


def test_what_the_generator_makes(tmp_path: Path) -> None:
    log = tmp_path / "api_requests.log"
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "LOG_FILE_PATH": str(log), "MAX_LOGS_TO_GENERATE": "5"}
    subprocess.run([sys.executable, "-m", "log_generator"], env=environment, check=True, capture_output=True)
    wait_until(log.exists, "it is there")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
