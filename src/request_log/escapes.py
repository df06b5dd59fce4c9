"""What web servers write instead of bytes that would end a field or a line."""

import re

# nginx writes \x22, Apache also \".
_ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|(["\\]))')


def unescaped(text: str) -> str:
    """The text as it was before it was logged, if that was text."""
    if "\\" not in text:
        return text
    data = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]) if match[1] else match[2], text.encode())
    try:
        found = data.decode()
    except UnicodeDecodeError:
        return text
    return found if found.isprintable() else text
