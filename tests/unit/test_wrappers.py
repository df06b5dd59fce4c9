"""What stands around lines: put there by a container's runtime, or by syslog."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from following import Line, Place, lines_in
from linear import assert_linear
from request_log.framing.framed import BYTE_ORDER_MARK, Framed
from request_log.framing.protocol import PLAIN, Framing
from request_log.framing.wrappers import MAX_SPAN_BYTES, WRAPPERS
from request_log.line import MAX_LINE_BYTES, Reason
from wrapped import CONTAINERS, logs, wrapped

CRI, DOCKER, SYSLOG = WRAPPERS["cri"], WRAPPERS["docker"], WRAPPERS["syslog"]
TIME = b"2016-10-06T00:17:09.669794202Z"
WRAPPED = [TIME + b" stdout F x", rb'{"log":"x\n","stream":"stderr"}', b"Nov 28 10:00:01 web1 nginx: x"]
"""Whole lines."""


def found(data: bytes, framing: Framing, context: str = "") -> list[bytes]:
    """The lines that are found, in their order."""
    return [line for _, line in sorted(lines_in(data, framing, context=context).items()) if isinstance(line, bytes)]


def reasons(data: bytes, framing: Framing) -> list[tuple[int, Reason]]:
    """Which lines are rejected."""
    contents = Framed(framing, lambda _: pytest.fail("not parsed")).contents(data, 0, "")
    return [(line.offset, line.reason) for content in contents for line in content.rejected]


class TestCRI:
    def test_lines_of_the_specification(self) -> None:
        # https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
        data = (
            b"2016-10-06T00:17:09.669794202Z stdout P log content 1\n"
            b"2016-10-06T00:17:09.669794203Z stderr F log content 2\n"
            b"2016-10-06T00:17:10.113242941Z stdout F log content 3\n"
        )
        assert lines_in(data, CRI) == {(0, 0): b"log content 1log content 3", (0, 54): b"log content 2"}

    def test_tags_after_the_first_one_are_passed_over(self) -> None:
        assert found(TIME + b" stdout P:TAG2 one \n" + TIME + b" stdout F:TAG2:x two\n", CRI) == [b"one two"]

    def test_a_zone_and_no_fraction(self) -> None:
        assert found(b"2026-11-28T10:00:00+08:00 stderr F x\n", CRI) == [b"x"]

    @pytest.mark.parametrize(
        "line",
        [
            b'192.0.2.7 - acme [28/Nov/2026:10:00:02 +0000] "GET / HTTP/1.1" 200 612',
            TIME + b" stdout X text",
            TIME + b" stdout FULL text",
            TIME + b" stdin F text",
            TIME + b" stdout F",
            b"",
        ],
    )
    def test_what_is_not_wrapped_so_is_rejected(self, line: bytes) -> None:
        assert reasons(TIME + b" stdout F text\n" + line + b"\n", CRI) == [(45, Reason.FIELDS)]


class TestDocker:
    def test_lines_of_json_file(self) -> None:
        # A part is a log without a newline; labels come as attrs.
        data = (
            rb'{"log":"first ","stream":"stdout","time":"2026-11-28T10:00:02.123456789Z"}' + b"\n"
            rb'{"log":"error\n","stream":"stderr","attrs":{"a":"b"},"time":"2026-11-28T10:00:02.2Z"}' + b"\n"
            rb'{"log":"last \u003c\"\\n\r\n","stream":"stdout","time":"2026-11-28T10:00:02.3Z"}' + b"\n"
        )
        assert found(data, DOCKER) == [b'first last <"\\n\r', b"error"]

    def test_a_backslash_and_an_n_end_no_line(self) -> None:
        data = rb'{"log":"one\\n","stream":"stdout","time":""}' + b"\n"
        assert DOCKER.whole(data, "").length == 0
        assert found(data + rb'{"log":"two\n","stream":"stdout","time":""}' + b"\n", DOCKER) == [rb"one\ntwo"]

    @pytest.mark.parametrize(
        "line",
        [
            b"{",
            b"[]",
            rb'{"log":1,"stream":"stdout"}',
            rb'{"log":"x\n","stream":"stdin"}',
            rb'{"log":"x\ny\n","stream":"stdout"}',
            rb'{"message":"x\n","stream":"stdout"}',
        ],
    )
    def test_what_is_not_wrapped_so_is_rejected(self, line: bytes) -> None:
        assert reasons(line + b"\n", DOCKER) == [(0, Reason.FIELDS)]


class TestSyslog:
    @pytest.mark.parametrize(
        "header",
        [
            # RFC 3164, 5.4; as rsyslog and syslog-ng write it into files, without the priority; and nginx's, with
            # `nohostname` and without.
            b"<34>Oct 11 22:14:15 mymachine su: ",
            b"Nov  8 10:00:01 web1 nginx: ",
            b"Nov 28 10:00:01 2001:db8::1 nginx[123]: ",
            b"<190>Nov 28 10:00:01 nginx: ",
            b"<190>Nov 28 10:00:01 web1 nginx: ",
            # rsyslog's default since 8.2308: RSYSLOG_FileFormat.
            b"2026-11-28T10:00:01.123456+01:00 web1 haproxy[4711]: ",
            # rsyslog 8.2302.0, of what nginx 1.22.1 sent to it: its three templates for files.
            b"Nov 29 14:49:42 vm nginx: ",
            b"2026-11-29T14:49:42+00:00 localhost nginx: ",
            b"<190>1 2026-11-29T14:49:42+00:00 vm nginx - - -  ",
            # RFC 5424, 6.5.
            b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf",
            b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - ",
            b'<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" '
            b'eventSource="Application" eventID="1011"][examplePriority@32473 class="high"] ',
            rb'<165>1 - - - - - [a b="\"\]\\ [c: "][d@1] ',
        ],
    )
    @pytest.mark.parametrize("text", [b'2001:db8::7 - acme [28/Nov/2026] "GET / HTTP/1.1" 200 1', b"", b"x: [y]"])
    def test_headers(self, header: bytes, text: bytes) -> None:
        assert found(header + text + b"\n", SYSLOG) == [text]
        assert found(b"no header\n" + header + text + b"\n", SYSLOG) == [b"no header", text]

    @pytest.mark.parametrize(
        "line",
        [
            b'192.0.2.7 - acme [28/Nov/2026:10:00:02 +0000] "GET / HTTP/1.1" 200 612',
            b"Nov 28 10:00:01 web1 192.0.2.7 - acme",
            b"<165>1 2003-10-11T22:14:15.003Z host app - - [id a=b] text]",
            b'<165>1 2003-10-11T22:14:15.003Z host app - - [id a="b] text',
            b"<165>2 2003-10-11T22:14:15.003Z host app - - - text",
            b"",
        ],
    )
    def test_what_is_not_wrapped_so_is_rejected(self, line: bytes) -> None:
        assert reasons(line + b"\n", SYSLOG) == [(0, Reason.FIELDS)]


class TestParts:
    @pytest.mark.parametrize("wrapper", CONTAINERS)
    def test_a_joined_line_that_is_too_long_is_rejected_once_however_many_parts_it_has(self, wrapper: str) -> None:
        part = b"x" * 16_384
        data, places = wrapped(wrapper, [("stdout", False, part)] * 9 + [("stdout", True, b"end")] * 2)
        (line, *others) = Framed(WRAPPERS[wrapper], lambda _: pytest.fail("not parsed")).contents(data, 0, "")
        assert not others
        assert [(one.offset, one.reason) for one in line.rejected] == [(0, Reason.TOO_LONG)]
        assert (line.data, line.places.tolist()) == (b"end\n", [places[10]])

    @pytest.mark.parametrize("wrapper", CONTAINERS)
    def test_the_longest_line_is_taken(self, wrapper: str) -> None:
        data, _ = wrapped(wrapper, [("stdout", False, b"x" * 16_384)] * 4 + [("stdout", True, b"")])
        assert found(data, WRAPPERS[wrapper]) == [b"x" * MAX_LINE_BYTES]

    @pytest.mark.parametrize("wrapper", CONTAINERS)
    def test_a_line_whose_parts_lie_far_apart_is_not_waited_for(self, wrapper: str) -> None:
        others = [("stderr", True, b"y" * 1000)] * (MAX_SPAN_BYTES // 1000)
        data, places = wrapped(
            wrapper, [("stdout", False, b"x"), *others, ("stdout", True, b"x"), ("stdout", True, b"z")]
        )
        whole = WRAPPERS[wrapper].whole(data[: places[-2]], "")
        assert whole == (places[-2], len(others) + 1, "stdout")
        assert reasons(data, WRAPPERS[wrapper]) == [(0, Reason.TOO_LONG)]
        assert len(found(data, WRAPPERS[wrapper])) == 1 + len(others) + 1

    @pytest.mark.parametrize("wrapper", CONTAINERS)
    def test_what_is_open_at_the_end_is_taken_as_it_is(self, wrapper: str) -> None:
        data, _ = wrapped(wrapper, [("stdout", True, b"a"), ("stdout", False, b"b")])
        assert found(data, WRAPPERS[wrapper]) == [b"a", b"b"]

    @given(logs())
    def test_streams_are_put_together_each_by_itself(self, log: tuple[str, list[tuple[str, bool, bytes]]]) -> None:
        wrapper, parts = log
        data, _ = wrapped(wrapper, parts)
        lines: dict[str, list[bytes]] = {}
        is_open: dict[str, bool] = {}
        for stream, is_last, text in parts:
            if is_open.get(stream):
                lines[stream][-1] += text
            else:
                lines.setdefault(stream, []).append(text)
            is_open[stream] = not is_last
        assert sorted(found(data, WRAPPERS[wrapper])) == sorted(line for of in lines.values() for line in of)

    @given(logs(), st.data())
    def test_a_file_may_be_cut_wherever_no_line_is_open(
        self, log: tuple[str, list[tuple[str, bool, bytes]]], draw: st.DataObject
    ) -> None:
        wrapper, parts = log
        framing = WRAPPERS[wrapper]
        data, _ = wrapped(wrapper, parts)
        expected = lines_in(data, framing)
        lines: dict[Place, Line] = {}
        start, context = 0, ""
        while start < len(data):
            some = data[start : draw.draw(st.integers(start, len(data)))]
            length = framing.whole(some[: some.rfind(b"\n") + 1], context, draw.draw(st.integers(0, 9))).length
            if length == 0:
                length = len(data) - start
            lines |= lines_in(data[start : start + length], framing, start=start, context=context)
            context = framing.after(data[start : start + length], context, start == 0)
            start += length
            read = lambda size, at: data[at : at + size]  # noqa: E731
            assert framing.context_at(read, start) == context
        assert lines == expected


class TestByteOrderMark:
    @pytest.mark.parametrize("wrapper", ["", *WRAPPERS])
    def test_it_is_no_part_of_the_first_line(self, wrapper: str) -> None:
        framing = WRAPPERS.get(wrapper, PLAIN)
        lines = {
            "": b"a\nb\n",
            "cri": TIME + b" stdout P a\n" + TIME + b" stdout F b\n",
            "docker": json.dumps({"log": "a\n", "stream": "stdout"}).encode() + b"\n",
            "syslog": b"Nov 28 10:00:01 web1 nginx: a\n",
        }[wrapper]
        bare = lines_in(lines, framing)
        marked = lines_in(BYTE_ORDER_MARK + lines, framing)
        assert marked == {(number, place + 3 if place else 0): line for (number, place), line in bare.items()}

    def test_elsewhere_it_is(self) -> None:
        assert found(b"a\n" + BYTE_ORDER_MARK + b"b\n", PLAIN) == [b"a", BYTE_ORDER_MARK + b"b"]
        assert list(lines_in(BYTE_ORDER_MARK + b"b\n", PLAIN, start=9).values()) == [BYTE_ORDER_MARK + b"b"]


BEGINNINGS = ["", "<34>1 - ", "<34>1 - a b c d [a ", "Nov 28 10:00:01 ", TIME.decode() + " stdout F:", '{"log":"']


@pytest.mark.parametrize("wrapper", WRAPPERS)
@given(
    st.sampled_from(BEGINNINGS),
    st.text(st.sampled_from(list('[]" =:a\\<{')), min_size=1, max_size=4),
    st.sampled_from(["", '"] x', '\n","stream":"stdout"}']),
)
def test_a_line_costs_no_more_than_a_multiple_of_its_bytes(wrapper: str, beginning: str, unit: str, end: str) -> None:
    framing = WRAPPERS[wrapper]

    def read(data: bytes) -> None:
        list(framing.contents(data, ""))
        framing.whole(data, "")

    assert_linear(
        read,
        lambda length: (beginning + unit * (length // len(unit)) + end).replace("\n", "\\n").encode() + b"\n",
        shorter=30_000,
    )


@given(st.sampled_from([*WRAPPERS, ""]), st.lists(st.binary(max_size=9) | st.sampled_from(WRAPPED)))
def test_each_line_is_one_thing(wrapper: str, lines: list[bytes]) -> None:
    """Whatever a file holds: what comes in parts is one line, all else as many as there are newlines."""
    data = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
    contents = list(Framed(WRAPPERS.get(wrapper, PLAIN), lambda _: pytest.fail("not parsed")).contents(data, 0, ""))
    for content in contents:
        assert content.data.count(b"\n") == len(content.places)
        assert sorted(content.places.tolist()) == content.places.tolist()
    found = [place for content in contents for place in content.places.tolist()]
    found += [line.offset for content in contents for line in content.rejected]
    assert len(set(found)) == len(found) == len(lines)
