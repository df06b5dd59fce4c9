"""What commands tell in a terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.printable import printable

SOURCES = Path(__file__).parents[2] / "src"
FULL = Path("/dev/full")


def told(texts: list[str], stdout: int, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    code = f"from log_processor.commands.terminal import say\nfor text in {texts!a}: say(text)"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCES), **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
    )


@pytest.mark.parametrize("texts", [["a"], ["a" * 100_000], ["a", "b" * 100_000, "c"]])
def test_a_reader_that_has_gone_is_no_fault(texts: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        end = told(texts, writer)
    finally:
        os.close(writer)
    assert (end.returncode, end.stderr) == (0, b"")


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("texts", [["a"], ["a" * 100_000]])
def test_a_full_disk_is_said_without_a_traceback(texts: list[str]) -> None:
    with FULL.open("wb") as full:
        end = told(texts, full.fileno())
    assert (end.returncode, end.stderr) == (1, b"Standard output cannot be written: No space left on device.\n")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "iso-8859-1", "cp1252"])
def test_whatever_is_told_comes_in_the_encoding_of_the_terminal(encoding: str) -> None:
    end = told(["M\u00fc\u202e\U0001f469 \udcff\x1b[31m"], subprocess.PIPE, PYTHONIOENCODING=encoding)
    assert (end.returncode, end.stderr) == (0, b"")
    assert all(character.isprintable() for character in end.stdout.decode(encoding).rstrip("\n"))
    assert b"\\x1b[31m\n" in end.stdout


@given(st.text(st.characters()))
def test_what_is_escaped_prints(text: str) -> None:
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text
