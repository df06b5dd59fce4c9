"""The commands beside `run`: check, backfill and verify. They share only their output. Only `backfill` changes the
store."""
