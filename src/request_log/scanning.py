"""How texts in quotation marks are found, in time that is proportional to their length."""


def closing_quote(text: str, start: int) -> int:
    """Where the quotation mark is that ends the text which begins at `start`; -1 where there is none. One behind an odd
    number of backslashes ends nothing."""
    while True:
        end = text.find('"', start)
        before = text[start:end]
        if end < 0 or (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return end
        start = end + 1
