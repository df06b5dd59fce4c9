"""Files that the services make are for their owner alone, whatever umask they are started with."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lines import valid_lines
from log_processor.spool import Spool
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


def test_a_link_in_the_place_of_a_file_of_ours_has_nothing_overwritten(tmp_path: Path) -> None:
    environment = {"SQLITE_PATH": str(tmp_path / "requests.sqlite")}
    assert run("setup", **environment).returncode == 0
    pipeline = Pipeline(tmp_path, environment, lambda: pytest.fail("not opened"))
    pipeline.append(b"nonsense\n" + valid_lines(10))
    spool, precious, missing = tmp_path / "backfill", tmp_path / "precious", tmp_path / "missing"
    precious.write_text("precious")
    spool.mkdir()
    (tmp_path / "heartbeat").symlink_to(missing)
    try:
        (spool / "format").symlink_to(precious)
        pipeline.start()
        assert pipeline.wait() == 1
        assert f"{spool}/format cannot be used: " in pipeline.said()
        (spool / "format").unlink()
        (spool / "format").write_text("somebody's own")
        pipeline.start()
        assert pipeline.wait() == 1
        assert f"{spool}/format cannot be used: no processor has written it" in pipeline.said()
        assert (spool / "format").read_text() == "somebody's own"
        (spool / "format").unlink()
        os.mkfifo(spool / "format")
        pipeline.start()
        assert pipeline.wait() == 1
        assert f"{spool}/format cannot be used: " in pipeline.said()
        (spool / "format").unlink()
        pipeline.start()
        pipeline.until(lambda: "event=heartbeat_failed" in pipeline.said(), "it says so")
        (spool / ".adding").symlink_to(precious)
        old = tmp_path / "old.log"
        old.write_bytes(valid_lines(20))
        refused = pipeline.run("backfill", str(old))
        assert refused.returncode == 1
        assert f"{spool}/.adding cannot be used: " in refused.stdout
    finally:
        pipeline.close()
    assert precious.read_text() == "precious"
    assert not missing.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_adds_to_the_spool_is_its_owners(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "backfill")
    spool.folder.mkdir()
    os.chown(spool.folder, 12_345, 12_345)
    with spool.adding():
        name = spool.add(tmp_path / "old.log", [b"a\n", b"b\n"])
    (waiting,) = spool.waiting()
    assert (waiting.name, waiting.path.read_bytes(), waiting.origin) == (name, b"a\nb\n", str(tmp_path / "old.log"))
    made = list(spool.folder.rglob("*"))
    assert sorted(path.name for path in made) == [".adding", name, "log", "origin"]
    assert {path.stat().st_uid for path in made} == {12_345}
    assert readable_by_others(spool.folder) == []


def test_what_the_generator_makes(tmp_path: Path) -> None:
    log = tmp_path / "api_requests.log"
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "LOG_FILE_PATH": str(log), "MAX_LOGS_TO_GENERATE": "5"}
    subprocess.run([sys.executable, "-m", "log_generator"], env=environment, check=True, capture_output=True)
    wait_until(log.exists, "it is there")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
