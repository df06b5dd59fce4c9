"""How fast it is: every part starts the real processes on fresh stores, measures, and adds to one table.

ingest     lines a second while catching up, beside what the store itself takes and what others do
freshness  from a line's append until it is in an answer; what following costs
answers    how long an answer takes
load       answers a second, beside an endpoint that only returns a constant
memory     over time, while catching up
customers  the same for few and for very many customers
formats    lines a second of each format, beside GoAccess
disk       bytes on the disk for a million requests

run        what all parts get; how sizes and stores are chosen
report     the table, and its plots
logs, processes, fresh_stores, catching_up, asking   what several parts use
ceiling, naive, telegraf, constant, load_client      what is measured beside
"""
