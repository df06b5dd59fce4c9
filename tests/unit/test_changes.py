"""What the rows of commits tell."""

from storage.changes import Changes, Commit, changes, encode_changed


def test_a_row_of_an_earlier_version_hides_no_change() -> None:
    commits = [Commit(1, 0, "null"), Commit(1, 1, encode_changed([("a", 7), (None, 7)]))]
    assert changes(commits, (1, 0)) == Changes((1, 1), frozenset("a"), frozenset({7}))
    # It told the customers alone.
    commits.append(Commit(1, 2, '["b"]'))
    assert changes(commits, (1, 0)) == Changes((1, 2), None)


def test_another_run_is_followed_where_it_says_after_which_row_it_came() -> None:
    commits = [Commit(1, 5, "null"), Commit(9, 0, encode_changed([("a", 7)], (1, 5)))]
    assert changes(commits, (1, 5)) == Changes((9, 0), frozenset("a"), frozenset({7}))
    # Of the first run a row came late, which the second one did not see.
    late = Commit(1, 6, encode_changed([("b", 7)]))
    assert changes([commits[0], late, commits[1]], (1, 5)) == Changes((9, 0), None)
    assert changes([late, commits[1]], (1, 6)) == Changes((9, 0), None)
    assert changes([commits[0], Commit(9, 0, encode_changed([("a", 7)]))], (1, 5)) == Changes((9, 0), None)
