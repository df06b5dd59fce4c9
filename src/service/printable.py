"""Text from outside, made safe for a terminal: a log, or the name of a file, may hold control sequences."""


def printable(text: str, kept: str = "") -> str:
    """The text with escapes in the place of characters that cannot be printed, such as `\\x1b`; those `kept` stay."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in kept
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )
