"""Builds the shipper from its parts, and runs it."""

import tempfile
import threading
from pathlib import Path

from confluent_kafka import KafkaException

from log_processor import librdkafka
from log_processor.following.collector import Collector
from log_processor.following.followed_logs import MOST_OPEN_FILES, FollowedLogs
from log_processor.following.log_files import LogFiles
from log_processor.following.waiting import LOOK_SECONDS, waiter
from log_processor.process.shutdown import stop_on_signals
from log_processor.spool import Spool
from log_shipper.beginning import Stopped, begin_session
from log_shipper.notes import Notes
from log_shipper.producer import RecordProducer
from log_shipper.settings import ShipperSettings
from log_shipper.shipping import (
    LONGEST_WAIT_SECONDS,
    LONGEST_WAIT_SECONDS_BUSY,
    SHORTEST_WAIT_SECONDS,
    Shipping,
    follow,
)
from service.logs import logger
from service.open_files import allow_open_files
from service.settings import refuse
from storage.keys import FileKey

CHUNK_LINES = 20_000
"""Lines of a chunk."""
CHUNK_BYTES = 384 << 10
"""Bytes that are read ahead. A record is at most twice as large, with half a line: topics allow 1 MB by default."""
LAST_RECORDS_SECONDS = 3.0
"""Time for the last records during a shutdown. The next start sends what the broker does not have."""

log = logger(__name__)


def run(settings: ShipperSettings) -> None:
    """Send the lines of the logs until a signal asks for a shutdown."""
    stop = stop_on_signals()
    allow_open_files(MOST_OPEN_FILES)
    client = librdkafka.Client(settings.kafka_bootstrap_servers, settings.kafka_settings_file)
    reader = client.reader()
    try:
        producer = RecordProducer(settings.kafka_topic, client.producer())
        notes = Notes(settings.kafka_topic, client.administrator(), reader)
    except KafkaException as error:
        refuse(f"KAFKA_SETTINGS_FILE={settings.kafka_settings_file}: {error.args[0].str()}")
    settings.shipper_heartbeat_path.parent.mkdir(parents=True, exist_ok=True)
    log.info("started", shipper=settings.shipper, topic=settings.kafka_topic, follow=settings.follow)
    try:
        with tempfile.TemporaryDirectory(prefix="shipper-") as scratch:
            _ship(settings, producer, notes, reader, Path(scratch), stop)
    except Stopped:
        log.warning("stopped_before_all_was_sent", lines_lost=0, next="the next start sends the rest")
    notes.close()
    log.info("stopped", lines_lost=0)


def _ship(
    settings: ShipperSettings,
    producer: RecordProducer,
    notes: Notes,
    reader: dict[str, object],
    scratch: Path,
    stop: threading.Event,
) -> None:
    begun = begin_session(settings.shipper, settings.kafka_topic, producer, notes, reader, stop.wait)
    shipping = Shipping(settings.shipper, begun, producer, notes, settings.shipper_heartbeat_path)
    known = {name: one for name, one in begun.logs.items() if one.is_begun}
    logs = FollowedLogs(
        LogFiles(settings.patterns(), settings.named_logs(), [settings.shipper_heartbeat_path], settings.roots()),
        # Nothing is handed in to a shipper.
        Spool(scratch / "spool"),
        {name: one.ledger_row(name) for name, one in known.items()},
        {FileKey(name, number): row for name, one in known.items() for number, row in one.files.items()},
        scratch,
        LOOK_SECONDS[settings.follow],
    )
    collector = Collector(
        logs, CHUNK_LINES, settings.shipper_max_wait_seconds, shipping.is_begun, most_bytes=CHUNK_BYTES
    )

    def longest_wait() -> float:
        longest = LONGEST_WAIT_SECONDS_BUSY if shipping.is_busy else LONGEST_WAIT_SECONDS
        return max(SHORTEST_WAIT_SECONDS, min(collector.due_in(), logs.look_in(), longest))

    shipping.take_over(stop.wait)
    new = [row.log for row in logs.begin(settings.start_position)]
    if new:
        shipping.begin_logs(new, stop.wait)
        shipping.send(collector.news())
        shipping.note_begun(new, stop.wait)
    logs.say_begun()
    waits = waiter(settings.follow, logs, settings.poll_interval_ms / 1000, longest_wait)
    try:
        follow(shipping, logs, collector, waits, stop.wait)
    finally:
        waits.close()
        logs.close()
    if not producer.flush(LAST_RECORDS_SECONDS):
        raise Stopped
    shipping.release()
    producer.flush(1.0)
