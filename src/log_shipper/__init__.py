"""Sends the lines of a host's logs to a Kafka topic, each once. Processors of the topic count them.

It follows logs by the processor's own code, `log_processor.following`. A processor knows nothing of this package.

A line's way from its file to the topic, from the top:

settings   the settings
notes      what shippers note in the topic `TOPIC.shippers`: their sessions, and how far each log is sent
producer   sends records, and tells when the broker has them
beginning  begins a session: fences predecessors, and finds out how far each log is sent
shipping   follows the logs, and sends what they have
run        builds the shipper from its parts, and runs it
verify     compares the files with what the topic has of them
"""
