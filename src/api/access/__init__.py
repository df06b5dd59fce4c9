"""Owns who is asking: the key, session or proxy of a request, and the command that makes keys. Does not own what keys
are (`service.access`), or whose data an answer has (`api.questions`)."""
