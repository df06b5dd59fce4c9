"""Which requests are stored beside their counts."""

from storage.contract import Storage
from storage.damage import or_default
from storage.kept import Change, KeptRequests, decode_kept, least, least_kept

_UNKNOWN = [Change(0, "none")]
"""In the place of a damaged row."""


async def kept_since(storage: Storage, start: int) -> KeptRequests:
    """Which requests from a time on (Unix, s) all writers have stored."""
    states = await storage.states()
    return least([least_kept(or_default(decode_kept, state.requests, _UNKNOWN), start) for state in states])
