"""What commands tell in a terminal."""

import os
import sys


def say(text: str) -> None:
    """Print lines on standard output, at once.

    Where their reader has gone, as `head` does, these and later ones are left out. Any other failure ends the program
    with status 1 and a sentence.
    """
    try:
        print(_for_terminal(text, sys.stdout.encoding), flush=True)  # noqa: T201
    except OSError as error:
        # What could not be written is still in the buffer, and the interpreter tries again at its end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            sys.exit(f"Standard output cannot be written: {error.strerror}.")


def say_error(text: str) -> None:
    """Print lines on standard error."""
    print(_for_terminal(text, sys.stderr.encoding), file=sys.stderr)  # noqa: T201


def escaped(text: str) -> str:
    """The text with escapes for what does not print: a log, and the name of a file, may hold what a terminal obeys."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def _for_terminal(text: str, encoding: str | None) -> str:
    encoding = encoding or "ascii"
    return "\n".join(map(escaped, text.split("\n"))).encode(encoding, "backslashreplace").decode(encoding)
