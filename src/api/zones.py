"""Time zones, as the package `tzdata` has them. A leaf, because settings need the names before the api is imported."""

from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The names of the IANA database."""
    return frozenset((files("tzdata") / "zones").read_text().split())


def zone_of(name: str) -> ZoneInfo:
    """The zone of one of these names. The machine's own database is not asked: it may be years older, and then a
    customer's days would begin at other times on another machine."""
    with (files("tzdata") / "zoneinfo" / name).open("rb") as file:
        return ZoneInfo.from_file(file, name)
