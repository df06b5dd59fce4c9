"""The text of ledgers, intents, logs and files."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from request_log.line import Mended, Reason
from storage.ledger import (
    Intent,
    Ledger,
    Report,
    RolledUp,
    RollupIntent,
    RollupLedger,
    decode_intent,
    decode_ledger,
    decode_report,
    decode_rolled_up,
    decode_rollup_intent,
    decode_rollup_ledger,
    encode_intent,
    encode_ledger,
    encode_report,
    encode_rolled_up,
    encode_rollup_intent,
    encode_rollup_ledger,
    is_rolled_up,
)
from storage.logs import FileRow, Gap, LedgerRow, Position, decode_file, decode_log, encode_file, encode_log, with_gap
from storage.observed import ObservedEnd, decode_observed_end, encode_observed_end
from storage.requests import FileId, OffsetRange

numbers = st.integers(0, 1 << 60)
seconds = st.floats(0, 1e10)
texts = st.text(max_size=20)
positions = st.builds(Position, numbers, numbers)
spans = st.none() | st.tuples(numbers, numbers)
ledgers = st.builds(Ledger, numbers, st.none() | seconds, spans, st.booleans())
ranges = st.lists(
    st.builds(OffsetRange, st.builds(FileId, texts, numbers, numbers, numbers), numbers, numbers), max_size=3
).map(tuple)
files = st.builds(
    FileRow,
    texts,
    *[numbers] * 6,
    st.sampled_from(("live", "open", "closed", "copy")),
    texts,
    texts,
    st.none() | numbers,
)
rolled_up = st.builds(RolledUp, numbers, st.dictionaries(numbers, numbers, max_size=3))
logs = st.builds(
    LedgerRow,
    log=texts,
    path=texts,
    first=positions,
    position=positions,
    bytes=numbers,
    read=numbers,
    stored=numbers,
    rejected=st.dictionaries(st.sampled_from(Reason), st.integers(1, 1 << 40)).map(Counter),
    skipped=numbers,
    mended=st.dictionaries(st.sampled_from(Mended), st.integers(1, 1 << 40)).map(Counter),
    gaps=st.lists(st.builds(Gap, positions, texts), max_size=3).map(tuple),
    newest=numbers,
    last_seconds=st.lists(numbers, max_size=5).map(tuple),
)
intents = st.builds(
    Intent,
    number=numbers,
    token=numbers,
    ranges=ranges,
    oldest=numbers,
    newest=numbers,
    stored=numbers,
    oldest_day=numbers,
    settings=texts,
    logs=st.lists(logs, max_size=3, unique_by=lambda row: row.log).map(tuple),
    files=st.lists(files, max_size=3, unique_by=lambda row: (row.log, row.generation)).map(tuple),
    customers=st.none() | st.lists(texts, max_size=3).map(tuple),
    days=st.lists(numbers, max_size=3).map(tuple),
    ledger=ledgers,
    folded=st.dictionaries(numbers, texts, max_size=3),
)
rollup_intents = st.builds(
    RollupIntent, numbers, numbers, numbers, ranges, numbers, numbers, st.dictionaries(texts, rolled_up, max_size=3)
)

LOG = LedgerRow(
    log="api",
    path="/logs/api.log",
    first=Position(0, 0),
    position=Position(1, 420),
    bytes=520,
    read=12,
    stored=10,
    rejected=Counter({Reason.TIME: 2}),
    skipped=3,
    mended=Counter({Mended.DURATION: 4}),
    gaps=(Gap(Position(0, 100), "deleted"),),
    newest=1_795_450_536,
    last_seconds=(1_795_450_536, 1_795_450_535),
)
INTENT = Intent(
    number=17,
    token=1_234_000,
    ranges=(OffsetRange(FileId("api", 1, lane=3, base=160), 42, 420),),
    oldest=1_795_450_535,
    newest=1_795_450_536,
    stored=9,
    oldest_day=20_733,
    settings="simple",
    logs=(LOG,),
    files=(
        FileRow("api", 0, 3, 0, 50, 150, 150, "closed", "/logs/api.log.1", "7-100-ab-cd", None, 0, "#Fields: time"),
    ),
    customers=("cust_1", "cust_2"),
    days=(20_780,),
    ledger=Ledger(17, 1_795_450_536.5, (1_795_450_000, 1_795_450_536)),
)


def test_the_text_of_an_intent() -> None:
    text = encode_intent(INTENT)
    assert json.loads(text) == {
        "number": 17,
        "token": 1_234_000,
        "ranges": [[["api", 1, 3, 160], 42, 420]],
        "oldest": 1_795_450_535,
        "newest": 1_795_450_536,
        "stored": 9,
        "oldest_day": 20_733,
        "settings": "simple",
        "logs": {
            "api": '{"path":"/logs/api.log","first":[0,0],"position":[1,420],"bytes":520,"read":12,'
            '"stored":10,"rejected":{"time":2},"skipped":3,"mended":{"duration":4},"gaps":[[0,100,"deleted"]],"newest":1795450536,"format":"",'
            '"last_seconds":[1795450536,1795450535]}'
        },
        "files": [["api", 0, '[3,0,50,150,150,"closed","/logs/api.log.1","7-100-ab-cd",null,0,"#Fields: time"]']],
        "customers": ["cust_1", "cust_2"],
        "days": [20_780],
        "ledger": "[17,1795450536.5,[1795450000,1795450536]]",
        "weight": 1,
    }
    assert decode_intent(text) == INTENT


def test_the_text_of_an_intent_of_rollups() -> None:
    intent = RollupIntent(4, 1_234_000, 17, INTENT.ranges, 5, 6, {"api": RolledUp(2, {1: 420})})
    text = (
        '{"number":4,"token":1234000,"through":17,"ranges":[[["api",1,3,160],42,420]],"oldest":5,"newest":6,'
        '"positions":{"api":"[2,[1,420]]"},"weight":1}'
    )
    assert encode_rollup_intent(intent) == text
    assert decode_rollup_intent(text) == intent


def test_the_texts_of_ledgers_and_reports() -> None:
    assert encode_ledger(Ledger(17, 1.5, (5, 6))) == "[17,1.5,[5,6]]"
    assert encode_ledger(Ledger(17)) == "[17,null,null]"
    assert encode_rollup_ledger(RollupLedger(4, 17)) == "[4,17]"
    text = "[1795450537.25,17,1795450536.5,1795536937,1795450537.0]"
    assert encode_report(Report(1_795_450_537.25, 17, 1_795_450_536.5, 1_795_536_937, 1_795_450_537.0)) == text
    # A report of an earlier version has neither a latest second nor a carried time.
    assert decode_report("[1795450537.25, 17, null]") == Report(1_795_450_537.25, 17, None, 0, 0)
    assert encode_rolled_up(RolledUp(2, {1: 420})) == "[2,[1,420]]"


def test_an_empty_text_is_the_ledger_before_the_first_commit() -> None:
    assert decode_ledger("") == Ledger()
    assert decode_rollup_ledger("") == RollupLedger()
    assert decode_report("") is None


@given(intents)
def test_an_intent_is_read_as_it_was_written(intent: Intent) -> None:
    assert decode_intent(encode_intent(intent)) == intent


@given(rollup_intents)
def test_an_intent_of_rollups_is_read_as_it_was_written(intent: RollupIntent) -> None:
    assert decode_rollup_intent(encode_rollup_intent(intent)) == intent


@given(logs, files, ledgers, positions, rolled_up, numbers, seconds)
def test_rows_are_read_as_they_were_written(
    log: LedgerRow, file: FileRow, ledger: Ledger, position: Position, through: RolledUp, number: int, time: float
) -> None:
    assert decode_log(log.log, encode_log(log)) == log
    assert decode_file(file.log, file.generation, encode_file(file)) == file
    assert decode_ledger(encode_ledger(ledger)) == ledger
    assert decode_rollup_ledger(encode_rollup_ledger(RollupLedger(number, number))) == RollupLedger(number, number)
    assert decode_rolled_up(encode_rolled_up(through)) == through
    end = ObservedEnd("log", time, position, number, number, number)
    assert decode_observed_end("log", encode_observed_end(end)) == end
    report = Report(time, number, None, number, time)
    assert decode_report(encode_report(report)) == report


@pytest.mark.parametrize(
    ("counts", "rollups", "expected"),
    [
        (Ledger(), RollupLedger(), True),
        (Ledger(17, None, (5, 6)), RollupLedger(4, 17), True),
        (Ledger(17, None, (5, 6)), RollupLedger(4, 16), False),
        # The commits since had no requests.
        (Ledger(17, None, None), RollupLedger(4, 12), True),
    ],
)
def test_whether_all_is_rolled_up(counts: Ledger, rollups: RollupLedger, expected: bool) -> None:
    assert is_rolled_up(counts, rollups) == expected


def test_a_gap_is_at_the_position() -> None:
    assert with_gap(LOG, "lost").gaps == (*LOG.gaps, Gap(LOG.position, "lost"))
