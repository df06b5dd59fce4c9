"""The page in a real Chromium, with a real processor, store and api behind it."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

import oracle
from asking import ago, line, today
from lines import valid_lines
from parsed_log import REJECTED, SKIPPED, parse, parsed_line
from pipeline import Pipeline
from request_log.line import Mended
from running_api import Api, running
from stores import Store, count_lines

NOT_LOGGED = "\u2013"
ROWS = "table:not(.u-legend) > tbody > tr"
"""Of tables that are no legends of charts."""


class Shown:
    """The page of a running system."""

    def __init__(self, page: Page, pipeline: Pipeline, api: Api, store: Store) -> None:
        self.page = page
        self.pipeline = pipeline
        self.api = api
        self.store = store
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        page.on("console", lambda message: self._note(message.type, message.text))

    def _note(self, kind: str, text: str) -> None:
        # The browser itself says that the api does not answer, or answers 503.
        if kind == "error" and "Failed to load resource" not in text and "ERR_" not in text:
            self.faults.append(text)

    def open(self, url: str = "/") -> None:
        self.page.goto(f"http://127.0.0.1:{self.api.port}{url}")

    def tile(self, title: str) -> str:
        return self.page.locator(".tile", has=self.page.get_by_text(title, exact=True)).locator("dd").first.inner_text()

    def customers(self) -> list[str]:
        return self.page.locator(f"{ROWS} td:first-child").all_inner_texts()


@contextmanager
def showing(browser: Browser, store: Store, folder: Path, lines: bytes) -> Iterator[Shown]:
    """A system that has counted these lines; in the end nothing went wrong in the browser."""
    pipeline = Pipeline(folder, store.environment, store.open)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        pipeline.append(lines)
        pipeline.start()
        # In a thread of its own: Playwright has an event loop in this one.
        with ThreadPoolExecutor(1) as apart:
            apart.submit(pipeline.until_stored).result()
            apart.submit(pipeline.until_rolled_up).result()
        with running(folder, store.environment) as api:
            shown = Shown(context.new_page(), pipeline, api, store)
            yield shown
            assert shown.faults == []
            context.close()
    finally:
        context.close()
        pipeline.close()


def test_the_figures_are_those_of_the_log_and_follow_it(browser: Browser, store: Store, tmp_path: Path) -> None:
    lines = valid_lines(3_000)
    totals: dict[str, int] = {}
    for text in lines.splitlines():
        name = text.split(b" ")[2].decode()
        totals[name] = totals.get(name, 0) + 1
    with showing(browser, store, tmp_path, lines) as shown:
        shown.open()
        page = shown.page
        expect(page.locator("#freshness")).to_contain_text("Live")
        expect(page.locator(ROWS)).to_have_count(min(25, len(totals)))
        assert shown.tile("Requests") == "3,000"
        first = max(totals, key=lambda name: (totals[name], name))
        row = page.locator(ROWS, has=page.get_by_role("link", name=first, exact=True)).first
        expect(row.locator("td").nth(1)).to_have_text(f"{totals[first]:,}")

        row.get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(first)
        expect(page.locator("figure canvas")).to_have_count(4)
        assert shown.tile("Requests") == f"{totals[first]:,}"
        page.locator("figure", has_text="Latency").locator("summary").first.click()
        days = oracle.days_of(lines)
        (newest,) = [figures for (name, day), figures in days.items() if name == first and day == str(ago(1))]
        of_day = page.locator("figure", has_text="Latency").locator("tbody tr", has_text=str(ago(1)))
        expect(of_day.locator("td").nth(1)).to_have_text(f"{newest[0]:,}")

        now = datetime.now(timezone.utc)
        shown.pipeline.append(line(now.date(), first, 503, clock=f"{now:%H:%M:%S}") * 5)
        expect(page.locator(".tile dd").first).to_have_text(f"{totals[first] + 5:,}", timeout=15_000)
        page.get_by_role("button", name="Failed", exact=True).click()
        expect(page.locator("table", has_text="Latest requests").locator("tbody tr").first).to_contain_text("503")


def test_search_sort_range_and_the_way_back_are_in_the_url(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    lines = b"".join(line(ago(day), name, 200 + 303 * (name == "beta")) for day in (0, 9) for name in ("alpha", "beta"))
    with showing(browser, sqlite, tmp_path, lines + line(today(), "alpine")) as shown:
        page = shown.page
        shown.open()
        expect(page.locator(ROWS)).to_have_count(3)
        page.get_by_role("searchbox").fill("ALP")
        expect(page.locator(ROWS)).to_have_count(2)
        expect(page.get_by_role("searchbox")).to_be_focused()
        assert page.url.endswith("/?search=ALP")
        page.get_by_role("searchbox").fill("")
        page.get_by_role("button", name="Failed").click()
        expect(page.locator("th[aria-sort=descending]")).to_contain_text("Failed")
        assert shown.customers()[0] == "beta"
        page.reload()
        expect(page.locator("th[aria-sort=descending]")).to_contain_text("Failed")
        page.get_by_role("button", name="Today").click()
        expect(page.locator(".tile dd").first).to_have_text("3")
        page.get_by_role("link", name="beta").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("beta")
        assert f"from={today()}" in page.url
        page.go_back()
        expect(page.get_by_role("heading", level=1)).to_have_text("Customers")
        page.go_back()
        expect(page.locator(".tile dd").first).to_have_text("5")


def test_a_date_that_is_typed_is_taken_when_it_is_whole(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    with showing(browser, sqlite, tmp_path, line(ago(1), "alpha") + line(today(), "beta")) as shown:
        page = shown.page
        shown.open()
        expect(page.locator(ROWS)).to_have_count(2)
        page.get_by_label("From").focus()
        # As an American keyboard has it.
        page.keyboard.type(today().strftime("%m%d%Y"), delay=50)
        expect(page.locator(ROWS)).to_have_count(1)
        assert page.url.endswith(f"/?from={today()}")
        page.goto(page.url + f"&to={ago(1)}")
        expect(page.locator(".empty")).to_have_text(
            f"The range begins on {today()}, but ends on {ago(1)}. Choose other dates."
        )
        expect(page.get_by_label("To")).to_be_visible()
        expect(page.get_by_role("link", name="Endpoints")).to_be_visible()
        shown.open(f"/?view=endpoints&from={today()}")
        page.get_by_label("To").fill(str(ago(1)))
        expect(page.locator(".empty")).to_contain_text("Choose other dates.")


def test_it_is_used_by_keyboard(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    with showing(browser, sqlite, tmp_path, line(today(), "alpha") * 2 + line(today(), "beta")) as shown:
        page = shown.page
        shown.open()
        expect(page.locator(ROWS)).to_have_count(2)
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.keyboard.press("Enter")
        # After the filters.
        expect(page.locator(".toolbar + :focus")).to_have_class("tiles")
        page.get_by_role("button", name="Customer").focus()
        page.keyboard.press("Enter")
        expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Customer")
        expect(page.get_by_role("button", name="Customer")).to_be_focused()
        page.get_by_role("link", name="beta").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("beta")
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        page.get_by_label("Time zone").focus()
        page.keyboard.press("ArrowDown")
        chosen = page.get_by_label("Time zone").input_value()
        assert chosen != "UTC"
        assert "tz=" not in page.url
        page.keyboard.press("Enter")
        expect(page.locator("footer")).to_contain_text(f"those of {chosen}")


def test_enter_in_the_search_opens_the_only_match(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    with showing(browser, sqlite, tmp_path, line(today(), "alpha") + line(today(), "alpine")) as shown:
        page = shown.page
        shown.open()
        page.get_by_role("searchbox").fill("alp")
        expect(page).to_have_url(re.compile("search=alp$"))
        page.keyboard.press("Enter")
        page.keyboard.type("h")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("alpha")
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        page.go_back()
        expect(page.get_by_role("searchbox")).to_have_value("alph")


def test_what_a_line_holds_is_only_text(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    path = '/a"onload=alert(1)><img/src=x/onerror=alert(2)>'
    lines = f"{today()} 00:00:01 {hostile} {path} 200 0.1\n".encode()
    with showing(browser, sqlite, tmp_path, lines) as shown:
        page = shown.page
        shown.open()
        page.get_by_role("link", name=hostile).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(hostile)
        expect(page.locator("code", has_text="onerror")).to_have_count(2)
        assert page.locator("main script, main img").count() == 0


def test_what_hides_in_a_name_is_seen(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    names = {"cust_1": "cust_1", "cust_1\u200b": r"cust_1\u{200b}", "\u202e1_tsuc": r"\u{202e}1_tsuc"}
    names |= {"cust_1\u3164": r"cust_1\u{3164}", "cust_1\u00a0": r"cust_1\u{a0}"}
    with showing(browser, sqlite, tmp_path, b"".join(line(today(), name) for name in names)) as shown:
        page = shown.page
        for name, seen in names.items():
            shown.open()
            page.get_by_role("link", name=seen, exact=True).click()
            expect(page.get_by_role("heading", level=1)).to_have_text(seen)
            expect(page).to_have_title(f"{seen} \u2013 Request statistics")
            assert parse_qs(urlsplit(page.url).query)["customer"] == [name]


def test_a_request_without_a_status_is_shown_as_failed_and_what_was_logged_of_it(
    browser: Browser, sqlite: Store, tmp_path: Path
) -> None:
    now = int(time.time())
    lines = parsed_line(now, "alpha", "/a", 0, method="GET", size=2_048) + parsed_line(now - 1, "alpha", "/a", 200)
    storage = sqlite.open()
    count_lines(storage, lines, parse)
    storage.close()
    with showing(browser, sqlite, tmp_path, b"") as shown:
        page = shown.page
        shown.open("/?customer=alpha")
        expect(page.get_by_role("heading", level=1)).to_have_text("alpha")
        assert (shown.tile("Requests"), shown.tile("Failed")) == ("2", "1")
        codes = page.locator("table", has=page.get_by_text("Status codes", exact=True)).locator("tbody tr")
        expect(codes.nth(0).locator("td").first).to_have_text("none")
        expect(codes.nth(0).locator(".bad")).to_be_visible()
        expect(codes.nth(1).locator("td").first).to_have_text("200")
        latest = page.locator("table", has=page.get_by_text("Latest requests", exact=True)).locator("tbody tr")
        expect(latest.nth(0).locator("td:not(:first-child)")).to_have_text(["GET", "/a", "none", NOT_LOGGED, "2 KiB"])
        expect(latest.nth(1).locator("td:not(:first-child)")).to_have_text(
            [NOT_LOGGED, "/a", "200", NOT_LOGGED, NOT_LOGGED]
        )


def test_it_says_whose_fault_failures_are_and_what_changed(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    before = line(ago(2), "alpha") * 3 + line(ago(2), "alpha", 503)
    lines = before + line(ago(1), "alpha") * 2 + line(ago(1), "alpha", 404) * 3 + line(ago(1), "alpha", 500)
    with showing(browser, sqlite, tmp_path, lines) as shown:
        page = shown.page
        shown.open("/?customer=alpha")
        page.get_by_role("button", name="Yesterday").click()
        expect(page.locator(".tile dd").first).to_have_text("6")
        assert shown.tile("Client errors") == "3"
        assert (shown.tile("Server errors"), shown.tile("Failed")) == ("1", "4")
        assert (shown.tile("Uptime"), shown.tile("Availability")) == ("33.333 %", "83.333 %")
        changes = page.locator(".tile .change")
        expect(changes.nth(0)).to_have_text("+2 (+50 %)")
        # Before there was no client error to compare with.
        expect(changes.nth(2)).to_have_text("+3")
        expect(changes.nth(3)).to_have_text("unchanged")
        expect(page.get_by_text(f"Changes are to {ago(2)}.", exact=True)).to_be_visible()
        page.get_by_text("What do these figures mean?").click()
        expect(page.locator(".means dt")).to_contain_text(["Uptime", "Availability", "Median", "p99"])
        errors = page.locator("table", has=page.get_by_text("Errors", exact=True)).locator("tbody tr")
        expect(errors.nth(0).locator("td")).to_have_text(["/api/v1/resource1", "404", "client", "3", str(ago(1))])
        expect(errors.nth(1).locator("td")).to_have_text(["/api/v1/resource1", "500", "server", "1", str(ago(1))])


def test_it_says_that_today_is_not_over(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    with showing(browser, sqlite, tmp_path, line(ago(1), "alpha", 503) * 2 + line(today(), "alpha")) as shown:
        page = shown.page
        shown.open(f"/?customer=alpha&from={today()}")
        expect(page.locator(".tile .change").first).to_have_text(re.compile(r"1 \(.50\s%\) so\sfar$"))
        expect(page.get_by_text(f"Changes are to {ago(1)}. Today is not over")).to_be_visible()
        expect(page.get_by_text("No request failed.", exact=True)).to_be_visible()


def test_a_customers_days_are_those_of_a_zone_that_is_chosen(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    # In Kiritimati, which is 14 hours ahead, it was the next day.
    lines = line(ago(2), "alpha", clock="09:59:59") + line(ago(2), "alpha", 503, clock="10:00:00")
    with showing(browser, sqlite, tmp_path, lines) as shown:
        page = shown.page
        shown.open(f"/?customer=alpha&from={ago(2)}&to={ago(2)}")
        expect(page.locator(".tile dd").first).to_have_text("2")
        page.get_by_label("Time zone").select_option("Pacific/Kiritimati")
        expect(page.locator(".tile dd").first).to_have_text("1")
        assert "tz=Pacific%2FKiritimati" in page.url
        expect(page.locator("h2:text-is('Errors') + p")).to_have_text("By days of UTC.")
        expect(page.locator("footer")).to_contain_text("those of Pacific/Kiritimati")
        latest = page.locator("table", has=page.get_by_text("Latest requests", exact=True)).locator("tbody tr")
        expect(latest.locator("td").first).to_have_text(f"{ago(2)} 23:59:59")
        page.reload()
        expect(page.locator(".tile dd").first).to_have_text("1")
        page.get_by_role("link", name="All customers").click()
        expect(page.locator("footer")).to_contain_text("those of UTC")
        shown.open("/?customer=alpha&tz=Mars/Olympus")
        expect(page.locator(".empty")).to_contain_text("Mars/Olympus is not a time zone")


def test_it_says_what_became_of_all_lines(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    request = parsed_line(int(time.time()), "alpha", mended=[Mended.DURATION, Mended.CONTROL_CHARACTER])
    storage = sqlite.open()
    count_lines(storage, request * 1_200 + SKIPPED * 3 + REJECTED * 2, parse)
    storage.close()
    with showing(browser, sqlite, tmp_path, line(today(), "beta")) as shown:
        shown.open()
        expect(shown.page.locator(".lines")).to_contain_text(
            "Lines read: 1,206, of them 1,201 requests, 2 rejected, 3 skipped. "
            "Requests with a mended field: duration 1,200, control character 1,200."
        )


@pytest.mark.parametrize("name", ["..", ".", "a/../b", "50%&x=1"])
def test_a_customer_of_any_name_can_be_opened(browser: Browser, sqlite: Store, tmp_path: Path, name: str) -> None:
    with showing(browser, sqlite, tmp_path, line(today(), name) + line(today(), name, 503)) as shown:
        page = shown.page
        shown.open()
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        assert shown.tile("Requests") == "2"
        for table in ("Requests", "Paths", "Status codes", "Latest requests"):
            expect(
                page.locator("table", has=page.get_by_text(table, exact=True)).locator("tbody tr").first
            ).to_be_attached()


def test_an_empty_system_says_what_to_do(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    with showing(browser, sqlite, tmp_path, b"") as shown:
        shown.open()
        expect(shown.page.get_by_role("heading", level=2)).to_have_text("Nothing is counted yet")
        shown.pipeline.append(line(today(), "cust_1"))
        expect(shown.page.get_by_role("link", name="cust_1")).to_be_visible(timeout=15_000)


def test_while_the_store_is_away_the_last_figures_stay(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    with showing(browser, sqlite, tmp_path, line(today(), "cust_1")) as shown:
        page = shown.page
        shown.open()
        expect(page.get_by_role("link", name="cust_1")).to_be_visible()
        database = Path(sqlite.environment["SQLITE_PATH"])
        shown.pipeline.end()
        database.rename(tmp_path / "away")
        expect(page.get_by_role("alert")).to_contain_text("The figures are from before")
        expect(page.get_by_role("link", name="cust_1")).to_be_visible()
        (tmp_path / "away").rename(database)
        expect(page.get_by_role("alert")).to_be_hidden(timeout=15_000)


@pytest.mark.parametrize("width", [375, 768, 1440])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_each_screen(browser: Browser, sqlite: Store, tmp_path: Path, width: int, theme: str) -> None:
    with showing(browser, sqlite, tmp_path, valid_lines(500)) as shown:
        page = shown.page
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        shown.open()
        page.get_by_role("link", name=re.compile("cust")).first.click()
        expect(page.locator("figure canvas")).to_have_count(4)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (back == "rgb(15, 18, 22)") == (theme == "dark")


def test_which_endpoint_got_slower_and_who_is_hit(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    def requests(day: int, customer: str, path: str, status: int, seconds: float, times: int) -> bytes:
        return f"{ago(day)} 12:00:00 {customer} {path} {status} {seconds}\n".encode() * times

    lines = b"".join(
        [
            *(requests(day, "alpha", "/orders/7", 200, 0.1, 5) for day in range(14)),
            *(requests(day, "alpha", "/search", 200, 0.2, 9) for day in range(14)),
            requests(2, "alpha", "/orders/8", 200, 0.9, 90),
            requests(2, "beta", "/orders/9", 503, 0.9, 3),
            requests(1, "gamma", "/orders/9", 404, 0.9, 4),
        ]
    )
    with showing(browser, sqlite, tmp_path, lines) as shown:
        page = shown.page
        shown.open()
        # The first page has all customers over time.
        expect(page.locator("figure canvas")).to_have_count(3)
        page.get_by_role("link", name="Endpoints").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Endpoints")
        page.get_by_role("button", name="7 days").click()
        page.get_by_role("button", name="Slower by").click()
        first = page.locator(ROWS).first
        expect(first).to_contain_text("/orders/{id}")
        expect(first).to_contain_text("+800 ms")
        expect(page.locator(ROWS).nth(1)).to_contain_text("unchanged")
        first.get_by_role("link").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("/orders/{id}")
        # Each table has the day that was the worst for it, whatever the endpoints were sorted by.
        errors = page.locator("section", has=page.get_by_role("heading", name="Who has errors"))
        slow = page.locator("section", has=page.get_by_role("heading", name="For whom it is slow"))
        expect(errors.get_by_role("heading")).to_have_text(
            f"Who has errors on {ago(2)}, its day with most server errors: 3"
        )
        expect(slow.get_by_role("heading")).to_have_text(
            f"For whom it is slow on {ago(2)}, its slowest day: median 900 ms"
        )
        expect(errors.locator("th[aria-sort=descending]")).to_contain_text("Server errors")
        expect(slow.locator("th[aria-sort=descending]")).to_contain_text("Median")
        expect(errors.locator("tbody td:first-child")).to_have_text(["beta", "alpha"])
        errors.get_by_role("button", name="Requests").click()
        expect(errors.locator("tbody td:first-child")).to_have_text(["alpha", "beta"])
        expect(errors.get_by_role("button", name="Requests")).to_be_focused()
        page.get_by_label("Day of both tables").fill(str(ago(1)))
        expect(errors.get_by_role("heading")).to_have_text(f"Who has errors on {ago(1)}, the day that you chose")
        expect(slow.get_by_role("heading")).to_contain_text(f"on {ago(1)}, the day that you chose")
        errors.get_by_role("button", name="Client errors").click()
        expect(errors.locator("tbody td:first-child")).to_have_text(["gamma", "alpha"])
        # The customer's page has the same days, and the way back.
        errors.get_by_role("link", name="gamma").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("gamma")
        assert shown.tile("Client errors") == "4"
        assert f"from={ago(6)}" in page.url
        page.get_by_role("link", name="Who is hit at /orders/{id}").click()
        expect(errors.get_by_role("heading")).to_contain_text(str(ago(1)))
        # Other days have another worst one.
        page.get_by_role("button", name="Today").click()
        expect(errors.get_by_role("heading")).to_have_text(
            f"Who has errors on {today()}, no server error in these days, so the latest"
        )
        page.get_by_role("button", name="7 days").click()
        expect(errors.get_by_role("heading")).to_contain_text(str(ago(2)))


def test_charts_have_one_label_a_day_and_whole_stacks(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    lines = b"".join(line(ago(day), "alpha", status) for day in range(5) for status in (200, 404, 503))
    with showing(browser, sqlite, tmp_path, lines) as shown:
        page = shown.page
        # What each canvas shows.
        page.add_init_script(
            "const {fillText, clearRect} = CanvasRenderingContext2D.prototype;"
            "Object.assign(CanvasRenderingContext2D.prototype, {"
            "clearRect(...at) { this.canvas.written = []; clearRect.call(this, ...at); },"
            "fillText(text, ...at) { (this.canvas.written ??= []).push(text); fillText.call(this, text, ...at); }});"
        )
        shown.open(f"/?from={ago(4)}")
        legend = page.locator("figure").first.locator(".u-series")
        expect(legend).to_have_count(4)
        written = page.evaluate("document.querySelector('figure canvas').written")
        days = [str(ago(day))[5:] for day in (4, 3, 2, 1, 0)]
        assert [text for text in written if re.fullmatch(r"\d\d-\d\d", text)] == days
        legend.filter(has_text="Successful").locator("th").click()
        expect(page.locator(".u-series.u-off")).to_have_count(0)


@pytest.mark.parametrize("width", [375, 768, 1101, 1440])
def test_endpoints_fit_each_screen(browser: Browser, sqlite: Store, tmp_path: Path, width: int) -> None:
    path = "/" + "z" * 110
    lines = b"".join(f"{day} 00:00:01 alpha {path} 500 0.1\n".encode() for day in (ago(1), today()))
    with showing(browser, sqlite, tmp_path, lines) as shown:
        page = shown.page
        page.set_viewport_size({"width": width, "height": 800})
        for url, heading in (
            (f"/?view=endpoints&by=method&from={today()}", "Endpoints"),
            (f"/?path={path}&from={today()}", path),
        ):
            shown.open(url)
            expect(page.get_by_role("heading", level=1)).to_have_text(heading)
            expect(page.locator(ROWS).first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            widths = page.evaluate(
                "[...document.querySelectorAll('.wide')].map((card) => card.scrollWidth - card.clientWidth)"
            )
            assert not any(widths)
            # Also where rows are cards.
            page.get_by_role("button", name="Median").first.click()
            expect(page.locator("th[aria-sort]").first).to_have_text(re.compile("Median"))


def test_arrow_keys_go_through_the_points_of_a_chart(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    lines = b"".join(line(ago(day), "alpha") * (10 + day) for day in range(4)) + line(ago(2), "alpha", 503)
    with showing(browser, sqlite, tmp_path, lines) as shown:
        page = shown.page
        shown.open(f"/?customer=alpha&from={ago(3)}")
        chart = page.get_by_role("slider", name="Requests, chart")
        # It says its latest point before any key is pressed.
        expect(chart).to_have_attribute("aria-valuetext", f"{today()}, Successful 10, Client errors 0, Server errors 0")
        page.get_by_label("Time zone").focus()
        page.keyboard.press("Tab")
        expect(page.locator("details.means summary")).to_be_focused()
        page.keyboard.press("Tab")
        expect(chart).to_be_focused()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        expect(chart).to_have_attribute("aria-valuetext", f"{ago(2)}, Successful 12, Client errors 0, Server errors 1")
        legend = page.locator("figure", has=chart).locator(".u-series")
        expect(legend.first).to_contain_text(str(ago(2)))
        expect(legend.filter(has_text="Successful")).to_contain_text("12")
        # New requests come in, and the point and the focus stay.
        shown.pipeline.append(line(today(), "alpha") * 5)
        expect(page.locator(".tile dd").first).to_have_text("52", timeout=15_000)
        expect(chart).to_be_focused()
        expect(legend.first).to_contain_text(str(ago(2)))
        page.keyboard.press("Home")
        expect(legend.first).to_contain_text(str(ago(3)))
        page.keyboard.press("ArrowLeft")
        expect(legend.first).to_contain_text(str(ago(3)))
        page.keyboard.press("End")
        expect(chart).to_have_attribute("aria-valuetext", f"{today()}, Successful 15, Client errors 0, Server errors 0")
        page.get_by_role("slider", name="Distribution of latencies").focus()
        expect(legend.first).to_contain_text("\u2013")


def test_long_tables_begin_with_some_rows(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    statuses = [*range(400, 415), *range(500, 510)]
    lines = b"".join(line(ago(1), "alpha", status) for status in statuses)
    with showing(browser, sqlite, tmp_path, lines) as shown:
        page = shown.page
        shown.open("/?customer=alpha")
        rows = page.locator("table", has=page.get_by_text("Errors", exact=True)).locator("tbody tr")
        expect(rows).to_have_count(10)
        button = page.locator("section", has=page.get_by_role("heading", name="Errors")).get_by_role("button")
        button.focus()
        page.keyboard.press("Enter")
        expect(rows).to_have_count(25)
        # It stays so, with the focus, when new requests come in.
        shown.pipeline.append(line(today(), "alpha"))
        expect(page.locator(".tile dd").first).to_have_text("26", timeout=15_000)
        expect(rows).to_have_count(25)
        expect(button).to_be_focused()
        page.keyboard.press("Enter")
        expect(rows).to_have_count(10)


def test_the_paths_of_a_customer_are_compared_with_the_days_before(
    browser: Browser, sqlite: Store, tmp_path: Path
) -> None:
    def requests(day: int, path: str, status: int, seconds: float, times: int) -> bytes:
        return f"{ago(day)} 12:00:00 alpha {path} {status} {seconds}\n".encode() * times

    lines = b"".join(
        [
            requests(2, "/slower", 200, 0.1, 5),
            requests(1, "/slower", 200, 0.3, 5),
            requests(2, "/failing", 200, 0.1, 5),
            requests(1, "/failing", 503, 0.1, 4),
            requests(1, "/new", 200, 0.1, 1),
        ]
    )
    with showing(browser, sqlite, tmp_path, lines) as shown:
        page = shown.page
        for url in (f"/?customer=alpha&from={ago(1)}&to={ago(1)}", f"/?view=endpoints&from={ago(1)}&to={ago(1)}"):
            shown.open(url)
            of_paths = page.locator("table", has=page.get_by_text(re.compile("^(Paths|Endpoints)$")))

            def cells(path: str, table: Locator = of_paths) -> list[str]:
                row = table.locator("tbody tr", has_text=path)
                return [row.locator(f"[data-title='{title}']").inner_text() for title in ("More errors", "Slower by")]

            expect(of_paths.locator("tbody tr")).to_have_count(3)
            assert cells("/slower") == ["unchanged", "+200 ms"]
            assert cells("/failing") == ["+4", "unchanged"]
            assert cells("/new") == [NOT_LOGGED, NOT_LOGGED]
            expect(page.get_by_text(f"server errors and the median with {ago(2)}.")).to_be_visible()
        page.get_by_role("button", name="More errors").click()
        expect(page.locator(ROWS).first).to_contain_text("/failing")
        page.get_by_role("link", name="/failing").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("/failing")
        assert (shown.tile("Requests"), shown.tile("Server errors")) == ("4", "4")
        expect(page.locator(".tile .change").first).to_have_text("\u22121 (\u221220 %)")


def test_the_latest_requests_are_filtered_by_fault_and_path(browser: Browser, sqlite: Store, tmp_path: Path) -> None:
    lines = b"".join(
        f"{ago(1)} 12:00:0{second} alpha {path} {status} 0.1\n".encode()
        for second, (path, status) in enumerate(
            [("/orders/1", 404), ("/orders/2", 503), ("/items/2", 503), ("/orders/3", 200)]
        )
    )
    with showing(browser, sqlite, tmp_path, lines) as shown:
        page = shown.page
        shown.open("/?customer=alpha")
        latest = page.locator("table", has=page.get_by_text("Latest requests", exact=True))
        paths = latest.locator("tbody [data-title=Path]")
        expect(paths).to_have_count(4)
        page.get_by_role("button", name="Server errors", exact=True).focus()
        page.keyboard.press("Enter")
        expect(paths).to_have_text(["/items/2", "/orders/2"])
        page.get_by_role("searchbox", name="Path contains").fill("/orders")
        page.keyboard.press("Enter")
        expect(paths).to_have_text(["/orders/2"])
        assert "status=server_errors&only=%2Forders" in page.url
        page.reload()
        expect(paths).to_have_text(["/orders/2"])
        page.get_by_role("button", name="All", exact=True).click()
        expect(paths).to_have_text(["/orders/3", "/orders/2", "/orders/1"])
        # A search that takes too long leaves all else as it is.
        page.route(
            "**/requests?*path=*", lambda route: route.fulfill(status=503, json={"detail": "It takes too long."})
        )
        page.get_by_role("button", name="Failed", exact=True).click()
        expect(page.get_by_text("It takes too long.")).to_be_visible()
        assert shown.tile("Requests") == "4"
        # They are of this customer alone.
        page.get_by_role("link", name="All customers").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Customers")
        assert "only" not in page.url
