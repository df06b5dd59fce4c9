"""Tells when answers about some customers may have changed, and nothing about other customers."""

import secrets
from collections.abc import Collection
from hashlib import blake2b

from api.caching.invalidation_log import InvalidationLog
from api.caching.rolled_up_polls import RolledUpPolls


class CustomerChanges:
    """Tokens that differ when answers about customers may have changed: once for counts, and again for roll-ups."""

    def __init__(self, invalidations: InvalidationLog, rolled_up: RolledUpPolls) -> None:
        self._invalidations = invalidations
        self._rolled_up = rolled_up
        # Numbers of polls would tell how often others have requests.
        self._secret = secrets.token_bytes(32)

    def token(self, customers: Collection[str]) -> str:
        numbers = [self._invalidations.latest(customer) for customer in sorted(customers)]
        state = [(number, number <= self._rolled_up.latest) for number in numbers]
        return blake2b(repr(state).encode(), key=self._secret, digest_size=16).hexdigest()
