"""Makes the topic KAFKA_TOPIC with PARTITIONS partitions, where it is not there yet."""

import os
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

WAIT_SECONDS = 60.0
name, partitions = os.environ["KAFKA_TOPIC"], int(os.environ["PARTITIONS"])
client = AdminClient({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]})
deadline = time.monotonic() + WAIT_SECONDS
while True:
    try:
        if name not in client.list_topics(timeout=5).topics:
            client.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
        break
    except KafkaException:
        if time.monotonic() > deadline:
            raise
        time.sleep(1)
print(f"The topic {name} has its partitions.")  # noqa: T201
