"""Follows the log, and stores its requests, their counts and the ledger. Imports request_log, storage and service.

source       collects: hands on chunks of whole lines with their position        collector, tail
parse        a chunk at a time                                                    chunk
log_handler  stores each batch; when an epoch ends its counts, then the ledger    uncounted, retry
dataflow     puts these together
run          starts it where the ledger is                                        followed_logs
verify       checks the store against the log
"""
