"""The file of the keys, as services read it."""

from pathlib import Path

from service.access.keys import Keys
from service.access.private_files import PrivateFile
from service.logs import logger

log = logger(__name__)


def keys_file(path: Path) -> PrivateFile[Keys]:
    """The keys of a file. While it is missing or unusable there are none, so that nobody may ask."""

    def decode(content: bytes) -> Keys:
        keys = Keys.decode(content)
        log.info("keys_read", keys=len(keys))
        for number in keys.damaged:
            log.warning("key_damaged", path=str(path), line=number)
        return keys

    return PrivateFile(path, decode, Keys())
