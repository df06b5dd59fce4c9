"""The parameter `percentiles`."""

import re

from api.questions.validation import validation_error

MAX_PERCENTILES = 20
_PERCENTILE = r"(?:100(?:\.0{1,3})?|[1-9]\d?(?:\.\d{1,3})?|0\.(?:[1-9]\d{0,2}|0[1-9]\d?|00[1-9]))"
PATTERN = rf"^{_PERCENTILE}(?:,{_PERCENTILE}){{0,{MAX_PERCENTILES - 1}}}$"
_COMPILED = re.compile(_PERCENTILE, re.ASCII)


def parse_percentiles(text: str) -> tuple[int, ...]:
    """The distinct percentiles of a list, in thousandths, ascending: `50,99.9` is (50000, 99900).

    RequestValidationError for a percentile that is not above 0 and up to 100 or has more than 3 decimals, and for more
    than 20 percentiles.
    """
    texts = text.split(",")
    if len(texts) > MAX_PERCENTILES:
        message = f"there are {len(texts)} percentiles: ask for at most {MAX_PERCENTILES} at once"
        raise validation_error("percentiles", text, message)
    for one in texts:
        if not _COMPILED.fullmatch(one):
            message = f"'{one}' is not a percentile: a number above 0 and up to 100, with at most 3 decimals"
            raise validation_error("percentiles", text, message)
    return tuple(sorted({_thousandths(one) for one in texts}))


def format_percentile(thousandths: int) -> str:
    """A percentile as an answer names it, without trailing zeros: 99900 is `99.9`."""
    whole, rest = divmod(thousandths, 1000)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)


def _thousandths(text: str) -> int:
    whole, _, decimals = text.partition(".")
    return int(whole) * 1000 + int(decimals.ljust(3, "0"))
