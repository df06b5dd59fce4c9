"""A roll-up that is added to another one has the same counts there."""

import random

import parsed_log
from log_processor.counting.buffer import Buffer
from parsed_log import parsed_line
from rollups.counts import RollupRow
from rollups.delta import RollupDelta
from rollups.figures import figures
from rollups.groups import decode_names, empty, histograms_by_method, sizes_of_endpoints
from rollups.refolding import Refolding
from rollups.rules import Rules

RULES = Rules(paths=200)


def row_of(seed: int) -> RollupRow:
    """Of requests to 100 paths by two methods, and with a size or without."""
    pick = random.Random(seed)
    lines = [
        parsed_line(n, "a", f"/p{seed}-{pick.randrange(100)}", 200, "0.1", pick.choice(["GET", "PUT"]), size)
        for n, size in enumerate(pick.choices([None, 0, 7, 10**12], k=2_000))
    ]
    buffer = Buffer()
    buffer.take(parsed_log.parse(b"".join(lines)).requests.to_count())
    delta = RollupDelta(buffer.customers(), buffer.endpoints(), rules=RULES)
    (row,) = (
        row
        for of_row in delta.divided(buffer.parts)
        if of_row.key.kind == "endpoints" and of_row.key.group < 2_048
        for row in delta.add(of_row, empty("endpoints"), 1)
    )
    return row


def test_methods_and_sizes_move_with_their_counts_into_a_row_that_grows_wide() -> None:
    one, other = row_of(1), row_of(2)
    (together,) = Refolding([one], rules=RULES).add(other, 2)
    assert together.endpoint_bits == 16
    assert len(decode_names(together.names)["a"]) > 300
    sizes = {**sizes_of_endpoints([one], "a"), **sizes_of_endpoints([other], "a")}
    assert sizes_of_endpoints([together], "a") == sizes
    found = {endpoint: figures(of_one) for endpoint, of_one in histograms_by_method([together], "a").items()}
    assert found == {
        endpoint: figures(of_one)
        for row in (one, other)
        for endpoint, of_one in histograms_by_method([row], "a").items()
    }
