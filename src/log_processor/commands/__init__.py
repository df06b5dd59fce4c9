"""The commands beside `run`: check, backfill, verify and retire. They share only their output, and sets of byte ranges.
Only `backfill` and `retire` change the store."""
