"""What requests share: questions under way, and what was built before."""

import asyncio
from collections.abc import Iterator
from functools import partial

import pytest

from api.caching.loading_cache import LoadingCache
from api.caching.single_flight import SingleFlight


async def test_an_answer_goes_only_to_those_who_came_before_its_question_began() -> None:
    began: asyncio.Queue[asyncio.Future[int]] = asyncio.Queue()

    async def ask() -> int:
        answer = asyncio.get_running_loop().create_future()
        began.put_nowait(answer)
        return await answer  # type: ignore[no-any-return]

    shared = SingleFlight(ask)
    early = [asyncio.create_task(shared()) for _ in range(3)]
    first = await began.get()
    late = [asyncio.create_task(shared()) for _ in range(3)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert began.empty(), "one question at a time"
    first.set_result(1)
    (await began.get()).set_result(2)
    assert await asyncio.gather(*early, *late) == [1, 1, 1, 2, 2, 2]
    assert began.empty()


async def test_a_question_that_fails_fails_for_its_own_alone_and_is_asked_again() -> None:
    answers: Iterator[OSError | str] = iter([OSError("away"), "back"])

    async def ask() -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    shared = SingleFlight(ask)
    for failed in await asyncio.gather(shared(), shared(), return_exceptions=True):
        assert isinstance(failed, OSError)
    assert await shared() == "back"


async def test_one_who_leaves_does_not_take_the_answer_from_the_others() -> None:
    answer = asyncio.get_running_loop().create_future()

    async def ask() -> str:
        return await answer  # type: ignore[no-any-return]

    shared = SingleFlight(ask)
    leaving, staying = asyncio.create_task(shared()), asyncio.create_task(shared())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    answer.set_result("answer")
    assert await staying == "answer"


async def test_what_was_asked_for_last_is_kept_as_far_as_there_is_room() -> None:
    builds: list[str] = []

    async def build(key: str) -> bytes:
        builds.append(key)
        await asyncio.sleep(0)
        return key.encode() * 10

    built: LoadingCache[bytes] = LoadingCache(30, 60.0)
    for key in "abcab":
        assert await built.get(key, partial(build, key)) == key.encode() * 10
    assert builds == ["a", "b", "c"]
    await built.get("d", partial(build, "d"))
    await built.get("a", partial(build, "a"))
    assert builds == ["a", "b", "c", "d"]
    await built.get("c", partial(build, "c"))
    assert builds == ["a", "b", "c", "d", "c"]
    await asyncio.gather(*(built.get("e", partial(build, "e")) for _ in range(5)))
    assert builds == ["a", "b", "c", "d", "c", "e"], "those who want the same wait for one"


async def test_what_could_not_be_built_is_built_the_next_time() -> None:
    async def fail() -> bytes:
        raise OSError("away")

    async def build() -> bytes:
        return b"built"

    built: LoadingCache[bytes] = LoadingCache(30, 60.0)
    with pytest.raises(OSError, match="away"):
        await built.get("key", fail)
    assert await built.get("key", build) == b"built"


async def test_what_takes_too_long_to_build_is_built_all_the_same_for_whoever_asks_later() -> None:
    built: LoadingCache[bytes] = LoadingCache(30, 0.001)
    value = asyncio.get_running_loop().create_future()
    begun: list[str] = []

    async def build() -> bytes:
        begun.append("once")
        return await value  # type: ignore[no-any-return]

    with pytest.raises(asyncio.TimeoutError):
        await built.get("key", build)
    with pytest.raises(asyncio.TimeoutError):
        await built.get("key", build)
    value.set_result(b"built")
    await asyncio.sleep(0)
    assert await built.get("key", build) == b"built"
    assert begun == ["once"]
