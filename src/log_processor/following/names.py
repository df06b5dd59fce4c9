"""Which names are those of one log's files.

Rotation leaves marks in a name: a date or a time, a count, an ending of compression. They say which files may belong to
a log, and nothing about which is older: that is not asked.
"""

import re
from bisect import bisect_left
from collections.abc import Container, Iterable
from itertools import islice, takewhile

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip")

_YEAR = r"(?:19|20)[0-9]{2}"
_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY = r"(?:0[1-9]|[12][0-9]|3[01])"
_DATE = (
    rf"(?:{_YEAR}(?P<d>[-._]?){_MONTH}(?:(?P=d){_DAY})?|{_DAY}[-._]{_MONTH}[-._]{_YEAR}|{_MONTH}[-._]{_DAY}[-._]{_YEAR}"
    rf"|{_YEAR}-?W[0-5][0-9])"
)
_TIME = r"(?:[-T_.:]*[0-2][0-9](?:[-_.:h]?[0-5][0-9]){0,2}(?:[.,][0-9]{3,9})?(?:Z|[+-][0-2][0-9]:?[0-5][0-9])?)"
_UNIX_TIME = r"1[0-9]{9}(?:[0-9]{3})?"
_AT_END = r"(?=[-._]|$)"
_WHEN = re.compile(rf"[-._]+(?:{_DATE}{_TIME}?|{_UNIX_TIME}){_AT_END}")
# A longer number is a part of the name, as of `app-8080.log`.
_COUNT_BEHIND_ENDING = re.compile(r"(\.[A-Za-z][A-Za-z0-9]*)[-._][0-9]{1,3}$")
_COUNT = re.compile(rf"[-._][0-9]{{1,3}}{_AT_END}")


def uncompressed(name: str) -> str:
    """A file's name without an ending of compression."""
    return name.rpartition(".")[0] if name.endswith(COMPRESSED) else name


def is_of(name: str, base: str) -> bool:
    """Whether a file in a log's folder is one of the log's files by its name, for a log that is called `base`."""
    name = uncompressed(name)
    if name == base:
        return True
    if len(name) <= len(base):
        return False
    if name.startswith(base):
        # The log's own name may have a date.
        return not _without_marks(name[len(base) :])
    return _without_marks(name) == base


def dateless(name: str) -> str | None:
    """What a log is called that has no file of that name, by the name of one of its files, which has a date; None
    where that has none."""
    name = uncompressed(name)
    rest = _WHEN.sub("", name)
    return _without_marks(name) if rest != name and rest.strip("-._") else None


def is_rotated(name: str) -> bool:
    """Whether a name has marks of rotation."""
    plain = uncompressed(name)
    return plain != name or _without_marks(plain) != plain


def base_of(name: str, bases: Container[str]) -> str | None:
    """Which of these logs a file in their folder is of, by its name; None where it is of none of them."""
    plain = uncompressed(name)
    if plain in bases:
        return plain
    without = _without_marks(plain)
    if without in bases:
        return without
    # A log's own name may have marks; then those of rotation are behind them.
    while "." in plain or "-" in plain or "_" in plain:
        plain = plain[: max(map(plain.rfind, ".-_"))]
        if plain in bases:
            return plain if is_of(name, plain) else None
    return None


def family_of(name: str, names: Container[str]) -> tuple[str, bool]:
    """What the log is called that a file belongs to, and whether one of its files is called so. `names`: those that are
    logs' own."""
    base = base_of(name, names)
    if base is not None:
        return base, True
    without_date = dateless(name)
    if without_date is not None:
        return without_date, False
    plain = uncompressed(name)
    # `app.log.1` without an `app.log`: the count is behind the name's ending.
    return _COUNT_BEHIND_ENDING.sub(r"\1", plain), True


class Names:
    """The names in a folder, which may have files of many logs."""

    def __init__(self, names: Iterable[str]) -> None:
        self._in_order = sorted(names)
        self._without_marks: dict[str, list[str]] = {}
        for name in self._in_order:
            self._without_marks.setdefault(_without_marks(uncompressed(name)), []).append(name)

    def of(self, base: str) -> list[str]:
        """Those of the files of a log that is called `base`, see `is_of`."""
        begins = islice(self._in_order, bisect_left(self._in_order, base), None)
        alike = [*self._without_marks.get(base, ()), *takewhile(lambda name: name.startswith(base), begins)]
        return [name for name in dict.fromkeys(alike) if is_of(name, base)]


def _without_marks(name: str) -> str:
    return _COUNT.sub("", _WHEN.sub("", name))
