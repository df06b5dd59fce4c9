"""How the OpenAPI document describes what routes answer.

Its examples are true: `tests/example_answers.py` writes what the api answers about a log, and a test compares.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from api.schemas.problems import Problem, ValidationProblem

EXAMPLES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("examples.json").read_text())
"""By the name of an operation, or of an error: the answer by its media type."""

Responses = dict[int | str, dict[str, Any]]


def service(operation: str) -> Responses:
    """What an operation answers that tells about the service itself."""
    return {200: {"content": _content(operation)}}


def listing(operation: str) -> Responses:
    """What an operation answers that lists something, in JSON and CSV."""
    content = _content(operation)
    content.setdefault("text/csv", {})["schema"] = {"type": "string"}
    return {
        200: {
            "description": "The whole as JSON, or the list alone as CSV: a header row, and a row for each element.",
            "content": content,
            "headers": {
                name: {"description": description, "schema": {"type": "string"}}
                for name, description in _HEADERS.items()
            },
        },
        304: {"description": "Nothing but `complete_through` has changed since the answer that `If-None-Match` names."},
        **_error(414, Problem, "The path and the query are too long."),
        **_error(422, ValidationProblem, "A parameter is not what it may be."),
        **STORE_UNAVAILABLE,
    }


def _error(status: int, model: type[BaseModel], description: str) -> Responses:
    return {status: {"model": model, "description": description, "content": _content(str(status))}}


def _content(of: str) -> dict[str, Any]:
    return {kind: {"example": example} for kind, example in EXAMPLES.get(of, {}).items()}


_HEADERS = {
    "ETag": "Weak: it changes when the store's ledger does, and not with `complete_through` alone. In `If-None-Match` "
    "it saves the same answer.",
    "Cache-Control": "`no-cache`: ask each time.",
    "Vary": "`Accept`: it chooses between JSON and CSV.",
    "Content-Disposition": "With CSV: a name for the file.",
    "Complete-Through": "With CSV: `complete_through`; left out where it is null.",
    "Link": 'With CSV: the next page, `rel="next"`; left out where there is none.',
}
STORE_UNAVAILABLE = _error(503, Problem, "The store does not answer, or not in time, or refuses to.")
UNKNOWN_CUSTOMER = _error(404, Problem, "The customer is unknown.")
