"""The torture run: a busy log, rotated at random; a processor, killed at random; a store behind a bad network.

log      writes lines and rotates
truth    what has to be in the store, from the log's files
victim   the processor and the store it writes to
run      puts these together, and compares
"""
