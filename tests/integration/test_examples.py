"""The answers in docs/examples.md are those of the api about the lines there."""

import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from asking import responses
from stores import Store

PAGE = (Path(__file__).parents[2] / "docs/examples.md").read_text()
_BLOCK = re.compile(r"^```(text|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = {
    section.partition("\n")[0]: [block for _, block in _BLOCK.findall(section)]
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
}


def shown_of(answer: Any, shown: Any) -> Any:
    """The part of an answer that a page shows: of objects only some members."""
    if isinstance(shown, dict):
        return {name: shown_of(answer[name], of_name) for name, of_name in shown.items()}
    if isinstance(shown, list):
        assert len(answer) == len(shown)
        return [shown_of(*pair) for pair in zip(answer, shown, strict=True)]
    return answer


@pytest.mark.parametrize("section", SECTIONS)
def test_the_answers_of_an_example_are_true(
    lasting_store: Store, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    log, *rest = SECTIONS[section]
    lasting_store.fill(log.encode())
    monkeypatch.setattr("api.routes.request_cache.utc_now", lambda: datetime(2026, 11, 25, 9, tzinfo=timezone.utc))
    urls = [question.removeprefix("GET ").strip() for question in rest[::2]]
    shown = [json.loads(block) for block in rest[1::2]]
    assert len(urls) == len(shown) >= 2
    for found, expected in zip(responses(lasting_store, *urls, counts_retention_days=400), shown, strict=True):
        assert found.status_code == 200, found.text
        assert shown_of(found.json(), expected) == expected
