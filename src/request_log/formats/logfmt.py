"""Reads lines of `key=value` pairs, as many programs in Go write them.

https://brandur.org/logfmt
"""

import re

from request_log.fields.escapes import unescaped
from request_log.formats.loose_json import Value

_PAIR = re.compile(r'([^ \t="]+)(?:=(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^ \t"]*)))?(?:[ \t]+|$)')


def read_pairs(text: str) -> dict[str, Value] | None:
    """Key -> value; None if the text is anything but pairs. Of several pairs with one key the first counts."""
    pairs: dict[str, Value] = {}
    place = 0
    while place < len(text):
        match = _PAIR.match(text, place)
        if match is None:
            return None
        pairs.setdefault(match[1], unescaped(match[2]) if match[2] else match[3] or "")
        place = match.end()
    return pairs
