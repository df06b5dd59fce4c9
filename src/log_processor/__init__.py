"""Follows the logs, and stores their requests, their counts and the ledger. Does not answer questions: that is `api`.

The way of a line, from the top:

run         puts the rest together and starts it where the ledger is
dataflow    source -> parse -> log handler
source      hands on what was read
following/  which logs there are, which files they have, and reading each file on
parsing/    a chunk of lines -> a batch of requests
storing/    the log handler: stores each batch, and says when to count
counting/   numbered commits of daily rows and roll-ups, and the ledger

The parser of the lines is in `request_log`, and the store in `storage`.

Beside it:

kafka/           a topic in place of files
commands/        verify, backfill, check, retire
process/         what any long-running process needs
settings         the settings
follow_settings  those that the shipper has, too
format_settings  those of the format of the logs, and the parser that they mean
path_templates   the file of own templates of paths
librdkafka       settings of Kafka's client
spool            old logs that wait
disk             copies of logs leave room on their disk
heartbeat        the file by which the health check knows that the processor works
"""
