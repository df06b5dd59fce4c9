"""Builds the processor of a topic from its parts, and runs it."""

import threading
from datetime import timedelta

from bytewax._bytewax import cli_main
from confluent_kafka import KafkaException

from log_processor import librdkafka
from log_processor.format_settings import WITH_COLUMNS
from log_processor.kafka import flow
from log_processor.kafka.group import Group
from log_processor.kafka.records import plain_text, text_in
from log_processor.kafka.watching import Broker
from log_processor.process.time_bounds import TimeBounds
from log_processor.settings import ProcessorSettings
from log_processor.storing.dead_letters import DeadLetters
from log_processor.storing.kept_lines import KeptLines
from service.logs import logger
from service.memory import collect_cycles_rarely
from service.settings import refuse

EPOCH = timedelta(days=1)
"""Length of Bytewax's epochs. Nothing depends on their ends."""
CLOSE_SECONDS = 2.0
"""Time until all leases are released at a shutdown."""

log = logger(__name__)


def run_kafka(settings: ProcessorSettings, stop: threading.Event) -> None:
    """Read the partitions of the topic that the group gives to this process, until `stop` is set."""
    client = librdkafka.Client(settings.kafka_bootstrap_servers, settings.kafka_settings_file)
    bounds = TimeBounds(0, 0)
    dead_letters = DeadLetters(
        settings.dead_letters_path,
        settings.dead_letters_max_bytes,
        None,
        None,
        KeptLines(settings.dead_letters_keep, settings.drops_query, settings.log_format in WITH_COLUMNS),
        lambda: bounds.oldest_day(settings.dead_letters_days),
        bounds.latest,
    )
    text = text_in(settings.kafka_member) if settings.kafka_member else plain_text
    try:
        broker = Broker(client.administrator(), settings.kafka_topic)
        group = Group(settings, client.consumer(settings.kafka_group), broker, text, dead_letters, stop)
    except KafkaException as error:
        refuse(f"KAFKA_SETTINGS_FILE={settings.kafka_settings_file}: {error.args[0].str()}")

    collect_cycles_rarely()
    log.info("started", store=settings.storage, source="kafka", topic=settings.kafka_topic, group=settings.kafka_group)
    built = flow.build(group, stop.is_set, settings.parser(), dead_letters.too_new, dead_letters.kept.mark)
    cli_main(built, workers_per_process=1, epoch_interval=EPOCH)  # type: ignore[no-untyped-call]
    group.close(CLOSE_SECONDS)
    dead_letters.close()
    log.info("stopped", lines_lost=0)
