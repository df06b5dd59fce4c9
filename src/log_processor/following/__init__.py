"""Follows logs. A log is a family of files, and each file is read once, to its end, whatever it is called.

A line's way from its file to a chunk, from the top:

log_files      finds the logs, by paths and globs
followed_logs  all logs that are followed or wait in the spool
waiting        notices changes of the logs' files
family         one log: its files, and their states
search         finds the files of one log
handed_in      a log in the spool: one file, which does not grow
file           a file with a generation: how far it is read
roots          limits which files may be read through links
names          tells from a file's name which log it may belong to
owners         decides which log a file belongs to if several find it
matching       matches known files with present files. Pure
identity       tells a file from every other file by its bytes
holes          passes over holes of sparse files
present        the files that are there, and the evidence in their bytes
compressed     decompresses files
reader         reads a file on
collector      collects lines of all files in chunks
clock          the clocks, which a test can replace
"""
