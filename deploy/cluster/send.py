"""Sends RECORDS records of LINES_A_RECORD made-up lines each to the topic KAFKA_TOPIC."""

import os
import time

from confluent_kafka import Producer

from log_generator.traffic import Traffic

traffic = Traffic(seed=1, customers=1_000)
producer = Producer({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"], "compression.type": "lz4"})
records, lines = int(os.environ["RECORDS"]), int(os.environ["LINES_A_RECORD"])
for _ in range(records):
    producer.produce(os.environ["KAFKA_TOPIC"], traffic.lines(lines, time.time()))
    producer.poll(0)
if left := producer.flush(60):
    raise SystemExit(f"The broker did not take {left} records.")
print(f"Sent {records * lines} lines in {records} records.")  # noqa: T201
