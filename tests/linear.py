"""Whether something costs no more than a multiple of the bytes that it is given."""

from collections.abc import Callable
from time import process_time


def assert_linear(act: Callable[[bytes], object], data_of: Callable[[int], bytes], shorter: int = 15_000) -> None:
    """Twice the bytes cost at most 2.5 times the CPU. `data_of`: data of a length. `shorter`: the lesser length."""

    def seconds(length: int) -> float:
        data = data_of(length)
        took = []
        # The collector of cycles may come in between.
        for _ in range(3):
            began = process_time()
            act(data)
            took.append(process_time() - began)
        return min(took)

    # What is quadratic takes a second and more at this length.
    assert seconds(2 * shorter) <= 2.5 * seconds(shorter) + 0.1
