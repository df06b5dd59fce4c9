"""Compares the daily rows and the roll-ups of a topic's writers with its records.

Each partition is read again from where its writer began, by a consumer without a group, through what is counted. The
rows of all its writers are added up. Roll-ups are compared when they have all that is counted. This shares with the
processor how a record's lines are found, and what is taken of the records of shippers.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer
from msgspec import structs

from log_processor import librdkafka
from log_processor.commands.verify.committed import RollupCommits
from log_processor.commands.verify.daily_rows import (
    NOTHING,
    daily_key,
    differences,
    older_days,
    row_differences,
    unpacked,
)
from log_processor.commands.verify.recount import EVERYBODY, Recount
from log_processor.commands.verify.result import VerifyResult, date_of
from log_processor.commands.verify.rollups import differences_at_rest
from log_processor.kafka.records import Record, Text, plain_text, read_records, text_in
from log_processor.kafka.shipment import Undecodable, decode
from log_processor.kafka.shipments import Shipments
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
from storage.keys import FileKey
from storage.ledger import decode_ledger, decode_rollup_ledger, is_rolled_up
from storage.logs import BACKFILL, FileRow, LedgerRow, decode_file, decode_log
from storage.requests import FileId, OffsetRange
from storage.rules import decode_rules
from storage.topic_files import TopicFile, path_of

_ATTEMPTS = 50
"""How often rows are read again because commits came meanwhile."""
_BETWEEN_ATTEMPTS_SECONDS = 0.1
_AFTER_BEGINNING = 1
"""Where lines begin for a parser: only at the beginning of a file a byte-order mark is not part of a line."""
_ROLLUP_ATTEMPTS = 100
"""How often the roll-ups are asked whether they have all that is counted. Their commits are some seconds apart."""
_ROLLUPS_MOVED = (
    "Quarter hours and endpoints could not be checked, because the roll-ups are behind the counts: try again when the "
    "processors run and no records come."
)
_GOING_ON = "The processors went on counting while the rows were read: try again when fewer records come."


class _Counted(NamedTuple):
    """What a writer has counted while no commit is under way."""

    logs: Sequence[LedgerRow]
    """That of the partition itself first, then those of its shippers' logs."""
    files: Sequence[FileRow]

    def is_of_the_same_lines(self, other: "_Counted | None") -> bool:
        """Whether another reading has the same counts. Records without lines may have come between the two."""
        return other is not None and self._without_places() == other._without_places()

    def _without_places(self) -> list[LedgerRow]:
        return [structs.replace(row, path="", position=row.first, bytes=0) for row in self.logs]


class _Compared(NamedTuple):
    """What was compared of the days of all writers."""

    result: VerifyResult
    counted: list[_Counted]
    """Of each writer, what was counted anew."""
    days: set[int]
    """The days on which all customers are told apart."""


