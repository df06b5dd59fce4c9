"""What the source does while there is nothing to read: look again and again, or wait for the system's word."""

import math
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from service.logs import logger

# Where the file system has no events, as a network's has not, this bounds how late something is seen.
LONGEST_WAIT_SECONDS = 0.5
# New files and rotations are looked for so often.
LONGEST_POLLING_SECONDS = 0.05
# When nothing has come for a while, a short poll interval is doubled, up to this: waking up is nearly all that a look
# costs.
REST_SECONDS = 1.0
LONGEST_AT_REST_SECONDS = 0.002

log = logger(__name__)


class Waiter(ABC):
    """Called when there is nothing to read."""

    @abstractmethod
    def wait(self) -> bool:
        """Return when there may be something, or after a while; whether something happened."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what waiting needs."""


class Polling(Waiter):
    """Looks at each poll interval. For a while by itself: a look costs a fraction of what a call by Bytewax does."""

    def __init__(self, has_grown: Callable[[], bool], interval: float, longest: Callable[[], float]) -> None:
        """`has_grown`: whether a log has bytes that were not read. `interval`: seconds. `longest`: as for Events."""
        self._has_grown = has_grown
        self._interval = interval
        self._interval_at_rest = max(interval, min(2 * interval, LONGEST_AT_REST_SECONDS))
        self._longest = longest
        self._rests_from = 0.0

    def wait(self) -> bool:
        now = time.monotonic()
        until = now + min(self._longest(), LONGEST_POLLING_SECONDS)
        interval = self._interval if now < self._rests_from else self._interval_at_rest
        while time.monotonic() < until:
            time.sleep(interval)
            if self._has_grown():
                self._rests_from = time.monotonic() + REST_SECONDS
                return True
        return False

    def close(self) -> None:
        return


class Events(Waiter):
    """Waits for the system to say that something happened in the logs' folders (inotify)."""

    def __init__(self, folders: Callable[[], Iterable[Path]], longest: Callable[[], float]) -> None:
        """`longest`: how long to wait at most (s), since something is to be done then without an event, such as a batch
        that becomes due. OSError where the system has no listener left."""
        self._folders = folders
        self._longest = longest
        # Here, for the library is only there on Linux.
        from inotify_simple import INotify, flags

        self._inotify = INotify()
        self._changes = flags.MODIFY | flags.CREATE | flags.DELETE | flags.MOVED_TO | flags.MOVED_FROM | flags.MOVE_SELF
        self._moved, self._gone = flags.MOVE_SELF, flags.IGNORED
        self._watched: dict[Path, int] = {}
        self._unwatched: set[Path] = set()

    def wait(self) -> bool:
        if self._watch_new_folders():
            # What happened in them before was not told.
            return True
        events = list(self._inotify.read(timeout=math.ceil(1_000 * self._longest())))
        for event in events:
            if event.mask & self._moved:
                # The watch goes with the folder, which is another's now. The system then says that it is gone.
                self._inotify.rm_watch(event.wd)
        gone = {event.wd for event in events if event.mask & (self._gone | self._moved)}
        self._watched = {folder: watch for folder, watch in self._watched.items() if watch not in gone}
        return bool(events)

    def close(self) -> None:
        self._inotify.close()

    def _watch_new_folders(self) -> bool:
        """Whether there were any. One that is gone by now is tried again each time."""
        watched = len(self._watched)
        for folder in set(self._folders()) - self._watched.keys() - self._unwatched:
            try:
                self._watched[folder] = self._inotify.add_watch(folder, self._changes)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._unwatched.add(folder)
                log.warning(
                    "no_events", folder=str(folder), reason=error.strerror, seen_after_seconds=LONGEST_WAIT_SECONDS
                )
        return len(self._watched) > watched


def waiter(
    follow: Literal["events", "poll"],
    folders: Callable[[], Iterable[Path]],
    has_grown: Callable[[], bool],
    interval: float,
    longest: Callable[[], float],
) -> Waiter:
    """What `follow` asks for: events where the system has them, else polling."""
    if follow == "events" and sys.platform == "linux":
        try:
            return Events(folders, longest)
        except OSError as error:
            log.warning("no_events", reason=error.strerror, instead="poll")
    return Polling(has_grown, interval, longest)
