"""The change feed: what the intents of commits say has changed."""

from storage.change_feed import Cursor, Cursors, Invalidations, invalidations
from storage.ledger import Intent, StoredIntent, encode_intent


def intent(
    number: int,
    customers: str | None = "",
    days: range = range(0),
    place: int = 0,
    token: int = 7,
    writer: str = "main",
) -> StoredIntent:
    """An intent. Each letter of `customers` names one."""
    names = None if customers is None else tuple(customers)
    row = encode_intent(Intent(number, token, (), 0, 0, 0, customers=names, days=tuple(days)))
    return StoredIntent(writer, place or number * 10, number, row)


def main(number: int, place: int, token: int = 7) -> Cursors:
    return {"main": Cursor(number, place, token)}


def test_a_reader_without_a_cursor_gets_one_of_the_latest_commit() -> None:
    intents = [intent(1, "a"), intent(2, "b"), intent(3, "c")]
    # The third commit is not in the ledger yet.
    assert invalidations(intents, None, {"main": 2}) == Invalidations(main(2, 20), None)
    assert invalidations([], None, {}) == Invalidations({}, None)


def test_the_changes_of_all_commits_since_the_cursor() -> None:
    intents = [intent(2, "z", range(1)), intent(3, "ab", range(5, 7)), intent(4, "bc", range(6, 8)), intent(5, "y")]
    found = invalidations(intents, main(2, 20), {"main": 4})
    assert found == Invalidations(main(4, 40), frozenset("abc"), frozenset({5, 6, 7}))
    assert invalidations(intents[2:], found.cursors, {"main": 4}) == Invalidations(
        main(4, 40), frozenset(), frozenset()
    )


def test_of_an_intent_that_was_written_twice_both_count_and_the_later_one_is_the_cursor() -> None:
    intents = [intent(1, "z"), intent(2, "a", range(1)), intent(2, "b", range(2), place=21, token=8)]
    assert invalidations(intents, main(1, 10), {"main": 2}) == Invalidations(
        main(2, 21, 8), frozenset("ab"), frozenset({0, 1})
    )


def test_a_missing_intent_hides_no_change() -> None:
    assert invalidations([intent(1), intent(3, "a")], main(1, 10), {"main": 3}).customers is None
    # The intent of the cursor.
    assert invalidations([intent(2, "a")], main(1, 10), {"main": 2}).customers is None
    # The intent of the last commit: the next question does not know where to begin.
    found = invalidations([intent(1)], main(1, 10), {"main": 2})
    assert found.customers is None
    assert invalidations([intent(1), intent(2), intent(3, "a")], found.cursors, {"main": 3}) == Invalidations(
        main(3, 30), None
    )


def test_a_jump_in_the_numbers_of_commits_costs_nothing() -> None:
    assert invalidations([intent(1), intent(2)], main(1, 10), {"main": 10**15}).customers is None


def test_an_intent_of_too_many_customers_may_have_changed_anyone() -> None:
    assert invalidations([intent(1), intent(2, None, range(1))], main(1, 10), {"main": 2}) == Invalidations(
        main(2, 20), None
    )


def test_a_store_that_was_put_back_hides_no_change() -> None:
    again = [intent(1), intent(2, "a", token=8), intent(3, "b", token=8)]
    for number in (1, 2, 3):
        assert invalidations(again, main(2, 20), {"main": number}).customers is None
    assert invalidations([], main(2, 20), {}).customers is None


def test_each_writer_has_a_cursor_of_its_own() -> None:
    mine = [intent(4), intent(5, "a", range(1))]
    others = [intent(1, "b", range(3, 4), writer="web"), intent(2, "c", range(4, 5), writer="web")]
    found = invalidations([*mine, *others], main(4, 40), {"main": 5, "web": 2})
    assert found.cursors == {"main": Cursor(5, 50, 7), "web": Cursor(2, 20, 7)}
    # The other writer is new, and all its intents are there.
    assert found.customers == frozenset("abc")
    assert found.days == {0, 3, 4}
    assert invalidations([*mine, others[1]], main(4, 40), {"main": 5, "web": 2}).customers is None
    # A writer that is gone has taken its counts with it.
    assert invalidations(mine, {**main(4, 40), "web": Cursor(2, 20, 7)}, {"main": 5}).customers is None
