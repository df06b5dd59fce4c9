"""Owns the contract with the stores, and the two stores: requests, rows by key, and the lease of each writer.

Does not own what a row counts (`rollups`), nor when something is stored (`log_processor`) or asked for (`api`).

contract     what every store does
errors       what a store raises
damage       damaged rows: each costs itself alone
writers      the names of writers that have a meaning of their own
requests     requests, as they are stored, read back and asked for
keys         the keys of rows
logs         how far a writer is in a log and in its files
topic_files  a partition of a topic as the files of a log
ledger       how far a writer is: ledgers and intents
rules        the rules of roll-ups, and from where on each holds
kept         which requests are stored
observed     where the end of a log was seen, and how far the store is behind it
change_feed  what commits have changed
counts       rows of counts, decoded
read_back    stored requests as columns again
owner        the owner of a lease
schema_4     what a store of the last release says of its logs
sqlite/      the embedded store
influxdb/    the store on a server
settings     which store, and where
backend      the store that the settings name
"""
