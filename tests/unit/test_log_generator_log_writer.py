"""How log_generator cuts what it appends."""

from hypothesis import given
from hypothesis import strategies as st

from log_generator.log_writer import pieces

LINES = st.lists(st.binary(max_size=80).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=40)


@given(lines=LINES, position=st.integers(0, 1000), page=st.integers(16, 128))
def test_each_piece_is_whole_lines_of_one_page_or_the_one_line_that_crosses_into_the_next(
    lines: list[bytes], position: int, page: int
) -> None:
    data = b"".join(lines)
    parts = list(pieces(data, position, page))
    assert b"".join(parts) == data
    for part in parts:
        assert part.endswith(b"\n")
        last = position + len(part) - 1
        assert position // page == last // page or part.count(b"\n") == 1
        position += len(part)
