"""Owns counting: numbered commits that count each stored request once in each of its rows, whatever crashes.

Does not own reading lines (`following`, `parsing`) and storing requests (`storing`).

start    what a start does: it redoes a commit that was broken off
commit   the order of a commit
logs     how far the writer is in each log
journal  requests of the latest commits that are not stored
buffer   requests that are stored and not rolled up yet
folding  which customers are counted together, because too many are new
daily    commits of daily aggregates, and of how far the logs are counted
rollups  commits of roll-ups
rows     rows in memory
retire   moves the rows of a writer that ended to the archive
forget   takes a backfilled log out of the store again
pace     when to commit
limits   how much is done at once
"""
