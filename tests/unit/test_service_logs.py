"""The log lines of a service, as a process writes them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
HOSTILE = "a\x1b[31m b\r\x9b\u202ec\nd\udcff\te"


def line_of(line_format: str, text: str) -> str:
    """The log line of an event that has this text, and one of a library's."""
    code = (
        "from service.logs import configure, logger\n"
        f"configure('test', 'INFO', {line_format!r})\n"
        f"logger('test').info('happened', line={text!a}, number=1)\n"
        "import logging\n"
        f"logging.getLogger('library').info({text!a})\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCES), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    return ended.stdout.decode()


@pytest.mark.parametrize("line_format", ["logfmt", "json"])
def test_what_does_not_print_is_escaped(line_format: str) -> None:
    own, library = line_of(line_format, HOSTILE).splitlines()
    for line in (own, library):
        assert line.replace("\t", "").isprintable()
        assert "\\x1b[31m b\\r\\x9b\\u202ec" in line.replace("\\\\", "\\")


def test_text_that_prints_stays_as_it_is_in_json() -> None:
    own, _ = line_of("json", 'ü 中 "quoted" a\\b\nc\td').splitlines()
    assert json.loads(own)["line"] == 'ü 中 "quoted" a\\b\nc\td'
    assert json.loads(own)["number"] == 1
