"""Tells from a file's name which log the file may belong to.

Rotation leaves marks in a name: a date or a time, a count, an ending of compression. A name without its marks tells the
log. The marks do not tell which file is older, and nothing depends on that.
"""

import re
from bisect import bisect_left
from collections.abc import Container, Sequence
from itertools import islice, takewhile

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip")
"""Endings of compression."""

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
# timberjack writes after the time why it rotated.
_REASON = r"(?:-(?:size|time|manual))?"
_WHEN = re.compile(rf"[-._]+(?:{_DATE}{_TIME}?{_REASON}|{_UNIX_TIME}){_AT_END}")
# Counts have up to three digits, or begin with a zero, as of NLog. Another longer number is a part of the name, as in
# `app-8080.log`.
_NUMBER = r"(?:[0-9]{1,3}|0[0-9]{3,7})"
_COUNT_AFTER_ENDING = re.compile(rf"(\.[A-Za-z][A-Za-z0-9]*)[-._]{_NUMBER}$")
_COUNT = re.compile(rf"[-._]{_NUMBER}{_AT_END}")
# log4net writes the date after the name as it is.
_WHEN_AFTER_ENDING = re.compile(rf"(\.[A-Za-z]+){_DATE}{_TIME}?$")
_OF_CURRENT = "current"
# svlogd, multilog and s6-log call the log `current`, and rotated files `@` and a TAI64N time.
_TAI64N = re.compile(r"@[0-9a-f]{24}\.[su]")


def uncompressed(name: str) -> str:
    """A file's name without an ending of compression."""
    return name.rpartition(".")[0] if name.endswith(COMPRESSED) else name


def is_of(name: str, base: str) -> bool:
    """Whether a file in the folder of the log `base` belongs to the log, by its name."""
    name = uncompressed(name)
    if name == base:
        return True
    if len(name) <= len(base):
        return False
    # The log's own name may have a date.
    return _without_marks(name) == base or (name.startswith(base) and not _without_marks(name[len(base) :]))


def dateless(name: str) -> str | None:
    """The name of a log whose files all have dates, from the name of one of them; None if that has no date."""
    name = uncompressed(name)
    rest = _WHEN.sub("", name)
    return _without_marks(name) if rest != name and rest.strip("-._") else None


def is_rotated(name: str) -> bool:
    """Whether a name has marks of rotation."""
    plain = uncompressed(name)
    return plain != name or _without_marks(plain) != plain


def base_of(name: str, bases: Container[str]) -> str | None:
    """The log among `bases` that a file in their folder belongs to, by its name; None if it belongs to none."""
    plain = uncompressed(name)
    if plain in bases:
        return plain
    without = _without_marks(plain)
    if without in bases:
        return without
    # A log's own name may have marks. Then the marks of rotation follow them.
    while "." in plain or "-" in plain or "_" in plain:
        plain = plain[: max(map(plain.rfind, ".-_"))]
        if plain in bases:
            return plain if is_of(name, plain) else None
    return None


def family_of(name: str, names: Container[str]) -> tuple[str, bool]:
    """The name of the log that a file belongs to, and whether the log's current file has that name.

    `names`: names that are logs' own.
    """
    base = base_of(name, names)
    if base is not None:
        return base, True
    without_date = dateless(name)
    if without_date is not None:
        return without_date, False
    plain = uncompressed(name)
    # The file is `app.log.1`, without an `app.log`. The count follows the name's ending.
    return _COUNT_AFTER_ENDING.sub(r"\1", plain), True


class Names:
    """The names in a folder, sorted and indexed because the folder may have files of many logs."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._in_order = sorted(names)
        self._without_marks: dict[str, list[str]] = {}
        for name in self._in_order:
            self._without_marks.setdefault(_without_marks(uncompressed(name)), []).append(name)

    def of(self, base: str) -> list[str]:
        """The names of the files of the log `base`, see `is_of`."""
        begins = islice(self._in_order, bisect_left(self._in_order, base), None)
        alike = [*self._without_marks.get(base, ()), *takewhile(lambda name: name.startswith(base), begins)]
        return [name for name in dict.fromkeys(alike) if is_of(name, base)]


def _without_marks(name: str) -> str:
    if _TAI64N.fullmatch(name):
        return _OF_CURRENT
    return _COUNT.sub("", _WHEN.sub("", _WHEN_AFTER_ENDING.sub(r"\1", name)))
