"""The page's sessions: cookies that stand for a key, over a real socket."""

import re
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest

from access_keys import SECRET, TestKeys, bearer
from api.access.sessions import SESSION_SECONDS, Sessions
from asking import line, today
from running_api import Api, running
from stores import sqlite_store
from until import wait_until

OTHER_SECRET = "t" * 43
NAME = "request_statistics_session"


class Asked:
    """A running api that asks for keys."""

    def __init__(self, api: Api, keys: TestKeys) -> None:
        self.api = api
        self.keys = keys
        self.operator = keys.add("operator")
        self.customer = keys.add("customer:acme", datetime.now(timezone.utc) + timedelta(hours=1))

    @property
    def link(self) -> str:
        """The path of the customer's link."""
        return f"/shared/{self.customer.split('_')[1]}"

    def client(self, **headers: str) -> httpx.Client:
        """A browser: it keeps cookies."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.api.port}", headers=headers, timeout=30)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("sessions")
    keys = TestKeys(folder)
    with sqlite_store(folder) as store:
        store.fill(line(today(), "acme") + line(today(), "other"))
        with running(folder, {**store.environment, **keys.environment}) as api:
            yield Asked(api, keys)


def test_a_login_lets_in_until_the_logout(asked: Asked) -> None:
    with asked.client() as browser:
        assert browser.get("/customers").status_code == 401
        assert browser.post("/login", json={"key": asked.operator}).status_code == 204
        assert browser.get("/customers").status_code == 200
        assert browser.get("/session").json() == {"scope": "operator", "customers": [], "has_session": True}
        assert browser.post("/logout").status_code == 204
        assert browser.get("/customers").status_code == 401


def test_a_copy_of_a_cookie_ends_with_the_logout(asked: Asked) -> None:
    with asked.client() as browser, asked.client() as other, asked.client() as thief:
        for one in (browser, other):
            assert one.post("/login", json={"key": asked.operator}).status_code == 204
        cookie = browser.cookies[NAME]
        assert browser.post("/logout").status_code == 204
        # The last character of the signature has two bits that nobody reads.
        last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        place = last.index(cookie[-1]) & ~3
        for copied in [cookie, *(cookie[:-1] + character for character in last[place : place + 4])]:
            assert thief.get("/customers", headers={"Cookie": f"{NAME}={copied}"}).status_code == 401
        assert other.get("/customers").status_code == 200


def test_logouts_of_one_key_do_not_bring_the_sessions_of_another_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.access.sessions._MAX_ENDED", 5)
    keys = TestKeys(tmp_path)
    sessions = Sessions(Path(keys.environment["SESSION_SECRET_FILE"]))

    def ended(key_id: str) -> str:
        cookie = sessions.issue(key_id, "")
        assert cookie is not None
        sessions.end(cookie, "")
        return cookie

    of_operator = [ended("0" * 12) for _ in range(2)]
    of_customer = [ended("1" * 12) for _ in range(50)]
    assert [sessions.key_id(cookie, "") for cookie in of_operator] == [None, None]
    assert sessions.key_id(of_customer[-1], "") is None


def test_the_cookie_is_for_this_site_alone_and_not_for_scripts(asked: Asked) -> None:
    with asked.client() as browser:
        cookie = browser.post("/login", json={"key": asked.operator}).headers["Set-Cookie"]
        assert cookie.startswith(f"{NAME}=")
        assert cookie.endswith("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict")
        assert asked.operator.split("_", 2)[2] not in cookie
        # Not plain loopback: another name, or TLS before it.
        for headers in ({"Host": "statistics.example.com"}, {"X-Forwarded-Proto": "https"}):
            cookie = browser.post("/login", json={"key": asked.operator}, headers=headers).headers["Set-Cookie"]
            assert cookie.startswith(f"__Host-{NAME}=")
            assert cookie.endswith("; Secure")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 204),
        ({}, 204),
    ],
)
def test_only_the_page_itself_may_log_in_and_out(asked: Asked, headers: dict[str, str], status: int) -> None:
    with asked.client() as browser:
        assert browser.post("/login", json={"key": asked.operator}, headers=headers).status_code == status
        assert browser.post("/logout", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"key": "rs_000000000000_x"}', "application/json", 401),
        (b'{"key": "\\ud800"}', "application/json", 422),
        (b'{"key": 1}', "application/json", 422),
        (b"[" * 900, "application/json", 422),
        (b"nonsense", "application/json", 422),
        (b"\xff", "application/json", 422),
        (b'{"key": "' + b"x" * 2_000 + b'"}', "application/json", 413),
        (b'{"key": "x"}', "text/plain", 415),
        (b"key=x", "application/x-www-form-urlencoded", 415),
    ],
)
def test_another_body_is_refused(asked: Asked, body: bytes, content_type: str, status: int) -> None:
    with asked.client() as browser:
        refused = browser.post("/login", content=body, headers={"Content-Type": content_type})
        assert refused.status_code == status
        assert "Set-Cookie" not in refused.headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_another_method_than_that_of_a_login_is_told_the_right_one(asked: Asked, method: str) -> None:
    with asked.client() as browser:
        refused = browser.request(method, "/login")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")


def test_a_login_that_is_broken_off_leaves_no_traceback(asked: Asked) -> None:
    with socket.create_connection(("127.0.0.1", asked.api.port)) as client:
        client.sendall(b"POST /login HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
    operator = bearer(asked.operator)
    left = 'request_statistics_api_requests_total{route="/login",status="400"} 1.0'
    with asked.client(**operator) as program:
        wait_until(lambda: left in program.get("/metrics").text, "the login is answered", asked.api.said)
    assert "Traceback" not in asked.api.said()


def test_a_revoked_key_ends_its_sessions_and_their_streams_at_once(asked: Asked) -> None:
    key = asked.keys.add("operator")
    with asked.client() as browser:
        browser.post("/login", json={"key": key})
        with browser.stream("GET", "/events") as response:
            lines = response.iter_lines()
            assert next(lines).startswith("event: progress")
            asked.keys.revoke(key)
            assert browser.get("/customers").status_code == 401
            assert len(list(lines)) < 20


def test_a_session_of_a_link_is_apart_from_an_operators(asked: Asked) -> None:
    with asked.client() as browser:
        browser.post("/login", json={"key": asked.operator})
        assert browser.post(f"{asked.link}/login", json={"key": asked.customer}).status_code == 204
        assert browser.get("/session").json()["scope"] == "operator"
        assert browser.get(f"{asked.link}/session").json()["customers"] == ["acme"]
        assert browser.get(f"{asked.link}/customers/acme/stats").json()["total_requests"] == 1
        assert browser.get(f"{asked.link}/customers/other/stats").status_code == 404
        assert browser.get(f"{asked.link}/customers").status_code == 403
        assert browser.get("/customers").status_code == 200
        # Again, as in another tab.
        for _ in range(2):
            assert browser.post(f"{asked.link}/logout").status_code == 204
        assert browser.get(f"{asked.link}/session").status_code == 401
        assert browser.get("/customers").status_code == 200


def test_a_cookie_counts_only_where_it_was_set(asked: Asked) -> None:
    other = asked.keys.add("customer:other")
    with asked.client() as browser:
        cookie = browser.post(f"{asked.link}/login", json={"key": asked.customer}).headers["Set-Cookie"]
        value = re.findall(f"^{NAME}=([^;]*)", cookie)[0]
    sent = {"Cookie": f"{NAME}={value}"}
    assert httpx.get(f"http://127.0.0.1:{asked.api.port}{asked.link}/session", headers=sent).status_code == 200
    for path in ("/session", f"/shared/{other.split('_')[1]}/session"):
        assert httpx.get(f"http://127.0.0.1:{asked.api.port}{path}", headers=sent).status_code == 401


def test_a_link_takes_no_other_key(asked: Asked) -> None:
    with asked.client() as browser:
        assert browser.post(f"{asked.link}/login", json={"key": asked.operator}).status_code == 401


def test_two_secrets_count_at_a_time_and_a_third_does_not(asked: Asked) -> None:
    with asked.client() as browser:
        browser.post("/login", json={"key": asked.operator})
        asked.keys.write_secrets(OTHER_SECRET, SECRET)
        assert browser.get("/customers").status_code == 200
        asked.keys.write_secrets(OTHER_SECRET)
        assert browser.get("/customers").status_code == 401
        browser.post("/login", json={"key": asked.operator})
        assert browser.get("/customers").status_code == 200
        asked.keys.write_secrets(OTHER_SECRET, SECRET)
        assert browser.get("/customers").status_code == 200


def test_the_hashes_of_keys_sign_no_session(asked: Asked) -> None:
    # Whoever reads the file of keys, and not the secrets, cannot make a cookie.
    path = Path(asked.keys.environment["API_KEYS_FILE"])
    for text in path.read_text().splitlines():
        found = re.findall(r'"(?:id|hash)":"([0-9a-f]+)"', text)
        forged = path.with_name("forged")
        forged.write_text(found[1])
        forged.chmod(0o600)
        cookie = Sessions(forged).issue(found[0], "")
        answered = httpx.get(f"http://127.0.0.1:{asked.api.port}/customers", headers={"Cookie": f"{NAME}={cookie}"})
        assert answered.status_code == 401


def test_a_session_ends_after_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = TestKeys(tmp_path)
    sessions = Sessions(Path(secrets.environment["SESSION_SECRET_FILE"]))
    cookie = sessions.issue("0" * 12, "")
    assert cookie is not None
    assert sessions.key_id(cookie, "") == "0" * 12
    later = datetime.now().timestamp() + SESSION_SECONDS + 2
    monkeypatch.setattr("time.time", lambda: later)
    # Also where it was verified before.
    assert sessions.key_id(cookie, "") is None
    assert Sessions(Path(secrets.environment["SESSION_SECRET_FILE"])).key_id(cookie, "") is None


@pytest.mark.parametrize("is_known", [False, True])
def test_a_session_counts_where_the_clock_is_a_little_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    sessions = Sessions(Path(TestKeys(tmp_path).environment["SESSION_SECRET_FILE"]))
    cookie = sessions.issue("0123456789ab", "")
    assert cookie is not None
    if is_known:
        assert sessions.key_id(cookie, "") == "0123456789ab"
    now = datetime.now().timestamp()
    for behind, key_id in ((50, "0123456789ab"), (3_600, None)):
        monkeypatch.setattr("time.time", lambda behind=behind: now - behind)
        assert sessions.key_id(cookie, "") == key_id


def test_a_key_takes_precedence_over_a_session(asked: Asked) -> None:
    with asked.client() as browser:
        browser.post("/login", json={"key": asked.operator})
        assert browser.get("/session", headers=bearer(asked.customer)).json()["scope"] == "customer"
        assert browser.get("/session", headers=bearer("rs_wrong")).status_code == 401
        # The password of a proxy is no key.
        assert browser.get("/session", headers={"Authorization": "Basic YTpi"}).json()["scope"] == "operator"
