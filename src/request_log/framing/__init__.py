"""Finds the lines in the bytes of a file: the order of parts, what a container or syslog puts around a line. Does not
know what a line says."""
