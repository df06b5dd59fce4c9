"""Makes ready what takes long before anyone asks: the figures for the list of customers, which with many of them take
seconds, and the counts of those with the most requests. When the api begins, before each midnight, when the range
becomes another one, and when it cannot be told what has changed. The store tells that of the latest commits only, so it
is looked at while nobody asks, too."""

import asyncio
import time
from datetime import datetime, timedelta, timezone

from api.questions.dates import date_range
from api.questions.responding import Answers
from service.logs import logger
from storage.errors import StorageError

BEFORE_MIDNIGHT = timedelta(minutes=5)
LOOK_SECONDS = 10.0

log = logger(__name__)


async def keep_ready(answers: Answers, retention_days: int) -> None:
    """Runs until it is cancelled."""
    ready = None
    while True:
        today = (datetime.now(timezone.utc) + BEFORE_MIDNIGHT).date()
        began = time.monotonic()
        try:
            await answers.progress()
            if (today, answers.lost) != ready:
                ready = today, answers.lost
                customers = await answers.make_ready(date_range(None, None, today, retention_days))
                log.info("list_ready", customers=customers, seconds=round(time.monotonic() - began, 3))
        except StorageError as error:
            ready = None
            # Whoever asks is told. It is tried again.
            log.debug("store_away", reason=str(error))
        await asyncio.sleep(LOOK_SECONDS)
