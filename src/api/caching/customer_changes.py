"""Tells when answers about some customers may have changed, and nothing about other customers."""

import secrets
from collections import deque
from collections.abc import Collection
from hashlib import blake2b

from api.caching.invalidation_log import InvalidationLog
from api.caching.progress import StoreProgress, WriterProgress

# Polls whose counts are not rolled up yet: an hour of them, at two a second.
_MAX_POLLS = 7_200


class CustomerChanges:
    """Tokens that differ when answers about customers may have changed: once for counts, and again for roll-ups."""

    def __init__(self, invalidations: InvalidationLog) -> None:
        self._invalidations = invalidations
        # Numbers of polls would tell how often others have requests.
        self._secret = secrets.token_bytes(32)
        self._latest = 0
        """The number of the latest poll that was noted."""
        self._not_rolled_up: deque[tuple[int, dict[str, int]]] = deque(maxlen=_MAX_POLLS)
        """Numbers of polls, and the commits of counts that they saw, the earliest first."""
        self._rolled_up = 0
        """The number of the latest poll whose counts are all rolled up."""

    def note(self, progress: StoreProgress) -> None:
        """Take in the progress that a poll has found."""
        if self._invalidations.number != self._latest:
            self._latest = self._invalidations.number
            self._not_rolled_up.append((self._latest, progress.commits))
        while self._not_rolled_up and _are_rolled_up(self._not_rolled_up[0][1], progress.writers):
            self._rolled_up = self._not_rolled_up.popleft()[0]

    def token(self, customers: Collection[str]) -> str:
        """The token of these customers."""
        numbers = [self._invalidations.latest(customer) for customer in sorted(customers)]
        state = [(number, number <= self._rolled_up) for number in numbers]
        return blake2b(repr(state).encode(), key=self._secret, digest_size=16).hexdigest()


def _are_rolled_up(commits: dict[str, int], writers: dict[str, WriterProgress]) -> bool:
    return all(
        writer.counts.rollup_backlog is None or writer.rollups.through >= commits.get(name, 0)
        for name, writer in writers.items()
    )
