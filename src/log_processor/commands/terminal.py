"""Output of commands in a terminal."""

import os
import sys
from collections.abc import Iterable, Mapping

from service.printable import printable


def say(*lines: str) -> None:
    """Print lines on standard output, and flush it. A line feed inside a line is escaped.

    If the reader has gone, as `head` does, this and all later output is dropped. After any other failure the program
    exits with status 1 and a sentence.
    """
    try:
        print(_for_terminal(lines, sys.stdout.encoding), flush=True)  # noqa: T201
    except OSError as error:
        # The text is still in the buffer, and the interpreter would try to write it again at exit.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            sys.exit(f"Standard output cannot be written: {error.strerror}.")


def say_error(line: str) -> None:
    """Print a line on standard error."""
    print(_for_terminal([line], sys.stderr.encoding), file=sys.stderr)  # noqa: T201


def by_kind(counts: Mapping[str, int]) -> str:
    """The counts by kind in parentheses, with a space before; "" if there are none."""
    listed = ", ".join(f"{kind} {count:,}" for kind, count in sorted(counts.items()))
    return f" ({listed})" if listed else ""


def _for_terminal(lines: Iterable[str], encoding: str | None) -> str:
    encoding = encoding or "ascii"
    return "\n".join(map(printable, lines)).encode(encoding, "backslashreplace").decode(encoding)
