"""Owns who is asking: the key, the session or the proxy of a request, the site of its page, and limits of callers. Does
not own what keys are (`service.access`), or whose data an answer has (`api.questions`)."""
