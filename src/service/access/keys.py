"""Keys: `rs_<id>_<secret>`, of which only the SHA-256 is kept. A secret of 256 random bits needs no slower hash."""

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from service.access.private_files import PrivateFile
from service.access.scopes import Scope
from service.logs import logger

_ID_BYTES = 6
_SECRET_BYTES = 32

log = logger(__name__)


def _scope(value: Any) -> Any:
    return Scope.parse(value) if isinstance(value, str) else value


class Key(BaseModel):
    """A key without its secret: a line of the keys' file."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    """Public: log lines and links have it."""
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """The SHA-256 of the whole key, in hexadecimal digits."""
    scope: Annotated[Scope, BeforeValidator(_scope), PlainSerializer(str)]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    """None: never."""
    note: str = ""
    """For people: whose key it is."""

    def is_valid(self) -> bool:
        return self.expires is None or datetime.now(timezone.utc) < self.expires

    def encode(self) -> str:
        """The line of the key, without a newline."""
        return self.model_dump_json()


class Keys:
    def __init__(self, keys: Iterable[Key] = (), damaged: Iterable[int] = ()) -> None:
        self._of_lines: dict[bytes, Key | None] = {}
        self._by_hash = {bytes.fromhex(key.hash): key for key in keys}
        self._by_id = {key.id: key for key in self._by_hash.values()}
        self._by_secret: dict[bytes, Key] = {}
        """The keys by the texts that clients sent. Hashing the text again takes a quarter of what a key costs an
        answer."""
        self.damaged = tuple(damaged)
        """The numbers of the lines that are no keys, from 1."""

    @classmethod
    def decode(cls, text: bytes, before: "Keys | None" = None) -> "Keys":
        """The keys that the lines of a file have. A damaged line costs itself alone. Keys that have one id count for
        nothing: a session names its key by the id, so that one key could show what the other one shows.

        `before`: the keys that it had before. Lines that it had then take a tenth of the time: of 80,000 keys the api
        waits for 0.2 s.
        """
        known = before._of_lines if before is not None else {}
        lines = text.splitlines()
        of_lines = {line: known[line] if line in known else decode_key(line) for line in lines}
        ids = Counter(key.id for key in of_lines.values() if key is not None)
        usable = {line: key for line, key in of_lines.items() if key is not None and ids[key.id] == 1}
        damaged = [number for number, line in enumerate(lines, 1) if line not in usable and line.strip()]
        keys = cls(usable.values(), damaged)
        keys._of_lines = of_lines
        return keys

    def by_secret(self, secret: bytes) -> Key | None:
        """The valid key that the whole text of a key belongs to."""
        key = self._by_secret.get(secret)
        if key is None and (key := self._by_hash.get(sha256(secret).digest())) is not None:
            self._by_secret[secret] = key
        return key if key is not None and key.is_valid() else None

    def by_id(self, key_id: str) -> Key | None:
        key = self._by_id.get(key_id)
        return key if key is not None and key.is_valid() else None

    def __iter__(self) -> Iterator[Key]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)


def decode_key(line: bytes) -> Key | None:
    """The key of a line; None if it has none."""
    try:
        return Key.model_validate_json(line)
    except ValidationError:
        return None


def new_key(scope: Scope, created: datetime, expires: datetime | None, note: str) -> tuple[str, Key]:
    """The whole text of a new key, which nobody can find again, and its record."""
    key_id = secrets.token_hex(_ID_BYTES)
    text = f"rs_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    key = Key(
        id=key_id, hash=sha256(text.encode()).hexdigest(), scope=scope, created=created, expires=expires, note=note
    )
    return text, key


def bearer_key(authorization: bytes) -> bytes | None:
    """The text of the key in an `Authorization` header; None for another scheme than Bearer."""
    scheme, _, text = authorization.partition(b" ")
    return text.strip() if scheme.lower() == b"bearer" else None


def keys_file(path: Path) -> PrivateFile[Keys]:
    """The keys of a file. While it is missing or unusable there are none, so that nobody may ask."""
    keys = Keys()

    def decode(content: bytes) -> Keys:
        nonlocal keys
        keys = Keys.decode(content, keys)
        log.info("keys_read", keys=len(keys))
        for number in keys.damaged:
            log.warning("key_damaged", path=str(path), line=number)
        return keys

    return PrivateFile(path, decode, Keys())
