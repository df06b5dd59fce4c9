"""Follows the log, and stores its requests, their counts and the ledger. Imports request_log, storage and service.

source       collects: hands on chunks of whole lines with their position        collector, tail
parse        a chunk at a time                                                    chunk
log_handler  stores each batch; after each look its counts, then the ledger       counting, retry
dataflow     puts these together
run          starts it where the ledger is                                        followed_logs
verify       checks the store against the log
"""
