"""Turns chunks of lines into batches of requests. Does not read files, and stores nothing."""
