"""Follows the log, and stores its requests, their counts and the ledger. Imports request_log, storage and service.

source       collects: hands on chunks of whole lines with their position    tail, fingerprint
parse        a chunk at a time; divides it among the writers
log_handler  stores each batch; at an epoch's end the counts, then the ledger   tally, retry
dataflow     puts these together
"""
