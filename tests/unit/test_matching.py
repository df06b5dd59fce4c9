"""Matching known files with present files by their bytes alone."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from log_processor.following.matching import Known, Matching, New, Present, match

A, B, C = (b"".join(b"%s%d\n" % (name, n) for n in range(5)) for name in (b"a", b"b", b"c"))
HEADER = b"#header\n"
LIVE, OTHER = "log", "log.1"


@dataclass
class Family:
    """Present files, and the bytes that were read of known files. It is the evidence."""

    files: dict[int, bytes] = field(default_factory=dict)
    """Inode -> the bytes of a present file."""
    names: dict[int, str] = field(default_factory=dict)
    """Inode -> name, if the name is not `log.1`; "" for a file without a name."""
    read: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """Generation -> inode, and all bytes of the known file from its beginning to the end of what was read."""
    closed: frozenset[int] = frozenset()
    open: frozenset[int] = frozenset()
    rotated: frozenset[int] = frozenset()
    with_copies: frozenset[int] = frozenset()
    starts: dict[int, int] = field(default_factory=dict)

    def match(self, grace_is_over: bool = True, texts_are_pending: bool = False) -> Matching:
        known = [
            Known(
                number,
                inode,
                self.starts.get(number, 0),
                len(data),
                number in self.closed,
                (1, inode) if number in self.open else None,
                has_changed=False,
                is_rotated=number in self.rotated,
                has_copy=number in self.with_copies,
            )
            for number, (inode, data) in self.read.items()
        ]
        return match(known, map(self.present, self.files), self, grace_is_over, texts_are_pending)

    def present(self, inode: int) -> Present:
        name = self.names.get(inode, OTHER)
        return Present((1, inode), len(self.files[inode]), name == LIVE, name not in (LIVE, ""), not name)

    def is_still(self, known: Known, present: Present) -> bool:
        return self._bytes(present).startswith(self.read[known.number][1])

    def holds(self, known: Known, present: Present) -> bool:
        return known.offset > 0 and self._bytes(present).startswith(self.read[known.number][1])

    def ends_in(self, present: Present, known: Known) -> bool:
        return self.read[known.number][1].startswith(self._bytes(present))

    def begins(self, present: Present, other: Present, known: Known | None) -> bool:
        return self._bytes(other).startswith(self._bytes(present))

    def common(self, known: Known, present: Present) -> tuple[int, int]:
        same = _common_lines(self._bytes(present), self.read[known.number][1])
        return max(same, known.start), max(same, known.start)

    def parting(self, present: Present, other: Present) -> int:
        return _common_lines(self._bytes(present), self._bytes(other))

    def _bytes(self, present: Present) -> bytes:
        return self.files[present.at[1]]


def _common_lines(one: bytes, other: bytes) -> int:
    end = 0
    for line, same in zip(one.splitlines(keepends=True), other.splitlines(keepends=True), strict=False):
        if line != same:
            break
        end += len(line)
    return end


def found(matching: Matching) -> dict[int, int]:
    return {number: present.at[1] for number, present in matching.found.items()}


def new(matching: Matching) -> dict[int, int]:
    """Inode of a new file -> the offset from which it is read."""
    return {new.present.at[1]: new.start for new in matching.new}


def copies(matching: Matching) -> dict[int, int]:
    """Inode of a copy -> the inode, or the generation, of its original."""
    return {file.at[1]: of if isinstance(of, int) else of.at[1] for file, of in matching.copies}


class TestSituations:
    def test_nothing_has_happened(self) -> None:
        matching = Family({7: A + B}, {7: LIVE}, {0: (7, A)}).match()
        assert matching == Matching({0: Present((1, 7), len(A + B), True, False)})

    def test_renamed_and_made_anew(self) -> None:
        matching = Family({7: A, 8: B}, {8: LIVE}, {0: (7, A)}).match()
        assert (found(matching), new(matching)) == ({0: 7}, {8: 0})

    def test_renamed_several_times_while_it_was_not_followed(self) -> None:
        matching = Family({7: A, 8: B, 9: C}, {9: LIVE}, {0: (7, A)}).match()
        assert (found(matching), new(matching)) == ({0: 7}, {8: 0, 9: 0})

    def test_copytruncate(self) -> None:
        matching = Family({7: C, 8: A + B}, {7: LIVE}, {0: (7, A)}).match()
        assert found(matching) == {0: 8}
        assert matching.new == [New(Present((1, 7), len(C), True, False), 0, instead_of=0)]

    def test_copytruncate_with_the_same_header(self) -> None:
        matching = Family({7: HEADER + C, 8: HEADER + A}, {7: LIVE}, {0: (7, HEADER + A)}).match()
        assert (found(matching), new(matching)) == ({0: 8}, {7: 0})

    def test_truncated_without_a_copy(self) -> None:
        matching = Family({7: C}, {7: LIVE}, {0: (7, A)}).match()
        assert (found(matching), new(matching), matching.missing) == ({}, {7: 0}, [0])

    def test_a_copy_may_still_be_unpacked(self) -> None:
        matching = Family({7: C}, {7: LIVE}, {0: (7, A)}).match(texts_are_pending=True)
        assert (new(matching), matching.is_undecided) == ({}, True)

    def test_cut_at_its_end(self) -> None:
        family = Family({7: A + C}, {7: LIVE}, {0: (7, A + B)})
        assert family.match(grace_is_over=False).is_undecided
        assert new(family.match()) == {7: len(A)}

    def test_rsync_and_editors_put_a_copy_in_its_place(self) -> None:
        matching = Family({8: A + B}, {8: LIVE}, {0: (7, A)}).match()
        assert (found(matching), new(matching)) == ({0: 8}, {})

    def test_the_file_that_a_copy_was_put_in_the_place_of_is_open_and_goes_on(self) -> None:
        family = Family({7: A + B, 8: A + C}, {7: "", 8: LIVE}, {0: (7, A)}, open=frozenset({0}))
        matching = family.match()
        assert (found(matching), new(matching)) == ({0: 7}, {8: len(A)})
        assert matching.new[0].after == 0

    def test_a_copy_in_the_place_of_an_unread_file(self) -> None:
        matching = Family({7: A, 8: A + C}, {7: "", 8: LIVE}, {0: (7, b"")}, open=frozenset({0})).match()
        assert new(matching) == {8: len(A)}

    def test_gzip(self) -> None:
        """A compressed file is compared by its text."""
        assert found(Family({9: A}, {}, {0: (7, A)}).match()) == {0: 9}
        assert copies(Family({7: A, 9: A}, {}, {0: (7, A)}).match()) == {9: 7}

    def test_a_backup_of_the_log(self) -> None:
        assert copies(Family({7: A + B, 8: A}, {7: LIVE}, {0: (7, A + B)}).match()) == {8: 7}

    def test_a_copy_in_progress(self) -> None:
        assert copies(Family({7: A + B, 8: A[:7]}, {7: LIVE}, {0: (7, A)}).match()) == {8: 7}

    def test_a_copy_at_the_logs_path_in_progress(self) -> None:
        family = Family({7: A + B, 8: A}, {7: "", 8: LIVE}, {0: (7, A)}, open=frozenset({0}))
        matching = family.match(grace_is_over=False)
        assert (new(matching), matching.is_undecided) == ({}, True)
        assert new(family.match()) == {8: len(A)}

    def test_a_log_that_begins_like_a_file_that_was_compressed_is_new(self) -> None:
        """The file has lost its name, and is still open."""
        family = Family({7: HEADER + A, 8: HEADER, 9: HEADER + A}, {7: "", 8: LIVE}, {0: (7, HEADER + A)})
        family.open = frozenset({0})
        assert (copies(family.match()), new(family.match())) == ({9: 7}, {8: 0})
        del family.files[9]
        family.with_copies = frozenset({0})
        assert new(family.match()) == {8: 0}

    def test_a_copy_of_a_file_that_is_gone(self) -> None:
        assert copies(Family({7: C, 8: A}, {7: LIVE}, {0: (7, A + B)}).match()) == {8: 0}

    def test_a_copy_that_went_its_own_way(self) -> None:
        matching = Family({7: A + B, 8: A + C}, {7: LIVE}, {0: (7, A)}).match()
        assert (found(matching), new(matching)) == ({0: 7}, {8: len(A)})

    def test_a_copy_that_has_more_than_was_seen_of_its_file(self) -> None:
        """The file may have grown while the copy was read."""
        family = Family({7: A, 8: A + B}, {}, {0: (7, A)})
        matching = family.match(grace_is_over=False)
        assert (found(matching), new(matching), matching.is_undecided) == ({0: 7}, {}, True)
        family.files[7] = A + B
        assert copies(family.match()) == {8: 7}

    def test_files_that_share_less_than_was_read(self) -> None:
        matching = Family({7: HEADER + A, 8: HEADER + C}, {7: LIVE}, {0: (7, HEADER + A)}).match()
        assert new(matching) == {8: 0}

    def test_headers_alone(self) -> None:
        """Rotation made room for the log. So the log is new, though it begins like the rotated file."""
        matching = Family({7: HEADER + A, 8: HEADER}, {8: LIVE}, {0: (7, HEADER)}).match()
        assert (found(matching), new(matching)) == ({0: 7}, {8: 0})

    def test_an_inode_that_another_file_has_got(self) -> None:
        matching = Family({7: C}, {7: LIVE}, {0: (7, A)}, closed=frozenset({0})).match()
        assert (found(matching), new(matching), matching.missing) == ({}, {7: 0}, [])

    def test_the_inode_of_a_rotated_file_that_the_next_log_has_got(self) -> None:
        """The file was deleted while nobody followed it. Both begin with the same header."""
        family = Family({7: HEADER + C}, {7: LIVE}, {0: (7, HEADER + A)}, rotated=frozenset({0}))
        assert (found(family.match()), new(family.match())) == ({}, {7: 0})

    def test_a_closed_file_has_grown(self) -> None:
        assert found(Family({7: A + B}, {}, {0: (7, A)}, closed=frozenset({0})).match()) == {0: 7}

    def test_a_copy_with_the_inode_of_an_older_file(self) -> None:
        family = Family(
            {7: A + B + C}, {7: LIVE}, {0: (7, A), 1: (8, A + B)}, closed=frozenset({0}), starts={1: len(A)}
        )
        assert found(family.match()) == {1: 7}

    def test_a_file_is_gone(self) -> None:
        assert Family({}, {}, {0: (7, A), 1: (8, B)}, closed=frozenset({1})).match().missing == [0]

    def test_copies_of_two_unread_files_are_one_file(self) -> None:
        """A file and the copy that took its place are both gone, and two other copies are there."""
        heads = Family({8: A, 9: A}, {}, {0: (7, b""), 1: (8, b"")})
        assert found(heads.match()) == {1: 8}
        assert copies(heads.match()) == {9: 8}

    def test_the_same_bytes_under_another_inode_are_the_known_file(self) -> None:
        """The bytes cannot tell whether they were written twice, so a rule decides."""
        assert found(Family({8: A + B}, {8: LIVE}, {0: (7, A)}).match()) == {0: 8}


Kept = st.sampled_from(["kept", "gone", "nameless", "truncated", "put", "copied", "copied and truncated"])


@st.composite
def families(draw: st.DrawFn) -> tuple[Family, list[bytes]]:
    """A family of files, and the lines that were read.

    Each line is written once, except the header. Some lines of each file are read. Then each file is kept, lost, copied
    or changed, and may grow.
    """
    family = Family()
    lines = iter(b"line %d\n" % number for number in range(1_000))
    inodes = iter(range(1, 100))

    def more(least: int = 0) -> bytes:
        return b"".join(next(lines) for _ in range(draw(st.integers(least, 3))))

    header = draw(st.sampled_from([b"", HEADER]))
    read: list[bytes] = []
    for number in range(draw(st.integers(0, 3))):
        inode = next(inodes)
        data = header + more(1)
        seen = b"".join(data.splitlines(keepends=True)[: draw(st.integers(0, data.count(b"\n")))])
        # A known file was read beyond its header, because the header alone cannot tell files apart.
        if len(seen) > len(header):
            read += seen.splitlines()
            family.read[number] = inode, seen
        whole = data + more()
        kept = draw(Kept)
        if kept in ("kept", "copied", "nameless"):
            family.files[inode] = whole
        if kept == "nameless":
            family.names[inode] = ""
            family.open |= {number} if number in family.read else set()
        if kept in ("truncated", "copied and truncated"):
            family.files[inode] = header + more(1)
        if kept in ("put", "nameless"):
            family.files[next(inodes)] = whole + more()
        elif kept == "copied and truncated":
            family.files[next(inodes)] = whole
        elif kept == "copied":
            length = draw(st.integers(len(header) + 1, len(whole)))
            family.files[next(inodes)] = whole[:length]
    for _ in range(draw(st.integers(0, 2))):
        family.files[next(inodes)] = header + more(1)
    nameless_without_a_number = [
        inode for inode, name in family.names.items() if inode not in {known for known, _ in family.read.values()}
    ]
    for inode in nameless_without_a_number:
        # A file without a name is there only if it is open.
        del family.files[inode], family.names[inode]
    # The log is a file that has no copy beside it.
    alone = [
        inode
        for inode, data in family.files.items()
        if family.names.get(inode) is None
        and not any(other != inode and _share(data, others) for other, others in family.files.items())
    ]
    if draw(st.booleans()) and alone:
        family.names[draw(st.sampled_from(alone))] = LIVE
    family.closed = frozenset(number for number in family.read if number not in family.open and draw(st.booleans()))
    return family, read


def _share(first: bytes, second: bytes) -> bool:
    """Whether two files have more in common than the header."""
    return bool({*first.splitlines()} & {*second.splitlines()} - {HEADER.strip()})


@given(families(), st.booleans(), st.booleans())
def test_each_line_is_read_once(
    drawn: tuple[Family, list[bytes]], grace_is_over: bool, texts_are_pending: bool
) -> None:
    family, read = drawn
    matching = family.match(grace_is_over, texts_are_pending)
    times = Counter(read)
    offsets = {present.at[1]: len(family.read[number][1]) for number, present in matching.found.items()} | new(matching)
    assert len(offsets) == len(matching.found) + len(matching.new), "a file is read under one number"
    for inode, offset in offsets.items():
        times.update(family.files[inode][offset:].splitlines())
    # Half a line is the end of an unfinished copy, and no line of its own.
    there = {line for data in family.files.values() for line in data.splitlines(keepends=True) if line.endswith(b"\n")}
    for line in {line.rstrip(b"\n") for line in there} - {HEADER.strip()}:
        assert times[line] == 1 or (matching.is_undecided and not times[line]), line
    for line in set(times) - {HEADER.strip()}:
        assert times[line] <= 1, line


@given(families(), st.booleans())
def test_no_file_is_left_out(drawn: tuple[Family, list[bytes]], grace_is_over: bool) -> None:
    """Each file is known, new, a copy, or undecided. Each generation is found, missing or closed."""
    family, _ = drawn
    matching = family.match(grace_is_over)
    known = set(found(matching).values()) | set(new(matching)) | set(copies(matching))
    assert known == set(family.files) or matching.is_undecided
    assert set(family.read) == set(matching.found) | set(matching.missing) | family.closed
