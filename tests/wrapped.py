"""Lines as the runtimes of containers write them."""

import json

from hypothesis import strategies as st

CONTAINERS = ["cri", "docker"]
Part = tuple[str, bool, bytes]
"""Of a line: its stream, whether it is the last one, and its text."""
_TIME = "2026-11-28T10:00:01.123456789Z"


def wrapped(wrapper: str, parts: list[Part]) -> tuple[bytes, list[int]]:
    """A file that has these parts, and where each begins in it."""
    data = b""
    places = []
    for stream, is_last, text in parts:
        places.append(len(data))
        if wrapper == "cri":
            data += f"{_TIME} {stream} {'F' if is_last else 'P'} ".encode() + text + b"\n"
        else:
            log = text.decode() + ("\n" if is_last else "")
            record = {"log": log, "stream": stream, "time": _TIME}
            data += json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    return data, places


@st.composite
def logs(draw: st.DrawFn) -> tuple[str, list[Part]]:
    """A wrapper, and the parts of a log."""
    text = st.text(st.sampled_from('ab \\n" PF\u00e4')).map(str.encode)
    part = st.tuples(st.sampled_from(["stdout", "stderr"]), st.booleans(), text)
    return draw(st.sampled_from(CONTAINERS)), draw(st.lists(part, max_size=12))
