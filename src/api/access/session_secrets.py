"""The secrets that sign sessions: a private file with one a line. The first one signs, the second one still counts."""

import secrets

MIN_CHARACTERS = 32
MAX_SECRETS = 2


def decode(content: bytes) -> tuple[str, ...]:
    """The secrets of a file, the one that signs first. ValueError where they are none, too many or too short."""
    found = tuple(line.strip() for line in content.decode().splitlines() if line.strip())
    if not 1 <= len(found) <= MAX_SECRETS:
        raise ValueError(f"it has {len(found)} secrets: allowed are 1 and {MAX_SECRETS}, a line each")
    if min(map(len, found)) < MIN_CHARACTERS:
        raise ValueError(f"a secret has less than {MIN_CHARACTERS} characters")
    return found


def new_secret() -> bytes:
    """A line for the file, without a newline."""
    return secrets.token_urlsafe(32).encode()
