"""Waiting for events."""

import errno
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from pathlib import Path

import pytest

pytest.importorskip("inotify_simple", reason="events are Linux's")

import inotify_simple

from log_processor.following import waiting
from log_processor.following.waiting import MANY_EVENTS, Events, Polling, Waiter, waiter

# Answers of `wait`: an event ends it at once, and without an event it ends after a while.
HAPPENED, NOTHING = True, False
# Longest wait, in seconds, and one that a busy machine does not reach.
SECONDS = 0.1
LONG_SECONDS = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


class Logs:
    """Logs in these folders, which keep the changes that they are told."""

    def __init__(self, *folders: Path, grown: Iterable[bool] = repeat(False)) -> None:
        self._folders = folders
        self._grown = iter(grown)
        self.changed: set[tuple[Path, str]] = set()

    def folders(self) -> Iterable[Path]:
        return self._folders

    def has_changed(self, folder: Path, name: str) -> None:
        self.changed.add((folder, name))

    def have_grown(self) -> bool:
        return next(self._grown)


@pytest.fixture
def logs(folder: Path) -> Logs:
    """Logs in the folder."""
    return Logs(folder)


@pytest.fixture
def events(logs: Logs) -> Iterator[Events]:
    """A waiter that already watches the folder."""
    events = Events(logs, longest_wait=lambda: SECONDS)
    assert events.wait() is HAPPENED
    logs.changed.clear()
    yield events
    events.close()


def _append(folder: Path) -> None:
    with (folder / "log").open("ab") as log:
        log.write(b"line\n")


def _append_in_turn(folder: Path, lines: int) -> None:
    """Append to two files in turn, because an event that repeats the last one is kept once."""
    with (folder / "one").open("ab", buffering=0) as one, (folder / "two").open("ab", buffering=0) as two:
        for number in range(lines):
            (one, two)[number % 2].write(b"\n")


def _replace_by_rename(folder: Path) -> None:
    (folder / "log").replace(folder / "log.1")


def _delete(folder: Path) -> None:
    (folder / "log").unlink()


def _move_in(folder: Path) -> None:
    (folder.parent / "elsewhere").write_bytes(b"line\n")
    (folder.parent / "elsewhere").replace(folder / "log")


@pytest.mark.parametrize("change", [_append, _replace_by_rename, _delete, _move_in])
def test_a_change_of_a_log_is_told(folder: Path, logs: Logs, events: Events, change: Callable[[Path], None]) -> None:
    _append(folder)
    assert events.wait() is HAPPENED
    logs.changed.clear()
    change(folder)
    assert events.wait() is HAPPENED
    assert (folder, "log") in logs.changed
    assert events.wait() is NOTHING


def test_a_change_is_told_to_the_right_log_of_several(folder: Path, logs: Logs, events: Events) -> None:
    for name in ("a", "b", "c", "b"):
        (folder / name).write_bytes(b"line\n")
    assert events.wait() is HAPPENED
    assert logs.changed == {(folder, name) for name in ("a", "b", "c")}


def test_it_looks_without_waiting(folder: Path, logs: Logs, events: Events) -> None:
    events.look()
    assert logs.changed == set()
    _append(folder)
    events.look()
    assert logs.changed == {(folder, "log")}
    assert events.wait() is NOTHING


def test_more_than_the_system_remembers_may_be_anything(folder: Path, logs: Logs, events: Events) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip("the system remembers very much")
    _append_in_turn(folder, limit + 1)
    events.look()
    assert (folder, "") in logs.changed


def test_looks_take_the_place_of_many_events_of_writes(folder: Path) -> None:
    logs = Logs(folder, grown=[False, False, True, False])
    events = Events(logs, longest_wait=lambda: SECONDS)
    assert events.wait() is HAPPENED
    _append_in_turn(folder, MANY_EVENTS + 1)
    events.look()
    logs.changed.clear()
    _append_in_turn(folder, 10)
    assert [events.wait(), events.wait()] == [NOTHING, HAPPENED]
    events.look()
    assert logs.changed == set()
    events.close()


def test_events_of_writes_come_back_after_looks(folder: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOKING_SECONDS", 0.0)
    events = Events(logs, longest_wait=lambda: SECONDS)
    assert events.wait() is HAPPENED
    _append_in_turn(folder, MANY_EVENTS + 1)
    events.look()
    events.look()
    logs.changed.clear()
    _append(folder)
    assert events.wait() is HAPPENED
    assert logs.changed == {(folder, "log")}
    events.close()


def test_a_rename_is_told_among_many_writes(folder: Path, logs: Logs, events: Events) -> None:
    _append_in_turn(folder, MANY_EVENTS + 1)
    events.look()
    logs.changed.clear()
    _append_in_turn(folder, 10)
    (folder / "one").rename(folder / "one.1")
    events.look()
    assert logs.changed == {(folder, "one"), (folder, "one.1")}


def test_a_change_ends_a_wait(folder: Path, logs: Logs) -> None:
    events = Events(logs, longest_wait=lambda: LONG_SECONDS)
    assert events.wait() is HAPPENED
    later = threading.Timer(0.05, _append, [folder])
    later.start()
    assert events.wait() is HAPPENED
    later.join()
    events.close()


def test_a_change_just_before_the_watch_is_not_missed(folder: Path, logs: Logs) -> None:
    _append(folder)
    fresh = Events(logs, longest_wait=lambda: SECONDS)
    assert fresh.wait() is HAPPENED
    assert logs.changed == {(folder, "")}
    fresh.close()


def test_it_does_not_wait_while_there_is_something_to_do(logs: Logs) -> None:
    busy = Events(logs, longest_wait=lambda: 0.0)
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
    events = Events(Logs(tmp_path / "later"), longest_wait=lambda: SECONDS)
    assert events.wait() is NOTHING
    (tmp_path / "later").mkdir()
    assert events.wait() is HAPPENED
    events.close()


def test_a_lack_of_watches_is_logged_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(inotify_simple.INotify, "add_watch", refuse)
    events = Events(Logs(folder), longest_wait=lambda: SECONDS)
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
    polling: Waiter = waiter("events", Logs(folder), 0.001, lambda: SECONDS)
    assert isinstance(polling, Polling)
    assert "Too many open files" in capsys.readouterr().out


def test_poll_is_poll(folder: Path) -> None:
    polling = waiter("poll", Logs(folder), 0.001, lambda: SECONDS)
    assert isinstance(polling, Polling)
    assert polling.wait() is NOTHING


def test_polling_returns_when_a_log_has_grown(folder: Path) -> None:
    polling = waiter("poll", Logs(folder, grown=[False, False, True]), 0.001, lambda: SECONDS)
    assert polling.wait() is HAPPENED


def test_polling_does_not_wait_while_there_is_something_to_do(folder: Path) -> None:
    polling = waiter("poll", Logs(folder, grown=[True]), 0.001, lambda: 0.0)
    assert polling.wait() is NOTHING
