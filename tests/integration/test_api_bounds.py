"""How long the api lets an answer take."""

import pytest

from asking import line, response, today
from stores import Store


@pytest.fixture
def store(sqlite: Store) -> Store:
    """A store with many customers."""
    sqlite.fill(b"".join(line(today(), f"cust_{number}") for number in range(2_000)))
    return sqlite


def test_a_question_that_takes_sqlite_too_long_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert response(store, "/customers").status_code == 200
    monkeypatch.setattr("storage.sqlite._QUESTION_SECONDS", 0.0)
    refused = response(store, "/customers")
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "5"
    assert refused.json()["detail"] == "SQLite store requests.sqlite: no answer within 0 s"


def test_an_answer_that_takes_too_long_is_not_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.answering._BUILDING_SECONDS", 0.0)
    refused = response(store, "/customers")
    assert refused.status_code == 503
    assert "ask again" in refused.json()["detail"]
