"""The change feed: polls the store for its progress, and for what its latest commits have changed."""

import time
from collections.abc import Awaitable, Callable

from api.caching.invalidation_log import InvalidationLog
from api.caching.liveness import Liveness
from api.caching.progress import StoreProgress
from api.caching.rolled_up_polls import RolledUpPolls
from api.caching.single_flight import SingleFlight
from api.http.metrics import STORE_SECONDS
from storage.change_feed import intents_since, invalidations
from storage.contract import Storage
from storage.ledger import WriterState


class ChangeFeed:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.invalidations = InvalidationLog()
        """What the polls have found."""
        self.rolled_up = RolledUpPolls(self.invalidations)
        """How far the roll-ups are behind the polls."""
        self._ledger_hash = b""
        self._found: tuple[list[WriterState], tuple[str, ...]] | None = None
        """The states of the latest poll, and the silent writers."""
        self._liveness = Liveness(time.time, time.monotonic)
        self.latest = StoreProgress([])
        """What the latest poll has found."""
        self.poll: Callable[[], Awaitable[StoreProgress]] = SingleFlight(self._poll)
        """The progress of the store at or after the call. `invalidations` has all changes up to it."""

    async def _poll(self) -> StoreProgress:
        with STORE_SECONDS.labels("poll").time():
            states = await self._storage.states()
            found = states, self._liveness.silent(states)
            # Reading the rows again would take a tenth of an answer, and most polls find no new ones.
            if found == self._found:
                return self.latest
            progress = StoreProgress(*found)
            if progress.ledger_hash != self._ledger_hash:
                cursors = self.invalidations.cursors
                # Read after the ledgers, so that they include the intents of the ledgers' commits.
                intents = await self._storage.intents(intents_since(cursors, progress.commits))
                self.invalidations.note(invalidations(intents, cursors, progress.commits))
                self._ledger_hash = progress.ledger_hash
                self.rolled_up.note(progress)
        self._found, self.latest = found, progress
        return progress
