"""What the source does while there is nothing to read: nothing until the next poll, or wait for the system's word."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path

# Where the file system has no events, as a network's has not, this bounds how late something is seen.
LONGEST_WAIT_MS = 500


class Waiter(ABC):
    """Called when there is nothing to read."""

    @abstractmethod
    def wait(self) -> bool:
        """Return when there may be something, or after a while; whether something happened."""


class Polling(Waiter):
    """Does not wait: Bytewax calls again after the poll interval."""

    def wait(self) -> bool:
        return False


class Events(Waiter):
    """Waits for the system to say that something happened in the logs' folders (inotify), half a second at most."""

    def __init__(self, folders: Callable[[], Iterable[Path]], busy: Callable[[], bool]) -> None:
        """`busy`: whether something is to be done without an event, such as a batch that becomes due."""
        self._folders = folders
        self._busy = busy
        self._watched: set[Path] = set()
        # Here, for the library is only there on Linux.
        from inotify_simple import INotify, flags

        self._inotify = INotify()
        self._changes = flags.MODIFY | flags.CREATE | flags.DELETE | flags.MOVED_TO | flags.MOVED_FROM

    def wait(self) -> bool:
        for folder in set(self._folders()) - self._watched:
            self._inotify.add_watch(folder, self._changes)
            self._watched.add(folder)
        return not self._busy() and bool(self._inotify.read(timeout=LONGEST_WAIT_MS))
