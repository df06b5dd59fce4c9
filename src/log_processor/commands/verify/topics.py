"""Compares the daily rows and the roll-ups of a topic's writers with its records.

Each partition is read again from where its writer began, by a consumer without a group, through what is counted. The
rows of all its writers are added up. Roll-ups are compared when they have all that is counted. This shares with the
processor how a record's lines are found.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from log_processor import librdkafka
from log_processor.commands.verify.committed import RollupCommits
from log_processor.commands.verify.daily_rows import NOTHING, daily_key, differences, row_differences, unpacked
from log_processor.commands.verify.outcome import Outcome, date_of
from log_processor.commands.verify.recount import EVERYBODY, Recount
from log_processor.commands.verify.rollups import differences_at_rest
from log_processor.kafka.records import plain_text, text_in
from log_processor.kafka.watching import Broker
from log_processor.process.time_bounds import TimeBounds
from log_processor.settings import ProcessorSettings
from request_log.line import LAST_SECOND, SECONDS_A_DAY, Reason
from rollups.counts import DailyKey, DayCounts
from rollups.groups import OTHER
from rollups.rules import Rules
from storage.backend import open_storage
from storage.contract import Storage
from storage.errors import StorageUnavailable
from storage.ledger import decode_ledger, decode_rollup_ledger, is_rolled_up
from storage.logs import FileRow, LedgerRow, decode_file, decode_log
from storage.requests import FileId, OffsetRange
from storage.rules import decode_rules
from storage.topic_files import TopicFile, path_of

_ATTEMPTS = 50
"""How often rows are read again because commits came meanwhile."""
_BETWEEN_ATTEMPTS_SECONDS = 0.1
_SILENT_SECONDS = 30.0
_RECORDS_AT_ONCE = 10_000
_BEHIND_BEGINNING = 1
"""Where lines begin for a parser: only at the beginning of a file a byte-order mark is not part of a line."""
_ROLLUP_ATTEMPTS = 100
"""How often it is looked whether the roll-ups have all that is counted. They wait some seconds between two commits."""
_ROLLUPS_MOVED = (
    "Quarter hours and endpoints could not be checked, because the roll-ups are behind the counts: try again when the "
    "processors run and no records come."
)
_GOING_ON = "The processors went on counting while the rows were read: try again when fewer records come."


class _Counted(NamedTuple):
    """What a writer has counted, and nothing is under way."""

    number: int
    log: LedgerRow
    files: Sequence[FileRow]


class _RolledUp(NamedTuple):
    """The last commits of a writer whose roll-ups have all that is counted."""

    counts: int
    rollups: int


class _Compared(NamedTuple):
    """What was compared of the days of all writers."""

    outcome: Outcome
    numbers: list[int]
    """Of each writer, the commit through which its lines were counted anew."""
    days: set[int]
    """The days on which all customers are told apart."""


class _Partition:
    """A partition, and its writer in the store."""

    def __init__(self, storage: Storage, settings: ProcessorSettings, number: int) -> None:
        self.storage = storage
        self.number = number
        self.name = f"{settings.kafka_topic}-{number}"
        self.gone = 0
        """Records that were counted and that the topic does not have any more."""
        self.without_lines = 0
        """Records in which no line is found."""
        self._read: dict[int, int] = {}
        """Generation -> offset up to which the file is counted anew."""

    def counted(self) -> _Counted | None:
        """What its writer has counted; None while a commit is under way."""
        number = decode_ledger(self.storage.read_state("counts")).number
        if self.storage.read_intent(number + 1):
            return None
        logs, files, _ = self.storage.read_logs()
        found = [decode_file(*key, row) for key, row in files.items() if key.log == self.name]
        log = decode_log(self.name, logs[self.name])
        if decode_ledger(self.storage.read_state("counts")).number != number:
            return None
        return _Counted(number, log, sorted(found, key=lambda row: row.generation))

    def count(self, counted: _Counted, recount: Recount, topic: "_Topic") -> None:
        """Count anew what the writer has counted and was not counted here yet."""
        # A processor that started meanwhile may have other rules.
        history = decode_rules(self.storage.read_state("rules"))
        for row in counted.files:
            start = self._read.get(row.generation, row.start)
            file_id = FileId(self.name, row.generation, row.lane, row.base)
            for rules, part in history.divided([OffsetRange(file_id, start, row.offset)]):
                self._count_part(TopicFile.decode(row.identity), part, rules, recount, topic)
            self._read[row.generation] = row.offset

    def _count_part(self, file: TopicFile, part: OffsetRange, rules: Rules, recount: Recount, topic: "_Topic") -> None:
        """Count a part of a file, for which these rules hold."""
        first, end = file.record(part.start), file.record(part.end)
        low = topic.first_record(self.number) if file.topic_id == topic.id else end
        if first < low:
            through = min(low, end)
            self.gone += through - first
            stored = OffsetRange(part.file, part.start, file.offset(through))
            for requests in self.storage.read_requests([stored], 0, LAST_SECOND):
                recount.add_stored(0, requests, rules)
            first = through
        if first < end:
            blocks = topic.blocks(self.number, first, end)
            recount.add(self.name, 0, blocks, _BEHIND_BEGINNING, rules=rules)
            self.without_lines += topic.without_lines

    def rolled_up(self) -> _RolledUp | None:
        """Its last commits, if the roll-ups have all that is counted; else None."""
        counts = decode_ledger(self.storage.read_state("counts"))
        rollups = decode_rollup_ledger(self.storage.read_state("rollups"))
        is_under_way = RollupCommits.read(self.storage).begun > rollups.number
        return _RolledUp(counts.number, rollups.number) if is_rolled_up(counts, rollups) and not is_under_way else None


class _Topic:
    """The records of a topic. All methods raise KafkaException."""

    def __init__(self, settings: ProcessorSettings) -> None:
        path = settings.kafka_settings_file
        given = librdkafka.read_settings(path) if path is not None else {}
        servers = settings.kafka_bootstrap_servers
        self._name = settings.kafka_topic
        self._broker = Broker(librdkafka.every_client(servers, given), self._name)
        self._consumer = Consumer(librdkafka.reader_settings(servers, given))
        self._text = text_in(settings.kafka_member) if settings.kafka_member else plain_text
        self.id = self._broker.topic_id()
        self.without_lines = 0
        """Records of the last `blocks` in which no line was found."""

    def first_record(self, partition: int) -> int:
        """The offset of the first record that a partition still has."""
        return self._broker.first_record(partition)

    def blocks(self, partition: int, first: int, end: int) -> Iterator[bytes]:
        """The lines of a partition's records from `first` until before `end`."""
        self.without_lines = 0
        self._consumer.assign([TopicPartition(self._name, partition, first)])
        heard = time.monotonic()
        reached = first
        while reached < end:
            lines = []
            messages = self._consumer.consume(_RECORDS_AT_ONCE, 0.1)
            for message in messages:
                error, offset = message.error(), message.offset()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                if offset is None or offset < first:
                    continue
                if error is None and offset < end:
                    text = self._text(message.value() or b"")
                    if text is not None:
                        lines.append(text)
                    else:
                        self.without_lines += 1
                reached = max(reached, offset + (error is None))
            if lines:
                yield b"\n".join([*lines, b""])
            if messages:
                heard = time.monotonic()
            elif time.monotonic() > heard + _SILENT_SECONDS:
                raise StorageUnavailable(f"Nothing comes from partition {partition} of topic {self._name}.")

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