class _Partition:
    def __init__(self, storage: Storage, settings: ProcessorSettings, number: int) -> None:
        self.storage = storage
        self.number = number
        self.name = f"{settings.kafka_topic}-{number}"
        self.gone = 0
        """Records that were counted and that the topic does not have any more."""
        self.rejected: Counter[tuple[str, Reason]] = Counter()
        """Log and reason -> lines that are rejected before they are parsed: of records in which no line is found, and
        lines that are too long for a shipper."""
        self._shipments = Shipments(number, "", (), ())
        self._history = decode_rules("")
        self._firsts: dict[FileKey, int] = {}
        """File of a shipper -> offset from which its lines are counted anew."""
        self._read: dict[int, int] = {}
        """Generation -> offset up to which the file is counted anew."""

    def counted(self) -> _Counted | None:
        """What its writer has counted; None while a commit is under way."""
        number = decode_ledger(self.storage.read_state("counts")).number
        if self.storage.read_intent(number + 1):
            return None
        logs, files, _ = self.storage.read_logs()
        rows = [decode_file(*key, row) for key, row in files.items()]
        of_logs = [decode_log(log, row) for log, row in logs.items() if not log.startswith(BACKFILL)]
        if decode_ledger(self.storage.read_state("counts")).number != number:
            return None
        return _Counted(
            sorted(of_logs, key=lambda row: (row.log != self.name, row.log)),
            sorted(rows, key=lambda row: (row.log, row.generation)),
        )

    def count(self, counted: _Counted, recount: Recount, topic: "_Topic") -> None:
        """Count anew what the writer has counted and was not counted here yet."""
        # A processor that started meanwhile may have other rules.
        self._history = decode_rules(self.storage.read_state("rules"))
        for row in counted.files:
            if row.log != self.name:
                continue
            start = self._read.get(row.generation, row.start)
            file_id = FileId(self.name, row.generation, row.lane, row.base)
            for rules, part in self._history.divided([OffsetRange(file_id, start, row.offset)]):
                self._count_part(TopicFile.decode(row.identity), part, rules, recount, topic)
            self._read[row.generation] = row.offset
        if self.gone:
            for row in counted.files:
                if row.log != self.name and row.lane >= 0:
                    key = FileKey(row.log, row.generation)
                    self._count_stored(row, row.start, self._firsts.get(key, row.offset), recount)
                    self._firsts[key] = row.start

    def _count_stored(self, row: FileRow, start: int, end: int, recount: Recount) -> None:
        """Count the stored requests of a range of a shipper's file, whose records are not in the topic any more."""
        if start < end:
            stored = OffsetRange(FileId(row.log, row.generation, row.lane, row.base), start, end)
            for rules, part in self._history.divided([stored]):
                for requests in self.storage.read_requests([part], 0, LAST_SECOND):
                    recount.add_stored(0, requests, rules)

    def _count_records(self, records: Sequence[Record], rules: Rules, recount: Recount, text_of: Text) -> None:
        """Count the lines of records. `rules`: hold for those that are no shipments."""
        blocks: dict[tuple[str, int, Rules], list[bytes]] = {}
        """Log, whether the lines begin a file (0), and rules -> lines."""
        for header, value in records:
            text = text_of(value) if header is None else self._shipped(header, value, blocks)
            if text is None:
                self.rejected[self.name, Reason.FIELDS] += 1
            elif header is None:
                blocks.setdefault((self.name, _AFTER_BEGINNING, rules), []).append(text + b"\n")
        for (log, start, of_lines), lines in blocks.items():
            recount.add(log, 0, [b"".join(lines)], start, rules=of_lines, are_of_file=False)

    def _shipped(self, header: bytes, value: bytes, blocks: dict[tuple[str, int, Rules], list[bytes]]) -> bytes | None:
        """Add the lines of a shipment to `blocks`; None if it is refused."""
        try:
            shipment = decode(header)
        except Undecodable:
            return None
        taken = self._shipments.take_at_once(shipment, value)
        for part, lines in taken.parts:
            start = part.start.offset
            self._firsts.setdefault(FileKey(part.log, part.start.generation), start)
            if part.overlong is not None:
                self.rejected[part.log, Reason.TOO_LONG] += 1
            if lines:
                rules = self._history.at(part.log, part.start.generation, start)
                blocks.setdefault((part.log, _AFTER_BEGINNING if start else 0, rules), []).append(lines)
        return None if taken.refused else b""

    def _count_part(self, file: TopicFile, part: OffsetRange, rules: Rules, recount: Recount, topic: "_Topic") -> None:
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
            for records in topic.records(self.number, first, end):
                self._count_records(records, rules, recount, topic.text)

    def is_rolled_up(self) -> bool:
        """Whether the roll-ups have all that is counted."""
        counts = decode_ledger(self.storage.read_state("counts"))
        rollups = decode_rollup_ledger(self.storage.read_state("rollups"))
        is_under_way = RollupCommits.read(self.storage).begun > rollups.number
        return is_rolled_up(counts, rollups) and not is_under_way


