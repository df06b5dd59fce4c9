"""Lets the source wait while there is nothing to read: for the system's events, or by looking at each poll interval."""

import math
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol

from service.logs import logger

# Longest wait for events, in seconds. It bounds how late a change is seen on a file system without events, such as a
# network's.
LONGEST_WAIT_SECONDS = 0.5
# Longest time, in seconds, for which polling keeps the source waiting.
LONGEST_POLLING_SECONDS = 0.05
LOOK_SECONDS = {"events": LONGEST_WAIT_SECONDS, "poll": LONGEST_POLLING_SECONDS}
"""FOLLOW -> seconds between two looks at all logs, which also notice rotations, whatever was noticed before."""
# Seconds without a new line after which a short poll interval is doubled, and the bound (s) of the doubled interval.
# Waking up is nearly the whole cost of a look.
REST_SECONDS = 1.0
LONGEST_AT_REST_SECONDS = 0.002
# Events in one read above which a look at all open files costs less: a log that is written line by line has an event a
# line. Such looks then take the place of the events of writes, for so many seconds, with this interval (s).
MANY_EVENTS = 500
LOOKING_SECONDS = 5.0
LOOKING_INTERVAL_SECONDS = 0.01

log = logger(__name__)


class Watched(Protocol):
    """The logs as a waiter sees them. See `followed_logs.FollowedLogs`."""

    def folders(self) -> Iterable[Path]:
        """Folders that have logs."""

    def has_changed(self, folder: Path, name: str) -> None:
        """Note that something happened to a file in one of the folders. `name`: "" if it is not known which file."""

    def have_grown(self) -> bool:
        """Whether a log has bytes that were not read."""


class Waiter(ABC):
    """Notices changes of the logs."""

    @abstractmethod
    def look(self) -> None:
        """Notice changes without waiting. To be called while there are bytes to read."""

    @abstractmethod
    def wait(self) -> bool:
        """Wait until there may be bytes to read, or for a bounded time; return whether something happened."""

    @abstractmethod
    def close(self) -> None:
        """Release the system's resources."""


class Polling(Waiter):
    """Looks at each poll interval. Many looks share a call by Bytewax, which costs several times as much as a look."""

    def __init__(self, logs: Watched, interval: float, longest_wait: Callable[[], float]) -> None:
        """`interval`: seconds. `longest_wait`: as for Events."""
        self._logs = logs
        self._interval = interval
        self._interval_at_rest = max(interval, min(2 * interval, LONGEST_AT_REST_SECONDS))
        self._longest_wait = longest_wait
        self._rests_from = 0.0

    def look(self) -> None:
        self._logs.have_grown()

    def wait(self) -> bool:
        now = time.monotonic()
        until = now + min(self._longest_wait(), LONGEST_POLLING_SECONDS)
        interval = self._interval if now < self._rests_from else self._interval_at_rest
        while time.monotonic() < until:
            time.sleep(interval)
            if self._logs.have_grown():
                self._rests_from = time.monotonic() + REST_SECONDS
                return True
        return False

    def close(self) -> None:
        return


class Events(Waiter):
    """Waits for the system to say that something happened in the logs' folders (inotify)."""

    def __init__(self, logs: Watched, longest_wait: Callable[[], float]) -> None:
        """`longest_wait`: returns the longest time to wait (s), because work may become due without an event, such as a
        batch. Raises OSError if the system has no listener left."""
        self._logs = logs
        self._longest_wait = longest_wait
        # Imported here because only Linux has the library.
        from inotify_simple import INotify, flags

        self._inotify = INotify()
        self._changes = flags.CREATE | flags.DELETE | flags.MOVED_TO | flags.MOVED_FROM | flags.MOVE_SELF
        self._writes = flags.MODIFY
        self._moved, self._gone = flags.MOVE_SELF, flags.IGNORED
        self._overflow = flags.Q_OVERFLOW
        self._watched: dict[Path, int] = {}
        self._unwatched: set[Path] = set()
        self._looking_until: float | None = None
        """Until when looks take the place of events of writes, monotonic seconds."""

    def look(self) -> None:
        if self._looking_until is not None:
            if time.monotonic() >= self._looking_until:
                # Events come before the last look, so that no write is missed.
                self._look_until(None)
            self._logs.have_grown()
        self._read(0)

    def wait(self) -> bool:
        if self._watch_new_folders():
            # The system told no events of a new folder before.
            return True
        if self._looking_until is None:
            return self._read(math.ceil(1_000 * self._longest_wait()))
        time.sleep(min(self._longest_wait(), LOOKING_INTERVAL_SECONDS))
        return self._logs.have_grown()

    def _look_until(self, until: float | None) -> None:
        """Look at all files, instead of reading the events of writes, `until` this time (monotonic seconds)."""
        self._looking_until = until
        for folder in self._watched:
            with suppress(OSError):
                # The events that are waited for change. A folder that is gone is told by the system.
                self._inotify.add_watch(folder, self._mask)

    @property
    def _mask(self) -> int:
        mask: int = self._changes | (self._writes if self._looking_until is None else 0)
        return mask

    def _read(self, milliseconds: int) -> bool:
        """Read events, for at most this time; return whether anything happened."""
        events = self._inotify.read(timeout=milliseconds)
        if not events:
            return False
        for event in events:
            if event.mask & self._moved:
                # The watch stays with the moved folder, which no longer has the path. Removing it makes the system tell
                # that it is gone.
                self._inotify.rm_watch(event.wd)
        if any(event.mask & self._overflow for event in events):
            for folder in self._watched:
                self._logs.has_changed(folder, "")
        folders = {watch: folder for folder, watch in self._watched.items()}
        for watch, name in {(event.wd, event.name) for event in events}:
            if watch in folders:
                self._logs.has_changed(folders[watch], name)
        if len(events) > MANY_EVENTS and self._looking_until is None:
            self._look_until(time.monotonic() + LOOKING_SECONDS)
            self._logs.have_grown()
        gone = {event.wd for event in events if event.mask & (self._gone | self._moved)}
        if gone:
            self._watched = {folder: watch for folder, watch in self._watched.items() if watch not in gone}
        return True

    def close(self) -> None:
        self._inotify.close()

    def _watch_new_folders(self) -> bool:
        """Watch folders that are not watched yet; return whether there were any.

        A folder that is gone by now is tried again each time.
        """
        watched = len(self._watched)
        for folder in set(self._logs.folders()) - self._watched.keys() - self._unwatched:
            try:
                self._watched[folder] = self._inotify.add_watch(folder, self._mask)
                self._logs.has_changed(folder, "")
            except FileNotFoundError:
                continue
            except OSError as error:
                self._unwatched.add(folder)
                log.warning(
                    "no_events", folder=str(folder), reason=error.strerror, seen_after_seconds=LONGEST_WAIT_SECONDS
                )
        return len(self._watched) > watched


def waiter(
    follow: Literal["events", "poll"], logs: Watched, interval: float, longest_wait: Callable[[], float]
) -> Waiter:
    """A waiter of the kind that `follow` asks for, or polling if the system has no events.

    `interval`: the poll interval, seconds. `longest_wait`: as for Events.
    """
    if follow == "events" and sys.platform == "linux":
        try:
            return Events(logs, longest_wait)
        except OSError as error:
            log.warning("no_events", reason=error.strerror, instead="poll")
    return Polling(logs, interval, longest_wait)
