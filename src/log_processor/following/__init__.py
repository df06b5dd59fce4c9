"""Follows logs: each is a family of files, and each file is read once, to its end, whatever it is called.

A line's way from its file to a chunk, from the top:

log_files      which logs there are, by paths and globs
followed_logs  all of them, and those that wait in the spool
waiting        notices what happens to their files
family         one log: which files it has, and what becomes of them
handed_in      a log in the spool: one file, which does not grow
file           a file with a number: how far it is read
roots          which files may be read, where links lead
names          which names are those of a log's files
owners         which log a file is of that several find
matching       which present files are the known ones. Pure
identity       tells a file from every other by its bytes
present        the files that are there, and what their bytes say
compressed     the text of compressed files
reader         reads one file on
collector      puts lines of all files together in chunks
clock          the time, which a test may let pass
"""
