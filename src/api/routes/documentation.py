"""What the OpenAPI document says about responses.

Its examples are true: `tests/example_answers.py` writes what the api answers about a log, and a test compares.
"""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from api.access.authentication import is_open
from api.http.errors import PROBLEM_JSON
from api.schemas.problems import Problem, ValidationProblem

EXAMPLES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("examples.json").read_text())
"""By the name of an operation, or the status of an error: the response by its media type."""

Responses = dict[int | str, dict[str, Any]]

_HEADERS = {
    "ETag": "Weak: it changes with the store's ledger, and not with `complete_through` or `missing` alone. In "
    "`If-None-Match`, it saves sending the same answer again.",
    "Cache-Control": "`no-cache`: ask each time.",
    "Vary": "`Accept`: it chooses between JSON and CSV.",
    "Content-Disposition": "With CSV: a name for the file.",
    "Complete-Through": "With CSV: `complete_through`; left out where it is null.",
    "Missing": "With CSV: `missing`, separated by commas; left out where it is empty.",
    "Link": 'The next page, `rel="next"`; left out on the last page, and where there are no pages.',
}


_KEY_SCHEME = {"type": "http", "scheme": "bearer", "description": "A key that `python -m api keys add` made."}
_KEY_ERRORS = {
    status: {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, description in (
        ("401", "There is no key, or it is unknown, expired or revoked."),
        ("403", "The key may not see this, or a page of another site asks."),
        ("429", "There were too many requests with this key; `Retry-After` has the seconds to wait."),
    )
}


def service(operation: str) -> Responses:
    """The responses of an operation about the service itself."""
    return {200: {"content": _content(operation)}}


def listing(operation: str) -> Responses:
    """The responses of an operation that answers with a list, as JSON or CSV."""
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
        304: {
            "description": "Only `complete_through` or `missing` has changed since the answer that `If-None-Match` "
            "names."
        },
        **_error(414, Problem, "The path and the query are too long."),
        **NOT_ALLOWED,
        **_error(422, ValidationProblem, "A parameter is invalid."),
        **STORE_UNAVAILABLE,
    }


def document_errors(app: FastAPI, asks_for_keys: bool) -> None:
    """Have the document say that errors are problem details: FastAPI documents all models as `application/json`. Where
    keys are asked for, also say that an operation needs one."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        is_new = app.openapi_schema is None
        document = generate()
        for path, operations in document["paths"].items() if is_new else ():
            for operation in operations.values():
                if asks_for_keys and not is_open(path):
                    operation["security"] = [{"key": []}]
                    operation["responses"].update(deepcopy(_KEY_ERRORS))
                for status, response in operation["responses"].items():
                    if status >= "400":
                        response["content"] = {PROBLEM_JSON: response["content"]["application/json"]}
        if asks_for_keys:
            document["components"]["securitySchemes"] = {"key": _KEY_SCHEME}
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _error(status: int, model: type[BaseModel], description: str) -> Responses:
    example = EXAMPLES.get(str(status), {}).get(PROBLEM_JSON)
    return {status: {"model": model, "description": description, "content": {"application/json": {"example": example}}}}


def _content(operation: str) -> dict[str, Any]:
    return {media_type: {"example": example} for media_type, example in EXAMPLES.get(operation, {}).items()}


STORE_UNAVAILABLE = _error(503, Problem, "The store does not answer in time, or refuses to answer.")
NOT_ALLOWED = {
    **_error(403, Problem, "A page of another site asks."),
    **_error(421, Problem, "`Host` is not among the allowed ones."),
}
UNKNOWN_CUSTOMER = _error(404, Problem, "The customer is unknown.")
