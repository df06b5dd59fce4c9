"""Sessions of the page: a signed cookie that names a key. The key itself is looked up at each request."""

import hashlib
import secrets
import time
from collections import Counter
from pathlib import Path

from itsdangerous import BadData, URLSafeTimedSerializer

from api.access import session_secrets
from service.access.private_files import PrivateFile

SESSION_SECONDS = 12 * 3600
"""How long a session lasts, in seconds."""
_MOST_AHEAD_SECONDS = 60
"""How far ahead of this process's clock a login may be: other replicas have clocks, too, and clocks are set back."""
_ID_BYTES = 8
"""Random bytes that tell the sessions of one second apart."""
_MAX_COOKIE = 500
"""Characters of a cookie's value."""
_MAX_CACHED = 1_000
_MAX_ENDED = 10_000
"""Sessions that were ended and have not expired. Beyond this many, the first one of the key that has most is forgotten:
the holder of one key cannot have those of others forgotten."""
_NO_SECRETS: tuple[str, ...] = ()

_Verified = tuple[str, str, float, str]
"""The id of a key, the id of the link, or nothing, the time of the login (Unix, s), and the id of the session."""


class Sessions:
    """Signs and verifies the cookies of sessions.

    A cookie is of one link, or of none: it does not count elsewhere. Verified cookies are cached, because a signature
    takes 40 us.
    """

    def __init__(self, path: Path) -> None:
        """`path`: the file with the secrets."""
        self._file = PrivateFile(path, session_secrets.decode, _NO_SECRETS)
        self._secrets = _NO_SECRETS
        self._serializer: URLSafeTimedSerializer | None = None
        self._verified: dict[str, _Verified] = {}
        self._ended: dict[_Verified, None] = {}
        """The one that was ended first comes first. The texts of one cookie can differ, so what it says is kept."""

    def issue(self, key_id: str, link: str) -> str | None:
        """The value of a new cookie. None while the secrets are unusable. `link`: the id of the link; empty: none."""
        serializer = self._current()
        return serializer.dumps([key_id, link, secrets.token_hex(_ID_BYTES)]) if serializer is not None else None

    def key_id(self, cookie: str, link: str) -> str | None:
        """The id of the key that a valid cookie names."""
        found = self._session(cookie)
        if found is None or found in self._ended:
            return None
        key_id, of_link, began, _ = found
        is_valid = of_link == link and -_MOST_AHEAD_SECONDS <= time.time() - began < SESSION_SECONDS
        return key_id if is_valid else None

    def end(self, cookie: str, link: str) -> None:
        """Have a cookie of a link, or of none, count no more in this process, whoever has a copy of it."""
        found = self._session(cookie)
        # On plain HTTP both cookies have one name, and a browser sends that of `/` to links as well.
        if found is not None and found[1] == link:
            self._ended[found] = None
            if len(self._ended) > _MAX_ENDED:
                ((key_id, _),) = Counter(ended[0] for ended in self._ended).most_common(1)
                del self._ended[next(ended for ended in self._ended if ended[0] == key_id)]

    def _session(self, cookie: str) -> _Verified | None:
        serializer = self._current()
        found = self._verified.get(cookie)
        if found is None:
            found = _verify(serializer, cookie)
            if found is None:
                return None
            if len(self._verified) >= _MAX_CACHED:
                self._verified.clear()
            self._verified[cookie] = found
        return found

    def _current(self) -> URLSafeTimedSerializer | None:
        found = self._file.content()
        if found is not self._secrets:
            self._secrets = found
            self._verified.clear()
            self._serializer = _serializer(found) if found else None
        return self._serializer


def _serializer(texts: tuple[str, ...]) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        # It signs by the last one.
        list(reversed(texts)),
        salt="request-statistics.session",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )


def _verify(serializer: URLSafeTimedSerializer | None, cookie: str) -> _Verified | None:
    if serializer is None or len(cookie) > _MAX_COOKIE:
        return None
    try:
        (key_id, link, session_id), began = serializer.loads(cookie, return_timestamp=True)
    except (BadData, ValueError, TypeError):
        return None
    return key_id, link, began.timestamp(), session_id
