"""Lines for tests: valid ones of the last days, repeatable by a seed."""

import random
import time

CUSTOMERS = ["cust_1", "cust_2", "cust_3", 'quo"te', "com,ma", "eq=ual", "back\\slash\\", "ünï", "a/b"]


def valid_lines(count: int, days: int = 3, seed: int = 1, customers: list[str] | None = None) -> bytes:
    """`count` valid lines at random times of the last `days` days, of the given customers."""
    pick = random.Random(seed)
    now = int(time.time())
    names = CUSTOMERS if customers is None else customers
    return "".join(
        f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(now - pick.randrange(days * 86_400)))}"
        f" {pick.choice(names)} /api/v1/resource{pick.randrange(9)} {pick.choice([200, 200, 301, 404, 500])}"
        f" {pick.lognormvariate(-2, 1):.{pick.choice([0, 1, 3, 3, 3, 4, 6])}f}\n"
        for _ in range(count)
    ).encode()
