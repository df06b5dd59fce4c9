"""What the source does while there is nothing to read: look again and again, or wait for the system's word."""

import math
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, Protocol

from service.logs import logger

# Where the file system has no events, as a network's has not, this bounds how late something is seen.
LONGEST_WAIT_SECONDS = 0.5
LONGEST_POLLING_SECONDS = 0.05
LOOK_SECONDS = {"events": LONGEST_WAIT_SECONDS, "poll": LONGEST_POLLING_SECONDS}
"""By FOLLOW: all logs are looked at so often, whatever was noticed; also for rotations."""
# When nothing has come for a while, a short poll interval is doubled, up to this: waking up is nearly all that a look
# costs.
REST_SECONDS = 1.0
LONGEST_AT_REST_SECONDS = 0.002

log = logger(__name__)


class Watched(Protocol):
    """The logs, which are told what was noticed."""

    def folders(self) -> Iterable[Path]:
        """Where they are."""

    def has_changed(self, folder: Path, name: str) -> None:
        """Something happened to a file in one of the folders; `name` is empty where nobody knows to which."""

    def have_grown(self) -> bool:
        """Whether some log has bytes that were not read."""


class Waiter(ABC):
    """Notices what happens to the logs."""

    @abstractmethod
    def look(self) -> None:
        """Notice what has happened, without waiting. To be called while there is something to read."""

    @abstractmethod
    def wait(self) -> bool:
        """Return when there may be something, or after a while; whether something happened."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what waiting needs."""


class Polling(Waiter):
    """Looks at each poll interval. For a while by itself: a look costs a fraction of what a call by Bytewax does."""

    def __init__(self, logs: Watched, interval: float, longest_wait: Callable[[], float]) -> None:
        """`interval`: seconds. `longest_wait`: as for Events."""
        self._logs = logs
        self._interval = interval
        self._interval_at_rest = max(interval, min(2 * interval, LONGEST_AT_REST_SECONDS))
        self._longest = longest_wait
        self._rests_from = 0.0

    def look(self) -> None:
        self._logs.have_grown()

    def wait(self) -> bool:
        now = time.monotonic()
        until = now + min(self._longest(), LONGEST_POLLING_SECONDS)
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
        """`longest_wait`: how long to wait at most (s), since something is to be done then without an event, such as a
        batch
        that becomes due. OSError where the system has no listener left."""
        self._logs = logs
        self._longest = longest_wait
        # Here, for the library is only there on Linux.
        from inotify_simple import INotify, flags

        self._inotify = INotify()
        self._changes = flags.MODIFY | flags.CREATE | flags.DELETE | flags.MOVED_TO | flags.MOVED_FROM | flags.MOVE_SELF
        self._moved, self._gone = flags.MOVE_SELF, flags.IGNORED
        self._overflow = flags.Q_OVERFLOW
        self._watched: dict[Path, int] = {}
        self._unwatched: set[Path] = set()

    def look(self) -> None:
        self._read(0)

    def wait(self) -> bool:
        # What happened in a new folder before was not told.
        return self._watch_new_folders() or self._read(math.ceil(1_000 * self._longest()))

    def _read(self, milliseconds: int) -> bool:
        """Whether anything happened within this time."""
        events = self._inotify.read(timeout=milliseconds)
        if not events:
            return False
        for event in events:
            if event.mask & self._moved:
                # The watch goes with the folder, which is another's now. The system then says that it is gone.
                self._inotify.rm_watch(event.wd)
        if any(event.mask & self._overflow for event in events):
            for folder in self._watched:
                self._logs.has_changed(folder, "")
        folders = {watch: folder for folder, watch in self._watched.items()}
        for watch, name in {(event.wd, event.name) for event in events}:
            if watch in folders:
                self._logs.has_changed(folders[watch], name)
        gone = {event.wd for event in events if event.mask & (self._gone | self._moved)}
        if gone:
            self._watched = {folder: watch for folder, watch in self._watched.items() if watch not in gone}
        return True

    def close(self) -> None:
        self._inotify.close()

    def _watch_new_folders(self) -> bool:
        """Whether there were any. One that is gone by now is tried again each time."""
        watched = len(self._watched)
        for folder in set(self._logs.folders()) - self._watched.keys() - self._unwatched:
            try:
                self._watched[folder] = self._inotify.add_watch(folder, self._changes)
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
    """What `follow` asks for: events where the system has them, else polling."""
    if follow == "events" and sys.platform == "linux":
        try:
            return Events(logs, longest_wait)
        except OSError as error:
            log.warning("no_events", reason=error.strerror, instead="poll")
    return Polling(logs, interval, longest_wait)
