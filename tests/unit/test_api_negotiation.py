"""Content negotiation by `Accept`."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Scope

from api.questions.negotiation import negotiate_format


def scope(*accept: str) -> Scope:
    return {"type": "http", "headers": [(b"accept", text.encode("latin-1")) for text in accept]}


@pytest.mark.parametrize(
    "accept",
    [
        "text/csv",
        "TEXT/CSV; charset=utf-8",
        "text/*",
        "text/csv, */*",
        "application/json;q=0.5, text/csv;q=0.8",
        "application/json; q=0, */*",
        "*/*;q=0.1, text/*;q=0.2",
        "text/html, text/csv;header=present;Q=0.9",
        'text/csv;note="a, b; q=0"',
        'text/html;a="b,application/json", text/csv',
        'text/html;a="b\\",application/json", text/csv',
        'text/csv;a="b, application/json',
    ],
)
def test_accept_prefers_csv(accept: str) -> None:
    assert negotiate_format(scope(accept)) == "csv"


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "application/*",
        "text/csv, application/json",
        "text/csv;q=0.5, */*",
        "text/csv;q=0, text/*",
        "text/csv;q=0",
        "text/csv;q=high",
        "text/csv;q=1.5",
        "text/csv;q=0.1234",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "image/png",
        "csv",
        ";q=1",
        ",,",
        '"',
    ],
)
def test_accept_prefers_json(accept: str) -> None:
    assert negotiate_format(scope(accept)) == "json"


@pytest.mark.parametrize(("part", "times"), [('\\"', 15_000), ('"', 30_000), (",;", 15_000), ("text/csv,", 3_000)])
def test_a_long_accept_header_counts_as_none_and_takes_no_time(part: str, times: int) -> None:
    began = time.monotonic()
    assert negotiate_format(scope("text/csv," + part * times)) == "json"
    # Looking for the end of each quoted string took 25 s.
    assert time.monotonic() - began < 5.0


def test_several_accept_headers_are_one_list() -> None:
    assert negotiate_format(scope("application/json;q=0.1", "text/csv;q=0.2")) == "csv"
    assert negotiate_format(scope()) == "json"


@given(st.text(st.characters(max_codepoint=255)))
def test_any_accept_header_has_a_format(accept: str) -> None:
    assert negotiate_format(scope(accept)) in ("json", "csv")
