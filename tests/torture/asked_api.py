"""An api that is asked all the time, so that most of what it says is kept from answers before."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

import oracle
from asking import FIGURES
from running_api import Api, running
from torture.truth import FiguresKey

ALL_DAYS = "from_date=1970-01-01"
# The processor is to have most of the machine.
PAUSE_SECONDS = 0.01


class AskedApi:
    """Its answers are asked for until `stop`."""

    def __init__(self, api: Api, stop: threading.Event) -> None:
        self._api = api
        self._stop = stop

    def ask_on(self) -> None:
        """Ask for the figures of all customers, again and again."""
        while not self._stop.is_set():
            try:
                for url in self._urls().values():
                    self._ask(url)
                    if self._stop.wait(PAUSE_SECONDS):
                        return
            except httpx.HTTPStatusError:
                # The store is away, or not set up yet.
                self._stop.wait(PAUSE_SECONDS)

    def answers(self) -> dict[FiguresKey, oracle.Figures]:
        """The figures of each customer's days and of those of all together, in the oracle's form."""
        return {
            (name, day["date"]): tuple(day[figure] for figure in FIGURES)
            for name, url in self._urls().items()
            for day in self._ask(url)["daily"]
        }

    def _urls(self) -> dict[str | None, str]:
        names: dict[str | None, str] = {
            name: f"/customers/{quote(name, safe='')}/stats?{ALL_DAYS}" for name in self._names()
        }
        return {None: f"/customers/stats?{ALL_DAYS}", **names}

    def _names(self) -> Iterator[str]:
        cursor = ""
        while True:
            page = self._ask(f"/customers?limit=500&{ALL_DAYS}{cursor}")
            yield from (customer["customer_id"] for customer in page["customers"])
            if page["next_cursor"] is None:
                return
            cursor = f"&cursor={page['next_cursor']}"

    def _ask(self, url: str) -> Any:
        return self._api.get(url).raise_for_status().json()


@contextmanager
def asked_api(folder: Path, environment: dict[str, str]) -> Iterator[AskedApi]:
    """One of the store that the environment names."""
    stop = threading.Event()
    with running(folder, environment) as api:
        asked = AskedApi(api, stop)
        asking = threading.Thread(target=asked.ask_on)
        asking.start()
        try:
            yield asked
        finally:
            stop.set()
            asking.join()
