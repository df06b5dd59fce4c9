"""Prewarming: reads the figures of all customers before the first question about them.

With many customers that takes seconds. It happens when the api starts, before each midnight, and when the change feed
cannot tell what has changed. The store remembers its latest commits only, so the feed is also polled while idle.

Without the daily counts of some customers, which are prewarmed as well, first answers take 1.5 times as long. So are
their roll-ups, for answers about local days: those that are behind the counts only once they have caught up.
"""

import asyncio
import time
from datetime import datetime, timedelta, timezone

from api.caching.change_feed import ChangeFeed
from api.caching.customer_days import CustomerDays
from api.caching.customer_figures import CustomerFigures
from api.caching.span_days import SpanDays
from api.utc import to_day
from service.logs import logger
from storage.errors import StorageError

# How long before midnight the next day's range is prewarmed.
_BEFORE_MIDNIGHT = timedelta(minutes=5)
# Between two polls of the change feed, in seconds.
_POLL_SECONDS = 10.0
CUSTOMERS = 200
"""How many customers have their daily counts and their roll-ups prewarmed. Each takes up to a megabyte."""

log = logger(__name__)


async def keep_prewarmed(
    feed: ChangeFeed, figures: CustomerFigures, days: CustomerDays, spans: SpanDays, retention_days: int
) -> None:
    """Prewarm whenever it is needed, until cancelled."""
    prewarmed = with_rollups = None
    customers = 0
    while True:
        today = to_day((datetime.now(timezone.utc) + _BEFORE_MIDNIGHT).date())
        began = time.monotonic()
        try:
            await feed.poll()
            wanted = today, feed.invalidations.of_everything
            kept = range(today - retention_days, today + 1)
            is_new = wanted != prewarmed
            if is_new:
                prewarmed = wanted
                customers = await prewarm(figures, days, kept)
            # Roll-ups that are behind would have to be read again.
            if wanted != with_rollups and feed.rolled_up.latest >= feed.invalidations.of_everything:
                with_rollups = wanted
                await spans.prewarm((await figures.over(kept)).busiest(CUSTOMERS), kept)
            if is_new:
                log.info("prewarmed", customers=customers, seconds=round(time.monotonic() - began, 3))
        except StorageError as error:
            prewarmed = with_rollups = None
            # Questions report it to their clients; the next turn tries again.
            log.debug("prewarming_failed", reason=str(error))
        except Exception:
            # A fault of ours costs this day's prewarming alone, and is told.
            log.exception("prewarming_failed")
        await asyncio.sleep(_POLL_SECONDS)


async def prewarm(figures: CustomerFigures, days: CustomerDays, kept: range, customers: int = CUSTOMERS) -> int:
    """Read the figures of all customers over these days, and the daily counts of the ones with the most requests.

    Returns how many customers have requests.
    """
    figures.keep(kept)
    found = await figures.over(kept)
    for customer in found.busiest(customers):
        await days.prewarm(customer, kept)
        # Lets questions in between.
        await asyncio.sleep(0)
    return len(found)