class _Topic:
    """The records of a topic. All methods raise KafkaException."""

    def __init__(self, settings: ProcessorSettings) -> None:
        client = librdkafka.Client(settings.kafka_bootstrap_servers, settings.kafka_settings_file)
        self._name = settings.kafka_topic
        self._broker = Broker(client.administrator(), self._name)
        self._consumer = Consumer(client.reader())
        self.text: Text = text_in(settings.kafka_member) if settings.kafka_member else plain_text
        """Finds the lines of a record."""
        self.id = self._broker.topic_id()

    def first_record(self, partition: int) -> int:
        """The offset of the first record that a partition still has."""
        return self._broker.first_record(partition)

    def records(self, partition: int, first: int, end: int) -> Iterator[list[Record]]:
        """A partition's records, see `read_records`."""
        return read_records(self._consumer, self._name, partition, first, end)

    def close(self) -> None:
        self._consumer.close()


async def compare_topic(reader: Storage, settings: ProcessorSettings, folder: Path) -> VerifyResult | None:
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
                compared.result.unchecked += await older_days(reader, oldest_day)
                return compared.result
            await asyncio.sleep(_BETWEEN_ATTEMPTS_SECONDS)
    raise StorageUnavailable(_GOING_ON)


async def _compare_rollups(
    reader: Storage, partitions: Sequence[_Partition], recount: Recount, oldest_day: int, compared: _Compared
) -> None:
    """Compare quarter hours and endpoints, once the roll-ups have all that is counted."""
    behind = list(partitions)
    for _ in range(_ROLLUP_ATTEMPTS):
        behind = [one for one in behind if not one.is_rolled_up()]
        if not behind:
            break
        await asyncio.sleep(_BETWEEN_ATTEMPTS_SECONDS)
    # Lines that came since the days were compared are not counted anew.
    if not behind and await _are_of_the_same_lines(partitions, compared.counted):
        found = await differences_at_rest(reader, recount, oldest_day, compared.days)
        if await _are_of_the_same_lines(partitions, compared.counted):
            compared.result.differences += found
            return
    compared.result.unchecked.append(_ROLLUPS_MOVED)


async def _are_of_the_same_lines(partitions: Sequence[_Partition], counted: Sequence[_Counted]) -> bool:
    """Whether no lines were counted since. Shippers send records without lines all the time."""
    for partition, before in zip(partitions, counted, strict=True):
        for _ in range(_ATTEMPTS):
            if (now := partition.counted()) is not None:
                break
            await asyncio.sleep(_BETWEEN_ATTEMPTS_SECONDS)
        if not before.is_of_the_same_lines(now):
            return False
    return True


def _compared(partitions: Sequence[_Partition], topic: _Topic, recount: Recount, oldest_day: int) -> _Compared | None:
    """None where the store has moved on meanwhile."""
    counted = []
    for partition in partitions:
        of_writer = partition.counted()
        if of_writer is None:
            return None
        partition.count(of_writer, recount, topic)
        counted.append(of_writer)
    result = VerifyResult(Counter(), Counter(), len(recount.customers()), len(recount.days()), [])
    today = int(time.time()) // SECONDS_A_DAY
    # A request may be of tomorrow.
    days = {*recount.days(), *range(oldest_day, today + 2)}
    folded = {day for day in sorted(days) if _compare_day(day, partitions, recount, result)}
    for partition, of_writer in zip(partitions, counted, strict=True):
        if not of_writer.is_of_the_same_lines(partition.counted()):
            return None
        for row in of_writer.logs:
            lines, mended = recount.lines(row.log), recount.mended(row.log)
            for reason in (Reason.FIELDS, Reason.TOO_LONG):
                lines[reason.value] += partition.rejected[row.log, reason]
            if not partition.gone:
                result.differences += row_differences(row, lines, mended)
            result.lines += lines
            result.mended += mended
            result.notes += [f"{row.log} has a gap: {gap.reason}." for gap in row.gaps]
        if partition.gone:
            result.unchecked.append(
                f"Of {partition.name}, {partition.gone:,} records that were counted are not in the topic any more. They"
                " could not be checked: their requests are taken as they are stored."
            )
    return _Compared(result, counted, days - folded)


def _compare_day(day: int, partitions: Sequence[_Partition], recount: Recount, result: VerifyResult) -> bool:
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
        result.notes.append(f"On {date_of(day)} too many customers were new: only all together are compared.")
        keys = keys[:1]
    for key in keys:
        result.differences += differences(key, of_day.get(key[0]) or NOTHING, stored[key])
    return is_folded
