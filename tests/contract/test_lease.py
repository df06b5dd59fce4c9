"""The lease of a writer."""

from stored_rows import OpenStorage


def test_each_lease_has_a_higher_fencing_token(open_storage: OpenStorage) -> None:
    tokens = []
    for _ in range(3):
        writing = open_storage()
        tokens.append(writing.acquire())
        writing.close()
    assert sorted(set(tokens)) == tokens
