"""Follows the logs, and stores their requests, their counts and the ledger. Does not answer questions: that is `api`.

The way of a line, from the top:

run         puts the rest together and starts it where the ledger is
dataflow    source -> parse -> log handler
source      hands on what was read
following/  which logs there are, which files they have, and reading each file on
parsing/    a chunk of lines -> a batch of requests
storing/    the log handler: stores each batch, and says when to count
counting/   numbered commits of daily rows and roll-ups, and the ledger

Beside it: settings (those of the format in format_settings), path_templates, spool (old logs that wait), process/ (what
any long-running process needs), kafka/ (a topic in place of files), commands/ (verify, backfill, check, retire).
"""
