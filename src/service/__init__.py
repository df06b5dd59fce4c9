"""Owns what the process of every service needs: checked settings, structured log lines and their files, private files,
the version.

Does not own any service's settings or events, and imports nothing of the project.
"""
