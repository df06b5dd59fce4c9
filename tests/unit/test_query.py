"""Queries, which are left out of what is stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_processor.format_settings import LogFormat
from request_log.query import line_without_query
from wrapped import wrapped

COMBINED = b'::1 - acme [25/Nov/2026:12:00:01 +0000] "GET %s HTTP/1.1" 200 5 "-" "curl/8.5.0"\n'
IIS = (
    b"#Fields: date time cs-method cs-uri-stem cs-uri-query cs-username sc-status\n"
    b"2026-11-25 12:00:01 GET /a token=s3cr3t acme 200\n"
)


@pytest.mark.parametrize(
    ("settings", "data"),
    [
        ({"log_format": "simple"}, b"2026-11-25 12:00:01 acme /a?token=s3cr3t 200 0.1\n"),
        ({"log_format": "combined"}, COMBINED % b"/a?token=s3cr3t"),
        ({"log_format": "combined"}, COMBINED % b"/a#token=s3cr3t"),
        (
            {"log_format": "json"},
            b'{"time": 1795608001, "customer": "acme", "path": "/a?token=s3cr3t", "status": 200}\n',
        ),
        ({"log_format": "iis"}, IIS),
    ],
)
def test_a_request_has_no_query(settings: dict[str, str], data: bytes) -> None:
    for drops, path in (("yes", "/a"), ("no", "/a?token=s3cr3t")):
        found = LogFormat.model_validate({**settings, "log_drop_query": drops}).parser()(data).requests
        (stored,) = found.request_paths()
        assert stored.replace("#", "?") == path
        assert found.customer_ids() == ["acme"]


def test_the_customer_is_taken_from_the_query_before() -> None:
    parse = LogFormat(log_format="combined", log_customer_from="path:[?&]tenant=([^&]+)").parser()
    requests = parse(COMBINED % b"/a?tenant=acme" + COMBINED % b"?tenant=other").requests
    assert requests.customer_ids() == ["acme", "other"]
    assert requests.request_paths() == ["/a", "/"]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (b'{"args":"token=s3cr3t","status":"x"}', b'{"args":"","status":"x"}'),
        (b'{"query":{"token":"s3cr3t"},"a":1}', b'{"query":"","a":1}'),
        (b'{"query":{"filter":{"a":"}"},"token":["s3cr3t"]},"a":1}', b'{"query":"","a":1}'),
        (b'{"req":{"query_params" : ["s3cr3t", "\\"s3cr3t"]},"a":1}', b'{"req":{"query_params" : ""},"a":1}'),
        (b'{"query":{"filter":{"a":"s3cr3t"}, "b":"s3', b'{"query":""'),
        (
            rb"""{"log":"{\"query\":{\"a\":{\"b\":1},\"token\":\"s3cr3t\"},\"c\":2}\n"}""",
            rb"""{"log":"{\"query\":\"\",\"c\":2}\n"}""",
        ),
        (b"path=/a query=token=s3cr3t status=x", b"path=/a query=- status=x"),
        (b'args="token=s3cr3t \\"s3cr3t" status=x', b"args=- status=x"),
        (rb"""{"log":"path=/a query=\"s3cr3t s3cr3t\" status=x\n"}""", rb"""{"log":"path=/a query=- status=x\n"}"""),
        (b'{"query":12,"arguments":"a","my_query":"b"}', b'{"query":12,"arguments":"a","my_query":"b"}'),
    ],
)
def test_a_rejected_line_has_no_member_with_its_query(line: bytes, left: bytes) -> None:
    assert line_without_query(line) == left


@pytest.mark.parametrize(
    "begin", [b"?", b"#", b"%3F", b"%3f", b"%23", b"%253F", rb"\u003f", rb"\u003F", rb"\\u0023", rb"\x3F", rb"\x23"]
)
def test_a_rejected_line_has_no_query_or_fragment_however_it_is_escaped(begin: bytes) -> None:
    line = b'"GET /a%stoken=s3cr3t HTTP/1.1" 200'
    assert line_without_query(line % begin).replace(b"\\", b"") == line.replace(b"%stoken=s3cr3t", b"")


PIECES = [b"a", b"?", b"#", b"%", b"25", b"3F", b"x23", b" ", b'"', b"\\", b"s3cr3t", b"=", b'"args":"', b"{", b"}"]


@given(st.lists(st.sampled_from([*PIECES, b"query=", b"\xff"])))
def test_nothing_is_left_of_what_follows_a_question_mark(pieces: list[bytes]) -> None:
    left = line_without_query(b"".join(pieces))
    for begin in (b"?", b"#", b"%3F", b"%253F", rb"\x23"):
        assert begin not in left
    assert line_without_query(left) == left


def test_a_hostile_line_costs_no_more_than_its_length() -> None:
    for piece in (
        b"?",
        b"%25",
        b"25",
        b'"args":"',
        b'\\"args\\":\\"',
        b"\\",
        b'"query":{',
        b'"query":[',
        b"query=",
        b'query="',
        b"a=",
        b" =",
    ):
        line_without_query(piece * (65_536 // len(piece)), has_columns=True)


@pytest.mark.parametrize(
    "parts", [[b"GET /a?token=s3", b"cr3t HTTP/1.1"], [b'{"args":"token=s3', b'cr3t","a":1}'], [b"args=s3", b"cr3t"]]
)
@pytest.mark.parametrize("wrapper", ["cri", "docker"])
def test_a_query_that_goes_on_in_the_next_part_of_a_line_is_dropped_as_a_whole(
    wrapper: str, parts: list[bytes]
) -> None:
    first, second = (("stdout", number == 1, part) for number, part in enumerate(parts))
    line, _ = wrapped(wrapper, [first, second])
    left = line_without_query(line.removesuffix(b"\n"))
    assert b"cr3t" not in left
    assert line_without_query(left) == left
    whole, _ = wrapped(wrapper, [("stdout", False, b"GET /a"), ("stdout", True, b"/b HTTP/1.1")])
    assert line_without_query(whole) == whole
