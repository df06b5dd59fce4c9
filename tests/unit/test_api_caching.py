"""Single flight and the loading cache: who gets which result, and how often it is made."""

import asyncio
import gc
from collections.abc import Iterator
from functools import partial

import pytest

from api.caching.invalidation_log import InvalidationLog
from api.caching.loading_cache import LoadingCache
from api.caching.single_flight import SingleFlight
from storage.change_feed import Invalidations


async def test_a_caller_gets_the_result_of_a_call_that_began_after_it_arrived() -> None:
    began: asyncio.Queue[asyncio.Future[int]] = asyncio.Queue()

    async def call() -> int:
        result = asyncio.get_running_loop().create_future()
        began.put_nowait(result)
        return await result  # type: ignore[no-any-return]

    flight = SingleFlight(call)
    early = [asyncio.create_task(flight()) for _ in range(3)]
    first = await began.get()
    late = [asyncio.create_task(flight()) for _ in range(3)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert began.empty(), "a second call runs at the same time"
    first.set_result(1)
    (await began.get()).set_result(2)
    assert await asyncio.gather(*early, *late) == [1, 1, 1, 2, 2, 2]
    assert began.empty()


async def test_an_error_reaches_the_callers_of_its_call_alone() -> None:
    results: Iterator[OSError | str] = iter([OSError("unavailable"), "available"])

    async def call() -> str:
        result = next(results)
        if isinstance(result, OSError):
            raise result
        return result

    flight = SingleFlight(call)
    for error in await asyncio.gather(flight(), flight(), return_exceptions=True):
        assert isinstance(error, OSError)
    assert await flight() == "available"


async def test_a_cancelled_caller_does_not_cancel_the_call_of_the_others() -> None:
    result = asyncio.get_running_loop().create_future()

    async def call() -> str:
        return await result  # type: ignore[no-any-return]

    flight = SingleFlight(call)
    cancelled, other = asyncio.create_task(flight()), asyncio.create_task(flight())
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.sleep(0)
    result.set_result("result")
    assert await other == "result"


async def test_the_cache_keeps_the_most_recently_used_values_up_to_its_size() -> None:
    builds: list[str] = []

    async def build(key: str) -> bytes:
        builds.append(key)
        await asyncio.sleep(0)
        return key.encode() * 10

    cache: LoadingCache[bytes] = LoadingCache(30, 60.0)
    for key in "abcab":
        assert await cache.get(key, partial(build, key)) == key.encode() * 10
    assert builds == ["a", "b", "c"]
    await cache.get("d", partial(build, "d"))
    await cache.get("a", partial(build, "a"))
    assert builds == ["a", "b", "c", "d"]
    await cache.get("c", partial(build, "c"))
    assert builds == ["a", "b", "c", "d", "c"]
    await asyncio.gather(*(cache.get("e", partial(build, "e")) for _ in range(5)))
    assert builds == ["a", "b", "c", "d", "c", "e"], "callers of one key share one build"


async def test_a_failed_build_is_repeated_for_the_next_caller() -> None:
    async def fail() -> bytes:
        raise OSError("unavailable")

    async def build() -> bytes:
        return b"built"

    cache: LoadingCache[bytes] = LoadingCache(30, 60.0)
    with pytest.raises(OSError, match="unavailable"):
        await cache.get("key", fail)
    assert await cache.get("key", build) == b"built"


async def test_a_build_that_takes_too_long_goes_on_for_later_callers() -> None:
    cache: LoadingCache[bytes] = LoadingCache(30, 0.001)
    value = asyncio.get_running_loop().create_future()
    builds = 0

    async def build() -> bytes:
        nonlocal builds
        builds += 1
        return await value  # type: ignore[no-any-return]

    with pytest.raises(asyncio.TimeoutError):
        await cache.get("key", build)
    with pytest.raises(asyncio.TimeoutError):
        await cache.get("key", build)
    value.set_result(b"built")
    await asyncio.sleep(0)
    assert await cache.get("key", build) == b"built"
    assert builds == 1


async def test_a_build_that_fails_when_nobody_waits_any_more_is_no_error_of_the_program() -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    cache: LoadingCache[bytes] = LoadingCache(30, 0.001)
    is_away = asyncio.Event()

    async def build() -> bytes:
        await is_away.wait()
        raise OSError("unavailable")

    with pytest.raises(asyncio.TimeoutError):
        await cache.get("key", build)
    is_away.set()
    await asyncio.sleep(0.01)
    gc.collect()
    assert told == []


async def test_a_call_whose_callers_are_all_cancelled_is_cancelled() -> None:
    called: list[str] = []

    async def call() -> str:
        called.append("began")
        try:
            await asyncio.sleep(0 if len(called) > 2 else 3_600)
        except asyncio.CancelledError:
            called.append("cancelled")
            raise
        return "result"

    flight = SingleFlight(call)
    callers = [asyncio.create_task(flight()) for _ in range(2)]
    await asyncio.sleep(0.01)
    waits = asyncio.create_task(flight())
    await asyncio.sleep(0)
    for caller in callers:
        caller.cancel()
    assert await waits == "result"
    assert called == ["began", "cancelled", "began"]


async def test_a_build_ends_when_all_callers_are_cancelled_but_not_before() -> None:
    ended: list[str] = []

    async def build() -> bytes:
        try:
            await asyncio.sleep(3_600)
        finally:
            ended.append("ended")
        return b""

    cache: LoadingCache[bytes] = LoadingCache(100, 30.0)
    first, second = asyncio.create_task(cache.get("key", build)), asyncio.create_task(cache.get("key", build))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0.01)
    assert not ended
    second.cancel()
    await asyncio.sleep(0.01)
    assert ended

    async def build_at_once() -> bytes:
        return b"value"

    assert await cache.get("key", build_at_once) == b"value"


def test_of_too_many_customers_the_half_that_changed_first_is_stale() -> None:
    invalidations = InvalidationLog(max_customers=4)
    for number in range(5):
        invalidations.note(Invalidations({}, frozenset([f"cust_{number}"]), frozenset([7])))
    assert [invalidations.latest(f"cust_{number}") for number in range(5)] == [3, 3, 3, 4, 5]
    assert invalidations.customers_since(2) is None
    assert invalidations.customers_since(3) == ["cust_3", "cust_4"]
    assert invalidations.days_since(2) is None
    assert invalidations.days_since(4) == frozenset([7])
