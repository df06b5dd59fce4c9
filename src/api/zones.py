"""The names of time zones. A leaf, for settings need them before the api is imported."""

from functools import lru_cache
from importlib.resources import files


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The names of the IANA database."""
    return frozenset((files("tzdata") / "zones").read_text().split())
