"""Counts what is stored, by numbered commits: each request in each of its rows once, whatever crashes.

start     what a start does
commit    the order of a commit
logs      how far we are in each log
buffer    requests that are stored and not rolled up yet
counts    commits of daily rows
rollups  commits of roll-ups
rows      rows in memory
forget    how a log is taken back
pace      when to commit
limits    how much is done at once
"""
