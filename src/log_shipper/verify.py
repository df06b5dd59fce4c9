"""The command `verify`: compares the files of a host's logs with the records that its shipper has sent.

Together with `python -m log_processor verify`, which compares the topic with the store, it checks the whole way. Each
record that the topic still has is compared byte by byte with the file that it says. Each whole line of a file has to be
sent, or in a gap, or from before the log was followed.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition
from msgspec import structs

from log_processor import librdkafka
from log_processor.commands.terminal import say, say_error
from log_processor.commands.verify.accounted import accounts_of
from log_processor.commands.verify.committed import Committed
from log_processor.commands.verify.linked import Linked
from log_processor.commands.verify.text_file import BLOCK_BYTES, FilesChanged, TextFile, Unreadable
from log_processor.following.log_files import LogFiles
from log_processor.kafka.shipment import Undecodable, decode, partition_of, stored_name
from log_processor.kafka.shipments import Shipments
from log_processor.parsing.chunk import DIGEST_BYTES, Part
from log_shipper.beginning import KnownLog, known_logs, read_back, records_of
from log_shipper.notes import Notes
from log_shipper.settings import ShipperSettings
from request_log.framing.protocol import PLAIN
from storage.keys import FileKey
from storage.ledger import Ledger
from storage.logs import Gap, LedgerRow, Position

_SECONDS = 30.0
# Within which the broker has to answer.


@dataclass
class _Checked:
    lines: int = 0
    bytes: int = 0
    gone: int = 0
    """Bytes that were sent and that no file has any more."""
    gaps: list[Gap] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


def verify(settings: ShipperSettings) -> int:
    """Print what differs between the files and the topic, or that all agree. Returns the exit status: 0 if all that
    could be checked agrees, 1 if anything differs or nothing could be checked."""
    try:
        with ExitStack() as stack:
            return _verify(settings, stack)
    except KafkaException as error:
        say_error(f"The broker does not answer: {error.args[0].str()}.")
    except (FilesChanged, Unreadable) as error:
        say_error(str(error))
    except OSError as error:
        say_error(f"{error.filename} cannot be read: {error.strerror}.")
    return 1


def _verify(settings: ShipperSettings, stack: ExitStack) -> int:
    client = librdkafka.Client(settings.kafka_bootstrap_servers, settings.kafka_settings_file)
    topic, shipper, reader = settings.kafka_topic, settings.shipper, client.reader()
    notes = Notes(topic, client.administrator(), reader)
    stack.callback(notes.close)
    notes.begin()
    notes.read_to_end()
    noted = known_logs(shipper, notes)
    consumer = Consumer(reader)
    stack.callback(consumer.close)
    ends = {
        number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_SECONDS)[1]
        for number in range(notes.partitions())
    }
    session = notes.sessions.get(shipper)
    offsets, noted_by = (session.offsets, session.noted_by) if session is not None else ({}, 0)
    logs, _ = read_back(shipper, topic, noted, offsets, noted_by, ends, reader)
    found = LogFiles(settings.patterns(), settings.named_logs(), roots=settings.roots())
    paths = {log.name: log.path for log in found.found()}
    rows = {name: _row(name, known, paths) for name, known in logs.items() if known.files}
    if not rows:
        say("Nothing could be checked: the topic has none of the logs.")
        return 1
    files = {FileKey(name, number): row for name in rows for number, row in logs[name].files.items()}
    followed = {key: row for key, row in files.items() if row.state != "copy"}
    linked = Linked(rows.values(), followed, any, stack, found.roots)
    checked = {name: _compare(consumer, topic, shipper, name, logs[name], ends, linked) for name in rows}
    rows = {name: structs.replace(row, gaps=tuple(checked[name].gaps)) for name, row in rows.items()}
    sent = {key: row.offset for key, row in followed.items()}
    accounts = accounts_of(linked, Committed("", Ledger(), rows, followed, sent, {}, ()), PLAIN)
    differences = [difference for one in checked.values() for difference in one.differences]
    unsent = [f"Not sent: {left}." for left in accounts.left]
    lines, size = sum(one.lines for one in checked.values()), sum(one.bytes for one in checked.values())
    verdict = "The topic differs from the files" if differences else "Lines are not sent" if unsent else "All agree"
    say(f"{verdict}: logs {len(rows):,}, lines {lines:,}, bytes {size:,}.", *differences, *unsent, *accounts.copies)
    for name, one in checked.items():
        if one.gone:
            say(f"{one.gone:,} bytes of {name} were sent and are in no file any more. They could not be checked.")
        for gap in one.gaps:
            say(f"{name} has a gap: {gap.reason}.")
    for name, before in accounts.unfollowed.items():
        say(f"{before:,} bytes of {name} were there before it was followed.")
    return 1 if differences or unsent or not lines else 0


def _row(name: str, known: KnownLog, paths: Mapping[str, Path]) -> LedgerRow:
    first = known.files[min(known.files)]
    at = Position(first.generation, first.start)
    return LedgerRow(name, str(paths.get(name, first.path)), at, at)


def _compare(
    consumer: Consumer, topic: str, shipper: str, name: str, known: KnownLog, ends: Mapping[int, int], linked: Linked
) -> _Checked:
    log = stored_name(shipper, name)
    partition = partition_of(log, known.partitions)
    shipments = Shipments(partition, "", (), ())
    checked = _Checked()
    for header, value in records_of(consumer, topic, partition, 0, ends[partition]):
        try:
            shipment = decode(header)
        except Undecodable:
            continue
        if shipment.log and shipment.name != log:
            continue
        for part, lines in shipments.take_at_once(shipment, value).parts:
            checked.gaps += part.gaps
            _compare_part(checked, part, lines, linked, FileKey(name, part.start.generation))
    return checked


def _compare_part(checked: _Checked, part: Part, lines: bytes, linked: Linked, key: FileKey) -> None:
    size = part.end.offset - part.start.offset
    if not size:
        return
    file = linked.file(key)
    if file is None:
        checked.gone += size
        return
    checked.lines += lines.count(b"\n") + (part.overlong is not None)
    checked.bytes += size
    if not _are_equal(file, part, lines):
        checked.differences.append(f"Bytes {part.start.offset:,} to {part.end.offset:,} of {file.path} differ.")


def _are_equal(file: TextFile, part: Part, lines: bytes) -> bool:
    """Whether a file has what was sent of it. A line that is too long, and zeros, are read in blocks: any number of
    bytes may lie in one part."""
    start, end = part.start.offset, part.end.offset
    if end > file.size:
        return False
    if part.overlong is not None:
        last = end - (file.read(1, end - 1) == b"\n")
        digest = blake2b(digest_size=DIGEST_BYTES)
        for place in range(start, last, BLOCK_BYTES):
            digest.update(file.read(min(BLOCK_BYTES, last - place), place))
        return digest.hexdigest() == part.overlong.digest.hexdigest()
    if lines:
        # The last line of a file may lack its newline.
        return file.read(end - start, start) == lines[: end - start]
    # Zeros are skipped.
    return not any(block.strip(b"\0") for block in file.blocks(start, end))
