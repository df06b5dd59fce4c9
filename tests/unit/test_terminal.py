"""What commands tell in a terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.printable import printable, sentence
from service.settings import EXIT_CONFIG

SOURCES = Path(__file__).parents[2] / "src"
FULL = Path("/dev/full")
HOSTILE = "no\x1b[2J\u202esuch"


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


def test_a_line_feed_in_a_name_makes_no_line_of_its_own() -> None:
    assert told(["a\nAll agree: lines 1"], subprocess.PIPE).stdout == b"a\\nAll agree: lines 1\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["log_processor", "check", HOSTILE],
        ["log_processor", "backfill", HOSTILE],
        ["log_processor", "verify"],
        ["storage", "restore", HOSTILE],
        ["storage", "backup", f"{HOSTILE}/copy"],
    ],
)
def test_no_command_says_the_name_of_a_file_as_it_is(arguments: list[str], tmp_path: Path) -> None:
    database = tmp_path / HOSTILE
    database.touch()
    environment = {"PYTHONPATH": str(SOURCES), "STORAGE": "sqlite", "SQLITE_PATH": str(database)}
    environment |= {"BACKFILL_FOLDER": str(tmp_path / "spool"), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", *arguments]
    end = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, timeout=60)
    said = (end.stdout + end.stderr).decode()
    assert end.returncode == 1
    assert "\\x1b[2J" in said
    assert all(line.isprintable() for line in said.splitlines())


def test_no_program_says_a_bad_setting_as_it_is() -> None:
    environment = {"PYTHONPATH": str(SOURCES), "LOG_FORMAT": HOSTILE}
    command = [sys.executable, "-m", "log_processor"]
    end = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert end.returncode == EXIT_CONFIG
    assert f"LOG_FORMAT={printable(HOSTILE)}: " in end.stderr
    assert all(line.isprintable() for line in end.stderr.splitlines())


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_the_scripts_show_no_line_as_it_is(locale: str) -> None:
    text = f"{HOSTILE}\r\x9b1m\x07 end\n last\tline".encode() + b"\xff"
    command = ["bash", "-c", "source scripts/common.sh; show_lines 'api | '"]
    shown = subprocess.run(
        command, input=text, env={"LC_ALL": locale}, cwd=SOURCES.parent, capture_output=True, check=True, timeout=60
    ).stdout.decode(errors="replace")
    assert [line[:6] for line in shown.splitlines()] == ["api | "] * 2
    assert "no?[2J?such??1m? end\n" in shown
    assert shown.endswith(" last\tline\ufffd\n")
    assert all(line.replace("\t", "").isprintable() for line in shown.splitlines())


@given(st.text(st.characters()))
def test_what_is_escaped_prints(text: str) -> None:
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text


def test_an_error_names_a_file_only_where_there_is_one() -> None:
    assert sentence(OSError(24, "Too many open files")) == "Too many open files."
    assert sentence(OSError(13, "Permission denied", "/a\x1bb")) == "/a\\x1bb cannot be used: Permission denied."
