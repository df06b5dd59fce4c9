"""Which percentiles a question asks for."""

import re

from api.questions.validation import refusal

MOST = 20
_ONE = r"(?:100(?:\.0{1,3})?|[1-9]\d?(?:\.\d{1,3})?|0\.(?:[1-9]\d{0,2}|0[1-9]\d?|00[1-9]))"
PATTERN = rf"^{_ONE}(?:,{_ONE}){{0,{MOST - 1}}}$"
_ONE_ALONE = re.compile(_ONE, re.ASCII)


def read_percentiles(text: str) -> tuple[int, ...]:
    """The percentiles of a list such as `50,99.9`, in thousandths, each once, ascending: (50000, 99900).

    RequestValidationError where one is not above 0 and up to 100, with up to 3 decimals, or there are more than 20.
    """
    texts = text.split(",")
    if len(texts) > MOST:
        raise refusal("percentiles", text, f"there are {len(texts)} percentiles, and {MOST} can be asked for at once")
    for one in texts:
        if not _ONE_ALONE.fullmatch(one):
            message = f"'{one}' is no percentile: it is a number above 0 and up to 100, with 3 decimals at most"
            raise refusal("percentiles", text, message)
    return tuple(sorted({_thousandths(one) for one in texts}))


def write_percentile(thousandths: int) -> str:
    """A percentile as it is named in an answer: without zeros at its end."""
    whole, rest = divmod(thousandths, 1000)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)


def _thousandths(text: str) -> int:
    whole, _, decimals = text.partition(".")
    return int(whole) * 1000 + int(decimals.ljust(3, "0"))
