"""The access log's line: what a valid one is, how it is read and how it is written. Imports nothing of ours."""