async def compare_topic(reader: Storage, settings: ProcessorSettings, folder: Path) -> Outcome | None:
    """Compare the days of a topic. None if no writer has counted any of it.

    `reader`: a connection of a reader. `folder`: for data that does not fit into memory. Raises KafkaException.
    """
    prefix = path_of(settings.kafka_topic, 0)[:-1]
    logs = [(writer, row) for writer, row in await reader.logs() if row.path.startswith(prefix)]
    if not logs:
        return None
    with ExitStack() as stack:
        partitions = []
        for writer, row in logs:
            storage = open_storage(settings, writer)
            stack.callback(storage.abandon)
            partitions.append(_Partition(storage, settings, int(row.path.removeprefix(prefix))))
        topic = _Topic(settings)
        stack.callback(topic.close)
        today = int(time.time()) // SECONDS_A_DAY
        oldest_day = today - settings.retention_days
        newest = max(row.newest for _, row in logs)
        parse = settings.parser() if settings.log_format != "simple" else None
        latest_second = TimeBounds(newest, modified=0).latest_second()
        recount = stack.enter_context(Recount(folder, oldest_day, latest_second, parse))
        for _ in range(_ATTEMPTS):
            compared = _compared(partitions, topic, recount, oldest_day)
            if compared is not None:
                await _compare_rollups(reader, partitions, recount, oldest_day, compared)
                return compared.outcome
            await asyncio.sleep(_BETWEEN_ATTEMPTS_SECONDS)
    raise StorageUnavailable(_GOING_ON)


