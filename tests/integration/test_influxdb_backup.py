"""The way to back InfluxDB up and to put the copy back, with the commands of docs/operations.md."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from asking import answer, line, today
from influxd import InfluxServer
from storage.influxdb.schema import COUNTS
from stores import influxdb_store

PROJECT = Path(__file__).parents[2]


def commands(words: str) -> list[list[str]]:
    """The commands `influx ...` of the page that have these words."""
    page = (PROJECT / "docs/operations.md").read_text()
    found = [shlex.split(one) for one in re.findall(r"influx_db (influx .*)$", page, re.MULTILINE)]
    return [command for command in found if words in command]


def test_the_page_says_how() -> None:
    assert len(commands("backup")) == 1
    assert [len(commands(words)) for words in ("delete", "restore")] == [2, 2]


def test_a_copy_is_put_back(influxd: InfluxServer, tmp_path: Path) -> None:
    influx = shutil.which("influx")
    if influx is None:
        pytest.skip("there is no influx on PATH, the command of InfluxDB 2")
    copy = str(tmp_path / "backup")
    with influxdb_store(influxd) as store:
        bucket = store.environment["INFLUXDB_BUCKET"]
        ours = {"acme": influxd.org, "api_requests": bucket, f"api_requests{COUNTS}": f"{bucket}{COUNTS}"}
        ours |= {"influx": influx, "/tmp/backup": copy, "/tmp/restored": copy}
        environment = {**os.environ, "INFLUX_TOKEN": influxd.admin_token, "INFLUX_HOST": influxd.url}

        def run(words: str) -> None:
            for command in commands(words):
                subprocess.run([ours.get(word, word) for word in command], env=environment, check=True)

        store.fill(line(today(), "cust_1") * 3)
        before = answer(store, "/customers/cust_1/stats")
        run("backup")
        store.fill(line(today(), "cust_1") * 2, writer="later", log="later")
        assert answer(store, "/customers/cust_1/stats")["total_requests"] == 5
        run("delete")
        run("restore")
        assert answer(store, "/customers/cust_1/stats") == before
