"""Where requests, counts and the ledger are kept: one contract, two backends. Imports request_log, rollups and
service."""