async def _compare_rollups(
    reader: Storage, partitions: Sequence[_Partition], recount: Recount, oldest_day: int, compared: _Compared
) -> None:
    """Compare quarter hours and endpoints, once the roll-ups have all that is counted."""
    states: list[_RolledUp | None] = []
    for _ in range(_ROLLUP_ATTEMPTS):
        states = [one.rolled_up() for one in partitions]
        if None not in states:
            break
        await asyncio.sleep(_BETWEEN_ATTEMPTS_SECONDS)
    # What came since the days were compared is not counted anew.
    if None not in states and [state.counts for state in states if state is not None] == compared.numbers:
        found = await differences_at_rest(reader, recount, oldest_day, compared.days)
        if [one.rolled_up() for one in partitions] == states:
            compared.outcome.differences += found
            return
    compared.outcome.unchecked.append(_ROLLUPS_MOVED)


def _compared(partitions: Sequence[_Partition], topic: _Topic, recount: Recount, oldest_day: int) -> _Compared | None:
    """None where the store has moved on meanwhile."""
    counted = []
    for partition in partitions:
        of_writer = partition.counted()
        if of_writer is None:
            return None
        partition.count(of_writer, recount, topic)
        counted.append(of_writer)
    outcome = Outcome(Counter(), Counter(), len(recount.customers()), len(recount.days()), [])
    today = int(time.time()) // SECONDS_A_DAY
    # A request may be of tomorrow.
    days = {*recount.days(), *range(oldest_day, today + 2)}
    folded = {day for day in sorted(days) if _compare_day(day, partitions, recount, outcome)}
    for partition, of_writer in zip(partitions, counted, strict=True):
        if partition.counted() != of_writer:
            return None
        lines, mended = recount.lines(partition.name), recount.mended(partition.name)
        lines[Reason.FIELDS.value] += partition.without_lines
        if partition.gone:
            outcome.unchecked.append(
                f"Of {partition.name}, {partition.gone:,} records that were counted are not in the topic any more. They"
                " could not be checked: their requests are taken as they are stored."
            )
        else:
            outcome.differences += row_differences(of_writer.log, lines, mended)
        outcome.lines += lines
        outcome.mended += mended
        outcome.notes += [f"{partition.name} has a gap: {gap.reason}." for gap in of_writer.log.gaps]
    return _Compared(outcome, [of_writer.number for of_writer in counted], days - folded)


def _compare_day(day: int, partitions: Sequence[_Partition], recount: Recount, outcome: Outcome) -> bool:
    """Compare the rows of a day: the sums over all writers. Returns whether new customers are folded on it."""
    of_day = recount.of_day(day)
    keys = [(EVERYBODY, day), *((name, day) for name in of_day if name != EVERYBODY)]
    stored = {key: DayCounts() for key in keys}
    is_folded = False
    for partition in partitions:
        rows = partition.storage.read_daily([DailyKey(OTHER, day), *map(daily_key, keys)])
        is_folded |= DailyKey(OTHER, day) in rows
        for key in keys:
            if (row := rows.get(daily_key(key))) is not None:
                stored[key].add(unpacked(key, row))
    if is_folded:
        outcome.notes.append(f"On {date_of(day)} too many customers were new: only all together are compared.")
        keys = keys[:1]
    for key in keys:
        outcome.differences += differences(key, of_day.get(key[0]) or NOTHING, stored[key])
    return is_folded
