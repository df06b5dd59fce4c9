"""Text from outside, made safe for a terminal: a log, or the name of a file, may hold control sequences."""


def sentence(error: OSError) -> str:
    """What is wrong with which file, as far as the error names one."""
    told = f"{error.filename} cannot be used: {error.strerror}." if error.filename is not None else f"{error.strerror}."
    return printable(told)


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
