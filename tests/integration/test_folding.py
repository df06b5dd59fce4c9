"""Names of customers that somebody makes up: the real ones are told apart, and the others are counted together."""

import re
import signal
from datetime import date, datetime, timedelta, timezone

from asking import answer, response
from pipeline import Pipeline
from rollups.counters import pack
from rollups.counts import DailyKey
from rollups.groups import OTHER
from rollups.rows import encode_daily
from stored_rows import counts
from stores import Store


def line_of(customer: str, day: date, duration: str = "0.1") -> bytes:
    return f"{day} 00:00:05 {customer} /orders 200 {duration}\n".encode()


def test_customers_beyond_the_bound_are_counted_together(pipeline: Pipeline, store: Store) -> None:
    today = datetime.now(timezone.utc).date()
    yesterday = today - timedelta(days=1)
    pipeline.append(line_of("known", yesterday))
    pipeline.start(NEW_CUSTOMERS_A_DAY="2")
    pipeline.until_stored()
    made_up = [f"made_up_{number}" for number in range(20)]
    pipeline.append(b"".join(line_of(name, today) for name in [OTHER, "\\(other)"]))
    pipeline.until_stored()
    pipeline.append(b"".join(line_of(name, today) for name in made_up))
    pipeline.until_stored()
    assert pipeline.end(signal.SIGKILL) == -signal.SIGKILL
    pipeline.append(b"".join(line_of(name, today) for name in [*made_up, "known", OTHER]))
    # The bound is another one, and what is folded stays so.
    pipeline.start(NEW_CUSTOMERS_A_DAY="100")
    pipeline.until_stored()
    pipeline.until_rolled_up()
    assert pipeline.said().count(f"event=customers_folded date={today}") == 1

    of_day = f"from_date={today}"
    assert answer(store, f"/customers/stats?{of_day}")["total_requests"] == 44
    listed = {one["customer_id"]: one["total_requests"] for one in answer(store, f"/customers?{of_day}")["customers"]}
    assert listed == {OTHER: 40, "\\(other)": 2, "\\\\(other)": 1, "known": 1}
    for url in ("series?interval=hour&from=", "paths?from_date="):
        answered = answer(store, f"/customers/{OTHER}/{url}{today}")
        (found,) = answered["points"] if "points" in answered else answered["paths"]
        assert found["total_requests"] == 40

    # A customer that is told apart today, one that is not, and one that is folded on all days.
    assert "folded_days" not in answer(store, "/customers/stats?customer_id=%5C%28other%29&from_date=" + str(today))
    assert "folded_days" not in answer(store, f"/customers/known/stats?{of_day}")
    unknown = response(store, "/customers/made_up_7/stats")
    assert unknown.status_code == 404
    assert f"its requests may be in {OTHER}" in unknown.json()["detail"]
    pipeline.append(line_of("late", yesterday) + line_of("late", today))
    pipeline.until_stored()
    assert answer(store, "/customers/late/stats")["folded_days"] == [str(today)]
    assert answer(store, "/customers/late/stats?percentiles=50")["folded_days"] == [str(today)]

    # The name of a stored request is not escaped.
    real = answer(store, "/customers/requests?customer_id=%5C%28other%29")["requests"]
    assert len(real) == 2
    assert answer(store, f"/customers/{OTHER}/requests")["requests"] == []
    assert response(store, f"/customers/{OTHER}/series?interval=minute&from={today}").status_code == 422

    pipeline.until_rolled_up()
    verified = pipeline.run("verify")
    assert verified.stdout.startswith("All agree: lines 47, requests 47,"), verified.stdout
    assert f"On {today} too many customers were new" in verified.stdout


def test_verify_finds_that_a_folded_request_is_not_counted(pipeline: Pipeline) -> None:
    today = datetime.now(timezone.utc).date()
    pipeline.append(b"".join(line_of(f"cust_{number}", today) for number in range(4)))
    pipeline.start(NEW_CUSTOMERS_A_DAY="1")
    pipeline.until_stored()
    assert pipeline.end() == 0
    storage = pipeline.open_storage()
    storage.acquire()
    key = DailyKey(OTHER, (today - date(1970, 1, 1)).days)
    storage.write({key: encode_daily(pack(counts({200: 2}, {100: 2}), commit=1)._replace(first=1))})
    storage.close()
    verified = pipeline.run("verify")
    assert verified.returncode == 1
    assert re.search(rf"\(other\) +{today} +total_requests +3 +2\n", verified.stdout), verified.stdout
