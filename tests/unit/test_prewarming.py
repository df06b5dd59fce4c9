"""Prewarming goes on whatever happens to one turn of it."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.caching import prewarming


class Faulty:
    """Stands for the figures of all customers, which have a fault."""

    def __init__(self) -> None:
        self.asked = 0

    def keep(self, _kept: range) -> None:
        self.asked += 1
        raise ValueError("a fault of ours")


async def poll() -> None:
    """Nothing has changed."""


def test_a_fault_is_told_and_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prewarming, "_POLL_SECONDS", 0)
    figures = Faulty()
    feed = SimpleNamespace(poll=poll, invalidations=SimpleNamespace(of_everything=0))

    async def until_asked_twice() -> None:
        faulty, none = cast(Any, figures), cast(Any, None)
        task = asyncio.create_task(prewarming.keep_prewarmed(cast(Any, feed), faulty, none, none, 30))
        while figures.asked < 2:
            assert not task.done()
            feed.invalidations.of_everything += 1
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(until_asked_twice())
    said = capsys.readouterr().out
    assert "prewarming_failed" in said
    assert "a fault of ours" in said
