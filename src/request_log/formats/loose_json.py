"""Reads an object of which some values are not JSON: `NaN`, `-`, nothing, several numbers, or strings with `\\x22`,
control characters or bytes that are not UTF-8. Takes time proportional to the length of the line.
"""

import re
from typing import Final

from request_log.fields.escapes import closing_quote, text_of

_SPACES = re.compile(r"[ \t\r\n]*")
_BARE = re.compile(r'[^,"{}\[\]]*')
# A member with a string or a bare value, and the byte after it. Most members match, and each in only one way.
_MEMBER = re.compile(r'[ \t\r\n]*"([^"\\]*)"[ \t\r\n]*:(?:[ \t\r\n]*"([^"\\]*)"[ \t\r\n]*|([^,"{}\[\]]*))([,}])')
_WHITE = " \t\r\n"
_MEMBER_OR_END = ('"', "}", ",", "")
"""What follows a comma that is not part of a bare value."""
_ESCAPES = re.compile(r"(?:\\u[0-9A-Fa-f]{4})+|(?:\\x[0-9A-Fa-f]{2})+|\\.", re.DOTALL)
_LETTERS: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}


class Bare(str):
    """A value without quotation marks, as written: a number, true, null, or a text that is not JSON."""

    __slots__ = ()


Value = str | dict[str, "Value"] | list["Value"]


def read_object(text: str) -> dict[str, Value] | None:
    """The members of an object; None if the text is no object. Of several members with one name the last counts.

    In an object, a comma that no member follows is part of a bare value.
    """
    place = _end_of_spaces(text, 0)
    if text[place : place + 1] != "{":
        return None
    root: dict[str, Value] = {}
    open_ones: list[dict[str, Value] | list[Value]] = [root]
    place += 1
    while open_ones:
        inner = open_ones[-1]
        if isinstance(inner, dict):
            place = _simple_members(text, place, inner)
        place = _end_of_spaces(text, place)
        name = ""
        if text[place : place + 1] == ("}" if isinstance(inner, dict) else "]"):
            open_ones.pop()
            place += 1
        else:
            if isinstance(inner, dict):
                end = closing_quote(text, place + 1) if text[place : place + 1] == '"' else -1
                colon = _end_of_spaces(text, end + 1)
                if end < 0 or text[colon : colon + 1] != ":":
                    return None
                name = _unescaped(text[place + 1 : end])
                place = _end_of_spaces(text, colon + 1)
            value: Value
            match text[place : place + 1]:
                case "{" | "[" as opening:
                    value = {} if opening == "{" else []
                    open_ones.append(value)
                    place += 1
                case '"':
                    end = closing_quote(text, place + 1)
                    if end < 0:
                        return None
                    value = _unescaped(text[place + 1 : end])
                    place = end + 1
                case _:
                    end = _end_of_bare(text, place, isinstance(inner, dict))
                    value = Bare(text[place:end].rstrip(_WHITE))
                    place = end
            if isinstance(inner, dict):
                inner[name] = value
            else:
                inner.append(value)
            if isinstance(value, dict | list):
                continue
        place = _end_of_spaces(text, place)
        if open_ones and text[place : place + 1] == ",":
            place += 1
        elif open_ones and text[place : place + 1] != ("}" if isinstance(open_ones[-1], dict) else "]"):
            return None
    return root if place == len(text) else None


def _simple_members(text: str, place: int, members: dict[str, Value]) -> int:
    """Add the members that `_MEMBER` matches. Returns where the first other member begins, or the object ends."""
    while match := _MEMBER.match(text, place):
        name, quoted, bare, end = match.groups()
        after = match.end()
        if end == "}":
            after -= 1
        elif quoted is None and text[(following := _end_of_spaces(text, after)) : following + 1] not in _MEMBER_OR_END:
            break
        members[name] = Bare(bare.strip(_WHITE)) if quoted is None else quoted
        place = after
        if end == "}":
            break
    return place


def _end_of_spaces(text: str, place: int) -> int:
    # Mostly there are none, and an expression costs more than a look.
    if text[place : place + 1] > " ":
        return place
    match = _SPACES.match(text, place)
    return match.end() if match else place


def _end_of_bare(text: str, place: int, is_member: bool) -> int:
    while True:
        match = _BARE.match(text, place)
        end = match.end() if match else place
        following = _end_of_spaces(text, end + 1)
        if not is_member or text[end : end + 1] != "," or text[following : following + 1] in _MEMBER_OR_END:
            return end
        place = following


def _unescaped(text: str) -> str:
    return _ESCAPES.sub(_characters, text) if "\\" in text else text


def _characters(escapes: "re.Match[str]") -> str:
    text = escapes[0]
    match text[1]:
        case "u" if len(text) > 2:
            units = b"".join(int(unit, 16).to_bytes(2, "little") for unit in text.split("\\u")[1:])
            # A lone surrogate cannot be written in UTF-8, so its bytes count as bytes that are not UTF-8.
            return text_of(units.decode("utf-16-le", "surrogatepass").encode(errors="surrogatepass"))
        case "x" if len(text) > 2:
            return text_of(bytes.fromhex(text.replace("\\x", "")))
        case letter:
            return _LETTERS.get(letter, text)
