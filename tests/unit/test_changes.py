"""What the rows of commits tell."""

from storage.changes import Changes, Commit, changes, encode_changed


def test_a_row_of_an_earlier_version_hides_no_change() -> None:
    commits = [Commit(1, 0, "null"), Commit(1, 1, encode_changed([("a", 7), (None, 7)]))]
    assert changes(commits, (1, 0)) == Changes((1, 1), frozenset("a"), frozenset({7}))
    # It told the customers alone.
    commits.append(Commit(1, 2, '["b"]'))
    assert changes(commits, (1, 0)) == Changes((1, 2), None)
