"""The intents of several writers, as a reader of the change feed finds them."""

from storage.ledger import decode_intent
from stores import Store, ask, commit_daily


def test_the_intents_of_a_writer_are_found_from_a_place_on_or_the_latest_two(store: Store) -> None:
    for writer, commits in (("main", 5), ("web 1", 3), ("web-2", 1)):
        storage = store.open(writer)
        token = storage.acquire()
        for number in range(1, commits + 1):
            commit_daily(storage, {}, number, token)
        storage.close()
    everything = ask(store.open(), lambda reader: reader.intents({"main": 0, "web 1": 0, "web-2": 0, "nobody": 0}))
    assert [(one.writer, one.number) for one in everything] == [
        *(("main", number) for number in range(1, 6)),
        *(("web 1", number) for number in range(1, 4)),
        ("web-2", 1),
    ]
    assert [decode_intent(one.row).number for one in everything] == [one.number for one in everything]
    places = [one.place for one in everything if one.writer == "main"]
    assert places == sorted(set(places))
    latest = ask(store.open(), lambda reader: reader.intents({"web 1": None, "web-2": None, "nobody": None}))
    some = ask(store.open(), lambda reader: reader.intents({"main": places[3], "web 1": None}))
    assert latest == everything[-3:]
    assert some == [*everything[3:5], *everything[6:8]]
