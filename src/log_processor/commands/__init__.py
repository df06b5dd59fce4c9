"""The commands beside `run`: check, backfill and verify. They share only their output, and sets of byte ranges. Only
`backfill` changes the store."""
