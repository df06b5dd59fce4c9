"""Pages of other sites: browsers say who asks, and such a page hears nothing of what is stored."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from access_keys import TestKeys, bearer
from asking import line, today
from running_api import Api, running
from stores import sqlite_store

KNOWN, UNKNOWN = "/customers/cust_1/stats", "/customers/cust_2/stats"
FRIEND = "https://friend.example"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("sites")
    with sqlite_store(folder) as store:
        store.fill(line(today(), "cust_1"))
        with running(folder, {**store.environment, "CORS_ORIGINS": FRIEND}) as started:
            yield started


def asked(api: Api, path: str, site: str, mode: str, dest: str = "empty", origin: str = "") -> int:
    """The status of what a browser asks."""
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
    return api.client.get(path, headers={**headers, **({"Origin": origin} if origin else {})}).status_code


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    ("mode", "dest", "origin"),
    [
        ("no-cors", "image", ""),
        ("no-cors", "empty", ""),
        ("navigate", "iframe", ""),
        ("navigate", "object", ""),
        ("cors", "empty", "https://evil.example"),
        ("cors", "empty", "null"),
        ("no-cors", "empty", FRIEND),
    ],
)
def test_a_page_of_another_site_gets_the_same_whether_a_customer_is_known(
    api: Api, site: str, mode: str, dest: str, origin: str
) -> None:
    # Also when the question is known.
    assert [api.get(path).status_code for path in (KNOWN, UNKNOWN)] == [200, 404]
    for path in (KNOWN, UNKNOWN, f"{KNOWN}?format=csv", "/customers", "/events", "/metrics", "/nowhere"):
        assert asked(api, path, site, mode, dest, origin) == 403


def test_the_page_links_programs_and_named_origins_may_ask(api: Api) -> None:
    assert asked(api, KNOWN, "same-origin", "cors") == 200
    assert asked(api, KNOWN, "none", "navigate", "document") == 200
    assert asked(api, KNOWN, "cross-site", "navigate", "document") == 200
    assert asked(api, KNOWN, "cross-site", "cors", origin=FRIEND) == 200
    assert api.get(KNOWN).status_code == 200
    # They tell nothing of what is stored.
    for path in ("/", "/page/main.js", "/docs", "/health", "/ready"):
        assert asked(api, path, "cross-site", "no-cors") == 200


def test_every_page_with_a_key_may_ask_where_all_origins_may(tmp_path: Path) -> None:
    keys = TestKeys(tmp_path)
    with sqlite_store(tmp_path) as store:
        store.fill(line(today(), "cust_1"))
        with running(tmp_path, {**store.environment, **keys.environment, "CORS_ORIGINS": "*"}) as api:
            api.client.headers.update(bearer(keys.add("operator")))
            assert asked(api, KNOWN, "cross-site", "cors", origin="https://any.example") == 200
            assert asked(api, KNOWN, "cross-site", "no-cors") == 403
