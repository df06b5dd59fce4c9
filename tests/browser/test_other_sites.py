"""What a page of another site hears of an api that asks for no keys, in a real Chromium."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

from asking import line, today
from running_api import running
from stores import sqlite_store


class Handler(BaseHTTPRequestHandler):
    """Serves an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


@contextmanager
def other_site() -> Iterator[str]:
    """The URL of a page of another site than 127.0.0.1."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


FRAMED = """async ([name, url]) => {
    const made = document.createElement(name);
    made[name === "object" ? "data" : "src"] = url;
    document.body.append(made);
    // Of a download no event comes, and the frame stays as it was.
    return new Promise((heard) => {
        made.onload = () => heard("load");
        made.onerror = () => heard("error");
        setTimeout(() => heard("nothing"), 2000);
    });
}"""
PREFETCHED = """async (url) => {
    const made = Object.assign(document.createElement("link"), { rel: "prefetch", href: url });
    return new Promise((heard) => {
        made.onload = () => heard("load");
        made.onerror = () => heard("error");
        document.head.append(made);
    });
}"""


def heard(page: Page, url: str) -> list[str]:
    """What a page hears of a URL, by each way of asking."""
    found = [page.evaluate(FRAMED, [name, f"{url}?format=csv"]) for name in ("iframe", "object", "embed", "img")]
    return [*found, page.evaluate(PREFETCHED, url)]


def test_a_page_of_another_site_cannot_tell_whether_a_customer_is_known(browser: Browser, tmp_path: Path) -> None:
    with sqlite_store(tmp_path) as store:
        store.fill(line(today(), "cust_1"))
        with running(tmp_path, store.environment) as api, other_site() as url:
            page = browser.new_page()
            page.goto(url)
            asked: list[str] = []
            page.on("request", lambda request: asked.append(urlsplit(request.url).path))
            known, unknown = (
                heard(page, f"http://127.0.0.1:{api.port}/customers/{customer}/stats") for customer in ("cust_1", "x")
            )
            page.close()
    assert known == unknown
    assert {"/customers/cust_1/stats", "/customers/x/stats"} <= set(asked)
