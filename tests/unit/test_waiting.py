"""Waiting for events."""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("inotify_simple", reason="events are Linux's")

import inotify_simple

from log_processor.waiting import Events, Polling, Waiter, waiter

# An event is told at once. Without one the wait ends by itself after a while, and the answer is "nothing".
HAPPENED, NOTHING = True, False
SECONDS = 0.1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture
def events(folder: Path) -> Iterator[Events]:
    """Of the folder, which it watches already."""
    events = Events(lambda: [folder], longest=lambda: SECONDS)
    assert events.wait() is HAPPENED
    yield events
    events.close()


def _append(folder: Path) -> None:
    with (folder / "log").open("ab") as log:
        log.write(b"line\n")


def _replace_by_rename(folder: Path) -> None:
    (folder / "log").replace(folder / "log.1")


def _delete(folder: Path) -> None:
    (folder / "log").unlink()


def _move_in(folder: Path) -> None:
    (folder.parent / "elsewhere").write_bytes(b"line\n")
    (folder.parent / "elsewhere").replace(folder / "log")


@pytest.mark.parametrize("change", [_append, _replace_by_rename, _delete, _move_in])
def test_what_happens_to_a_log_is_told(folder: Path, events: Events, change: Callable[[Path], None]) -> None:
    _append(folder)
    assert events.wait() is HAPPENED
    change(folder)
    assert events.wait() is HAPPENED
    assert events.wait() is NOTHING


def test_it_is_told_while_it_waits(folder: Path, events: Events) -> None:
    later = threading.Timer(0.05, _append, [folder])
    later.start()
    assert events.wait() is HAPPENED
    later.join()


def test_what_happened_just_before_the_watch_is_not_missed(folder: Path) -> None:
    _append(folder)
    fresh = Events(lambda: [folder], longest=lambda: SECONDS)
    assert fresh.wait() is HAPPENED
    fresh.close()


def test_it_does_not_wait_while_there_is_something_to_do(folder: Path) -> None:
    busy = Events(lambda: [folder], longest=lambda: 0.0)
    assert busy.wait() is HAPPENED
    assert busy.wait() is NOTHING
    busy.close()


@pytest.mark.parametrize("away", ["deleted", "moved"])
def test_a_folder_made_again_is_watched_again(folder: Path, events: Events, away: str) -> None:
    if away == "deleted":
        folder.rmdir()
    else:
        folder.rename(folder.with_name("old"))
    while events.wait():
        pass
    folder.mkdir()
    assert events.wait() is HAPPENED
    _append(folder)
    assert events.wait() is HAPPENED
    assert events.wait() is NOTHING


def test_a_folder_made_again_at_once_is_watched_again(folder: Path, events: Events) -> None:
    folder.rmdir()
    folder.mkdir()
    _append(folder)
    deadline = time.monotonic() + 5
    while events.wait():
        assert time.monotonic() < deadline
    _append(folder)
    assert events.wait() is HAPPENED


def test_a_moved_folder_is_another_ones_now(folder: Path, events: Events) -> None:
    moved = folder.rename(folder.with_name("old"))
    while events.wait():
        pass
    _append(moved)
    assert events.wait() is NOTHING


def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    events = Events(lambda: [tmp_path / "later"], longest=lambda: SECONDS)
    assert events.wait() is NOTHING
    (tmp_path / "later").mkdir()
    assert events.wait() is HAPPENED
    events.close()


def test_no_more_watches_to_be_had_is_said_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(inotify_simple.INotify, "add_watch", refuse)
    events = Events(lambda: [folder], longest=lambda: SECONDS)
    for _ in range(2):
        assert events.wait() is NOTHING
    assert capsys.readouterr().out.count("no_events") == 1
    events.close()


def test_without_a_listener_it_polls(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(inotify_simple, "INotify", refuse)
    polling: Waiter = waiter("events", lambda: [folder], lambda: False, 0.001, lambda: SECONDS)
    assert isinstance(polling, Polling)
    assert "Too many open files" in capsys.readouterr().out


def test_poll_is_poll(folder: Path) -> None:
    polling = waiter("poll", lambda: [folder], lambda: False, 0.001, lambda: SECONDS)
    assert isinstance(polling, Polling)
    assert polling.wait() is NOTHING


def test_polling_returns_when_a_log_has_grown(folder: Path) -> None:
    looks = iter([False, False, True])
    polling = waiter("poll", lambda: [folder], lambda: next(looks), 0.001, lambda: SECONDS)
    assert polling.wait() is HAPPENED


def test_polling_does_not_wait_while_there_is_something_to_do(folder: Path) -> None:
    polling = waiter("poll", lambda: [folder], lambda: True, 0.001, lambda: 0.0)
    assert polling.wait() is NOTHING
