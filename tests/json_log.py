"""Lines of a log in the format `json`, in which a duration and milliseconds may be missing."""

import json

from request_log.formats.json_lines import JsonLines
from request_log.formats.line_by_line import LineByLine

PARSE = LineByLine(JsonLines({}), "s", None)


def json_line(time: str, customer: str = "cust_1", path: str = "/", status: int = 200, duration: str = "") -> bytes:
    """A line; without a duration where that is empty."""
    members = {"time": time, "customer": customer, "path": path, "status": status}
    return (json.dumps(members | ({"duration": float(duration)} if duration else {})) + "\n").encode()
