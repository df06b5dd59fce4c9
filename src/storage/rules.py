"""The rules of roll-ups of a writer, and from where on in its logs each holds.

A start with other rules first rolls up all that is counted, and then stores where the new rules begin. So all of a
commit of roll-ups is under the same rules, whatever the settings are when it is redone.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import NamedTuple

import msgspec

from rollups.rules import UNNAMED, Rules
from storage.damage import reading
from storage.ledger import RolledUp
from storage.requests import OffsetRange

MOST_CHARACTERS = 900_000
"""Characters of the row: InfluxDB takes no field beyond 1 MiB. What would make it longer is the earliest rules."""

_Change = tuple[bool, int, tuple[str, ...], dict[str, tuple[int, list[tuple[int, int]]]]]
# A change as the row has it: Rules, and RulesFrom.places.


class RulesFrom(NamedTuple):
    """Rules, and the place in the logs from which on they hold."""

    rules: Rules
    places: Mapping[str, RolledUp]
    """Log -> how far it was rolled up when they began."""

    def begin(self, log: str, generation: int) -> int:
        """The offset (bytes) of a file from which on they hold."""
        before = self.places.get(log, RolledUp())
        return before.offsets.get(generation, sys.maxsize if generation < before.files else 0)


class RuleHistory(NamedTuple):
    """All rules of a writer, in the order in which they began."""

    changes: tuple[RulesFrom, ...] = ()

    @property
    def latest(self) -> Rules:
        """The rules that hold at the end of the logs."""
        return self.changes[-1].rules if self.changes else UNNAMED

    def changed(self, rules: Rules, places: Mapping[str, RolledUp]) -> "RuleHistory":
        """The history after these rules have begun at these places."""
        if rules == self.latest:
            return self
        # What nothing was counted by need not be kept.
        kept = self.changes[:-1] if self.changes and self.changes[-1].places == places else self.changes
        return RuleHistory((*kept, RulesFrom(rules, places)))

    def at(self, log: str, generation: int, offset: int) -> Rules:
        """The rules for the line at an offset of a file."""
        begun = [one.rules for one in self.changes if one.begin(log, generation) <= offset]
        return begun[-1] if begun else UNNAMED

    def divided(self, ranges: Iterable[OffsetRange]) -> Iterator[tuple[Rules, OffsetRange]]:
        """These ranges of files, cut where the rules change, in their order."""
        for offset_range in ranges:
            file, start, end = offset_range
            bounds = [rules.begin(file.log, file.generation) for rules in self.changes]
            for rules, until in zip([UNNAMED, *(one.rules for one in self.changes)], [*bounds, end], strict=True):
                cut = min(max(start, until), end)
                if start < cut:
                    yield rules, OffsetRange(file, start, cut)
                    start = cut

    def by_rules(self, ranges: Iterable[OffsetRange]) -> Iterator[tuple[Rules, list[OffsetRange]]]:
        """These ranges, cut where the rules change, each with the ones after it that are under the same rules."""
        for rules, some in groupby(self.divided(ranges), key=lambda divided: divided[0]):
            yield rules, [offset_range for _, offset_range in some]


def encode_rules(history: RuleHistory) -> str:
    """The text of the history, without the earliest rules where it would be too long."""
    rows = [
        [*one.rules, {log: [at.files, list(at.offsets.items())] for log, at in one.places.items()}]
        for one in history.changes
    ]
    texts = [json.dumps(row, separators=(",", ":")) for row in rows]
    while sum(map(len, texts)) > MOST_CHARACTERS and len(texts) > 1:
        del texts[0]
    return f"[{','.join(texts)}]"


def decode_rules(text: str) -> RuleHistory:
    """The reverse of `encode_rules`; of an empty text a history without rules. Raises DamagedRow."""
    with reading("rules, of roll-ups,", text):
        changes = msgspec.convert(json.loads(text or "[]"), list[_Change])
        return RuleHistory(
            tuple(
                RulesFrom(
                    Rules(counts_methods, paths, templates),
                    {log: RolledUp(files, dict(offsets)) for log, (files, offsets) in places.items()},
                )
                for counts_methods, paths, templates, places in changes
            )
        )
