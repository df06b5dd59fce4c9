"""Owns what is counted: daily aggregates and roll-ups, their text, their histograms, and the figures of these. Pure.

The daily aggregates are here, too: they and the roll-ups consist of the same counters.

Does not own where rows are stored (`storage`) and when they are counted (`log_processor.counting`).

counts     what is counted, and the rows that hold it
columns    requests as columns of numbers
group_by   distinct numbers of a column, with counts or sums
counters   counters as text
histogram  counts as arrays
figures    uptime, latencies and their distribution
rows       rows as text
groups     roll-ups: groups of customers, endpoints, quarter hours
spans      counts of spans of quarter hours, such as the days of a time zone
rules      in which endpoints a request is counted
daily      what requests add to daily aggregates
delta      what requests add to roll-ups
refolding  what a roll-up adds to another one
"""
