"""The page of an api that asks for keys, in a real Chromium."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from access_keys import TestKeys
from asking import line, today
from running_api import Api, running
from stores import sqlite_store


class Asked:
    """A running api that asks for keys."""

    def __init__(self, api: Api, keys: TestKeys) -> None:
        self.api = api
        self.keys = keys
        self.url = f"http://127.0.0.1:{api.port}"

    def link_of(self, customer: str) -> tuple[str, str]:
        """A customer's key, and its link."""
        key = self.keys.add(f"customer:{customer}", datetime.now(timezone.utc) + timedelta(hours=1))
        return key, f"{self.url}/shared/{key.split('_')[1]}/#{key}"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("login")
    keys = TestKeys(folder)
    with sqlite_store(folder) as store:
        store.fill(line(today(), "acme") * 2 + line(today(), "other") * 3)
        with running(folder, {**store.environment, **keys.environment, "LOGGING_LEVEL": "DEBUG"}) as api:
            yield Asked(api, keys)


@contextmanager
def opened(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without cookies, in which nothing goes wrong."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    faults: list[str] = []
    context.on("weberror", lambda error: faults.append(str(error.error)))
    yield context
    context.close()
    assert faults == []


def log_in(page: Page, key: str) -> None:
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Log in").click()


def page_with_key(context: BrowserContext, asked: Asked, key: str) -> Page:
    """The page with its list of customers, after a login."""
    page = context.new_page()
    page.goto(asked.url)
    log_in(page, key)
    expect(page.get_by_role("link", name="acme")).to_be_visible()
    return page


def test_it_asks_for_a_key_once(browser: Browser, asked: Asked) -> None:
    key = asked.keys.add("operator")
    with opened(browser) as context:
        page = context.new_page()
        page.goto(asked.url)
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        log_in(page, "rs_wrong")
        expect(page.get_by_role("alert").last).to_contain_text("unknown, expired or revoked")
        log_in(page, key)
        expect(page.get_by_role("link", name="acme")).to_be_visible()
        expect(page.locator("#freshness")).not_to_have_text("…")
        page.reload()
        expect(page.get_by_role("link", name="acme")).to_be_visible()
        # No script can read what lets it in.
        assert page.evaluate("document.cookie") == ""
        assert page.evaluate("JSON.stringify([localStorage, sessionStorage])") == "[{},{}]"
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_revoked_key_takes_the_page_away(browser: Browser, asked: Asked) -> None:
    key = asked.keys.add("operator")
    with opened(browser) as context:
        page = page_with_key(context, asked, key)
        asked.keys.revoke(key)
        expect(page.get_by_role("heading", name="Log in")).to_be_visible(timeout=15_000)


def test_a_customers_link_shows_this_customer_alone_and_leaves_no_key(browser: Browser, asked: Asked) -> None:
    key, link = asked.link_of("acme")
    with opened(browser) as context:
        page = context.new_page()
        addresses: list[str] = []
        page.on("request", lambda request: addresses.append(request.url))
        page.goto(link)
        expect(page.get_by_role("heading", level=1)).to_have_text("acme")
        expect(page.locator(".tile dd").first).to_have_text("2")
        assert page.url == link.partition("#")[0]
        assert not any(key in address for address in addresses if "/shared/" not in address or "#" not in address)
        page.goto("about:blank")
        page.go_back()
        expect(page.get_by_role("heading", level=1)).to_have_text("acme")
        assert "#" not in page.url
        expect(page.get_by_role("link", name="All customers")).to_have_count(0)
        page.goto(f"{page.url}?customer=other")
        expect(page.locator(".empty")).to_contain_text("Customer other is unknown")
        # Filters of the page stay below the link.
        page.goto(link.partition("#")[0])
        page.get_by_role("button", name="7 days").click()
        expect(page).to_have_url(re.compile(r"/shared/[0-9a-f]{12}/\?from="))
        expect(page.locator(".tile dd").first).to_have_text("2")
    assert key not in asked.api.said()


@pytest.mark.parametrize("added", [".", "&utm_source=mail", "%20", "?x=1"])
def test_a_link_to_which_something_was_added_leaves_no_key(browser: Browser, asked: Asked, added: str) -> None:
    _, link = asked.link_of("acme")
    with opened(browser) as context:
        page = context.new_page()
        page.goto(link + added)
        expect(page.get_by_role("heading", level=1)).to_have_text("acme")
        assert page.url == link.partition("#")[0]


def test_a_part_of_a_key_does_not_stay_in_the_address(browser: Browser, asked: Asked) -> None:
    _, link = asked.link_of("acme")
    with opened(browser) as context:
        page = context.new_page()
        page.goto(link[:-5])
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        assert page.url == link.partition("#")[0]


def test_a_link_does_not_touch_an_operators_session(browser: Browser, asked: Asked) -> None:
    operator = asked.keys.add("operator")
    with opened(browser) as context:
        page, shared = context.new_page(), context.new_page()
        page.goto(asked.url)
        log_in(page, operator)
        expect(page.get_by_role("link", name="other")).to_be_visible()
        for customer in ("acme", "other"):
            shared.goto(asked.link_of(customer)[1])
            expect(shared.get_by_role("heading", level=1)).to_have_text(customer)
        page.reload()
        expect(page.get_by_role("link", name="other")).to_be_visible()


def test_a_link_of_a_revoked_key_says_so(browser: Browser, asked: Asked) -> None:
    key, link = asked.link_of("acme")
    asked.keys.revoke(key)
    with opened(browser) as context:
        page = context.new_page()
        page.goto(link)
        expect(page.get_by_text("This link is no longer valid")).to_be_visible()
        assert "#" not in page.url


def test_a_key_of_several_customers_lets_choose(browser: Browser, asked: Asked) -> None:
    with opened(browser) as context:
        page = context.new_page()
        page.goto(asked.url)
        log_in(page, asked.keys.add("customer:acme,other"))
        page.get_by_role("link", name="other").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("other")
        page.get_by_role("link", name="All customers").click()
        expect(page.get_by_role("link", name="acme")).to_be_visible()


def test_a_page_of_another_site_can_neither_read_nor_log_in(browser: Browser, asked: Asked, tmp_path: Path) -> None:
    key = asked.keys.add("operator")
    with opened(browser) as context:
        page = page_with_key(context, asked, key)
        foreign = context.new_page()
        foreign.goto("data:text/html,<p>Another site</p>")
        read = foreign.evaluate(
            "url => fetch(url, {credentials: 'include'}).then((answer) => answer.text(), () => 'refused')",
            f"{asked.url}/customers",
        )
        assert read == "refused"
        foreign.evaluate(
            "url => fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include'}).catch(() => null)",
            f"{asked.url}/logout",
        )
        page.reload()
        expect(page.get_by_role("link", name="acme")).to_be_visible()


def test_swagger_authorizes(browser: Browser, asked: Asked) -> None:
    with opened(browser) as context:
        page = context.new_page()
        page.goto(f"{asked.url}/docs")
        page.get_by_role("button", name="Authorize").first.click()
        page.locator(".auth-container input").fill(asked.keys.add("operator"))
        page.locator(".auth-btn-wrapper .authorize").click()
        page.locator(".btn-done").click()
        operation = page.locator("#operations-statistics-customers")
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Try it out").click()
        operation.get_by_role("button", name="Execute").click()
        expect(operation.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
