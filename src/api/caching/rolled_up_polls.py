"""Which polls have seen only counts that are rolled up by now."""

from collections import deque

from api.caching.invalidation_log import InvalidationLog
from api.caching.progress import StoreProgress, WriterProgress

# Polls whose counts are not rolled up yet: an hour of them, at two a second.
_MAX_POLLS = 7_200


class RolledUpPolls:
    def __init__(self, invalidations: InvalidationLog) -> None:
        self._invalidations = invalidations
        self._noted = 0
        """The number of the latest poll that was noted."""
        self._not_rolled_up: deque[tuple[int, dict[str, int]]] = deque(maxlen=_MAX_POLLS)
        """Numbers of polls, and the commits of counts that they saw, the earliest first."""
        self.latest = 0
        """The number of the latest poll whose counts are all rolled up."""

    def note(self, progress: StoreProgress) -> None:
        if self._invalidations.number != self._noted:
            self._noted = self._invalidations.number
            self._not_rolled_up.append((self._noted, progress.commits))
        while self._not_rolled_up and _are_rolled_up(self._not_rolled_up[0][1], progress.writers):
            self.latest = self._not_rolled_up.popleft()[0]


def _are_rolled_up(commits: dict[str, int], writers: dict[str, WriterProgress]) -> bool:
    return all(
        writer.counts.rollup_backlog is None or writer.rollups.through >= commits.get(name, 0)
        for name, writer in writers.items()
    )
