"""The request log: which lines it has, and which requests they are. Reads and writes no files, and imports nothing of
ours.

bytes of a file --framing/--> lines --formats/--> fields of each line --fields/--> requests.Requests
"""
