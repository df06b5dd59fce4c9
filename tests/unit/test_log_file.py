"""The output of a process, in files with a bound."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from programs import SOURCES
from service.log_file import FILES_KEPT, keep
from until import wait_until

MAX_BYTES = 100_000
# What is read at once may come on top.
READ_BYTES = 64 << 10


def kept(path: Path, *blocks: bytes) -> list[bytes]:
    """The files after these blocks came, the current one first."""
    source, end = os.pipe()
    writer = threading.Thread(target=keep, args=(source, path, MAX_BYTES))
    writer.start()
    for block in blocks:
        os.write(end, block)
    os.close(end)
    writer.join()
    os.close(source)
    names = [path, *sorted(path.parent.glob(f"{path.name}.*"))]
    return [name.read_bytes() for name in names if name.exists()]


def test_little_stays_in_one_file_after_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "api.log").write_bytes(b"before\n")
    assert kept(tmp_path / "api.log", b"one\n", b"two\n") == [b"before\none\ntwo\n"]


def test_much_is_cut_at_lines_and_the_oldest_goes(tmp_path: Path) -> None:
    lines = [b"%049d\n" % number for number in range(20_000)]
    found = kept(tmp_path / "api.log", *lines)
    assert len(found) == FILES_KEPT
    assert all(len(file) <= MAX_BYTES + READ_BYTES and file.endswith(b"\n") for file in found[1:])
    together = b"".join(reversed(found))
    assert b"".join(lines).endswith(together)
    assert len(together) >= 2 * MAX_BYTES - READ_BYTES


def test_a_line_without_an_end_is_bounded(tmp_path: Path) -> None:
    found = kept(tmp_path / "api.log", *[b"x" * 50_000] * 20)
    assert len(found) == FILES_KEPT
    assert sum(map(len, found)) <= FILES_KEPT * (MAX_BYTES + READ_BYTES)


def test_a_stop_does_not_end_it_before_its_process(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    writer = subprocess.Popen(
        [sys.executable, "-m", "service.log_file", path],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        stdin=subprocess.PIPE,
        bufsize=0,
    )
    assert writer.stdin is not None
    writer.stdin.write(b"first\n")
    while not path.exists() or path.read_bytes() != b"first\n":
        assert writer.poll() is None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        writer.send_signal(number)
    writer.stdin.write(b"last\n")
    writer.stdin.close()
    assert writer.wait(timeout=60) == 0
    assert path.read_bytes() == b"first\nlast\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("before", [b"", b"x" * MAX_BYTES], ids=["at first", "at a rotation"])
def test_it_goes_on_once_a_file_can_be_made_again(tmp_path: Path, before: bytes) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "api.log"
    path.write_bytes(before)
    source, end = os.pipe()
    writer = threading.Thread(target=keep, args=(source, path, MAX_BYTES + 10))
    writer.start()
    if before:
        os.write(end, b"open\n")
        wait_until(lambda: path.stat().st_size > MAX_BYTES, "it is written")
    folder.rename(tmp_path / "away")
    # Each is read when the one before it was written, or lost.
    for _ in range(2):
        os.write(end, b"lost\n" * 10)
        wait_until(lambda: not has_unread(source), "it is read")
    folder.mkdir()
    os.write(end, b"late\n")
    os.close(end)
    writer.join()
    os.close(source)
    assert path.read_bytes().endswith(b"late\n")


def has_unread(pipe: int) -> bool:
    return any(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
