"""What a request's path is counted under: without what differs from request to request."""

import re

ID = "{id}"
REST = "…"
MAX_SEGMENTS = 10
MAX_LENGTH = 120

# Digits; a UUID; hexadecimal from 16 digits; letters and digits together from 20 (ULID, KSUID, Mongo, Base64 tokens).
_IDENTIFIER = re.compile(
    r"[0-9]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}|(?=[^/]*[0-9])(?=[^/]*[a-z])[0-9a-z_-]{20,}",
    re.ASCII | re.IGNORECASE,
)
_ENDS_PATH = re.compile(r"[?#]")


def path_template(path: str) -> str:
    """`/users/123/orders?page=2` -> `/users/{id}/orders`.

    Query and fragment are left out. A segment that is an identifier becomes `{id}`: digits alone, a UUID, 16 or more
    hexadecimal digits, or 20 or more ASCII letters and digits (with `-` and `_` among them) that has both. What is
    beyond ten segments or 120 characters becomes `…`. The template of a template is itself.
    """
    segments = _ENDS_PATH.split(path, maxsplit=1)[0].split("/")
    # The first is what stands before the first slash: mostly nothing.
    named = [ID if _IDENTIFIER.fullmatch(segment) else segment for segment in segments[: MAX_SEGMENTS + 1]]
    text = "/".join([*named, REST] if len(segments) > MAX_SEGMENTS + 1 else named)
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + REST
