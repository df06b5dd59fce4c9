"""Escapes: how web servers write bytes and characters that do not print, and how such characters are stored."""

import re

from request_log.line import Mended
from request_log.meanings import Cache

# nginx writes \x22, Apache also \" and \t.
_ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|(["\\])|([bnrtv]))')
_LETTERS = {b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
# Control characters are Unicode's category Cc. A surrogate stands for a byte that is not UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_BAD_BYTE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def text_of(data: bytes) -> str:
    """The text of bytes. A byte that is not UTF-8 becomes a surrogate, which `printable` writes as `\\xNN`."""
    return data.decode(errors="surrogateescape")


def closing_quote(text: str, start: int) -> int:
    """The place of the quotation mark that ends the text at `start`; -1 if there is none. A mark after an odd number
    of backslashes does not end the text."""
    while True:
        end = text.find('"', start)
        before = text[start:end]
        if end < 0 or (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return end
        start = end + 1


def unescaped(text: str) -> str:
    """The text without the escapes of a web server. For bytes that are not UTF-8 see `text_of`."""
    if "\\" not in text:
        return text
    return text_of(_ESCAPE.sub(_byte, text.encode(errors="surrogateescape")))


def printable(text: str) -> tuple[str, tuple[Mended, ...]]:
    """The text as it is stored, and what was mended: control characters, and bytes that are not UTF-8, become
    `\\xNN`."""
    return _PRINTABLE[text]


def _printable(text: str) -> tuple[str, tuple[Mended, ...]]:
    mended = []
    if _BAD_BYTE.search(text):
        mended.append(Mended.ENCODING)
    if _CONTROL.search(text):
        mended.append(Mended.CONTROL_CHARACTER)
    return (_UNPRINTABLE.sub(_escape, text) if mended else text), tuple(mended)


_PRINTABLE = Cache(_printable)


def _byte(escape: "re.Match[bytes]") -> bytes:
    if escape[1]:
        return bytes([int(escape[1], 16)])
    return escape[2] or _LETTERS[escape[3]]


def _escape(character: "re.Match[str]") -> str:
    return "".join(f"\\x{byte:02X}" for byte in character[0].encode(errors="surrogateescape"))
