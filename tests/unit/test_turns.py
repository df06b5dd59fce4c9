"""Turns of questions: who has the next one, and who is refused."""

import asyncio
from collections.abc import Callable

import pytest
from fastapi import HTTPException

from api.questions.turns import Turns


class Asked:
    """Questions of callers, one of which is answered at a time."""

    def __init__(self, max_waiting: int) -> None:
        self._turns = Turns(1, max_waiting)
        self._end: Callable[[], None]
        self.answered: list[str] = []
        """Callers, in the order in which their questions had turns."""

    async def ask(self, caller: str) -> "asyncio.Task[None]":
        """A question that has its turn, waits for it, or is refused."""
        question = asyncio.create_task(self._question(caller))
        await self._settle()
        return question

    async def _question(self, caller: str) -> None:
        async with self._turns.turn(caller):
            self.answered.append(caller)
            end = asyncio.get_running_loop().create_future()
            self._end = lambda: None if end.done() else end.set_result(None)
            await end

    async def _settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def end(self) -> None:
        """End the question that is being answered."""
        self._end()
        await self._settle()


async def test_callers_have_turns_one_after_the_other() -> None:
    asked = Asked(100)
    questions = [await asked.ask(caller) for caller in "aaaaabcb"]
    for _ in questions:
        await asked.end()
    assert "".join(asked.answered) == "aabcabaa"


async def test_where_too_many_wait_the_caller_with_most_is_refused() -> None:
    asked = Asked(3)
    of_a = [await asked.ask("a") for _ in range(4)]
    with pytest.raises(HTTPException) as refused:
        await (await asked.ask("a"))
    assert refused.value.status_code == 503
    of_b = await asked.ask("b")
    with pytest.raises(HTTPException, match="3 questions that take long are waiting already"):
        await of_a[-1]
    for question in (of_a[0], of_a[1], of_b, of_a[2]):
        await asked.end()
        await question
    assert "".join(asked.answered) == "aaba"


@pytest.mark.parametrize("ends_first", [False, True])
async def test_a_question_whose_client_has_left_takes_no_turn(ends_first: bool) -> None:
    asked = Asked(100)
    await asked.ask("a")
    leaving, staying = await asked.ask("b"), await asked.ask("c")
    if ends_first:
        # It has the turn when it is cancelled.
        asked._end()
        await asyncio.sleep(0)
    leaving.cancel()
    await asked.end()
    assert "".join(asked.answered).endswith("c")
    await asked.end()
    await staying
    assert leaving.cancelled()
    await asked.ask("a")
    assert asked.answered[-1] == "a"
