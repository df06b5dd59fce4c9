"""Builds the application of its parts."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware

from api.access.access import Access, KeyAccess, OpenAccess
from api.access.authentication import Authentication
from api.access.links import Links
from api.access.sites import RefuseOtherSites
from api.caching.change_feed import ChangeFeed
from api.caching.customer_days import CustomerDays
from api.caching.customer_figures import CustomerFigures
from api.caching.prewarming import keep_prewarmed
from api.caching.row_cache import RowCache
from api.caching.single_flight import SingleFlight
from api.caching.span_days import SpanDays
from api.http.errors import add_error_handlers
from api.http.head import Head
from api.http.hosts import AllowedHosts
from api.http.metrics import MeasureRequests, metrics
from api.http.request_ids import HEADER, RequestIds
from api.http.security_headers import SecurityHeaders
from api.page.files import serve_page
from api.questions.calendar import UTC
from api.questions.question import CachedStore
from api.questions.responding import Responder
from api.questions.status import StatusReader
from api.routes import customers, endpoints, events, service, sessions
from api.routes.documentation import document_errors
from api.routes.request_cache import RequestCache
from service.version import VERSION
from storage.contract import Storage

# The headers of an answer that pages of other origins may read.
EXPOSED_HEADERS = ["ETag", "Complete-Through", "Missing", "Content-Disposition", "Link", "Retry-After", HEADER]


def build_app(
    storage: Storage,
    retention_days: int,
    cors_origins: Sequence[str] = (),
    allowed_hosts: Collection[str] | None = None,
    access: Access | None = None,
    counts_retention_days: int = 0,
    time_zone: str = UTC,
) -> FastAPI:
    """The application that answers from `storage`, and closes it in the end.

    `cors_origins`: the origins whose pages may ask it, beside its own. `allowed_hosts`: the hosts under which clients
    may ask it, see `AllowedHosts`; None: any.
    `access`: who may ask; None: everyone. `counts_retention_days`: how many days of counts are kept, if more than
    `retention_days`. `time_zone`: the zone of days where a question names none.
    """
    access = access or OpenAccess()
    asks_for_keys = isinstance(access, KeyAccess)
    feed = ChangeFeed(storage)
    rows = RowCache()
    days = CustomerDays(storage, feed.invalidations, rows)
    figures = CustomerFigures(storage, feed.invalidations, rows)
    spans = SpanDays(storage, feed.invalidations, feed.rolled_up)
    status_reader = StatusReader(storage, feed)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        prewarming = asyncio.create_task(keep_prewarmed(feed, figures, days, spans, retention_days))
        yield
        prewarming.cancel()
        await storage.aclose()

    app = FastAPIOffline(
        title="Request statistics",
        description="Exact statistics of a log of requests, by customer and day. Days are those of UTC or, where an "
        "operation has the parameter `tz`, of a time zone. Lists of customers, paths and errors know UTC days alone.",
        version=VERSION,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        # Without null, Swagger UI sends the document to a server on the internet that validates it.
        swagger_ui_parameters={"validatorUrl": None},
    )
    # The routes read their collaborators from here.
    app.state.ping = SingleFlight(storage.ping)
    app.state.retention_days = retention_days
    app.state.counts_retention_days = max(retention_days, counts_retention_days)
    app.state.time_zone = time_zone
    app.state.access = access
    app.state.feed = feed
    app.state.responder = Responder(feed, CachedStore(storage, days, figures, spans), access)
    app.state.request_cache = RequestCache(app.router.middleware_stack, app.state.responder)
    app.state.status_reader = status_reader
    app.state.events = events.Events(feed, status_reader)
    routers = [customers.router, endpoints.router, service.router, events.router, sessions.router]
    if asks_for_keys:
        routers.append(sessions.key_router)
    for router in routers:
        # As they are: `include_router` would build each anew at the first request, and match each request twice.
        app.router.routes.extend(router.routes)
    serve_page(app)
    app.add_api_route("/metrics", metrics, include_in_schema=False)
    app.router.middleware_stack = app.state.request_cache
    if isinstance(access, KeyAccess):
        # Around the request cache, and inside of the error handling.
        app.router.middleware_stack = Authentication(app.state.request_cache, access)
    # The last one is the outermost.
    app.add_middleware(RefuseOtherSites, origins=cors_origins)
    if allowed_hosts is not None:
        app.add_middleware(AllowedHosts, hosts=allowed_hosts)
    app.add_middleware(MeasureRequests)
    app.add_middleware(Head)
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=cors_origins,
            allow_methods=["GET", "HEAD"],
            # Never with cookies: a page of another origin needs a key of its own.
            allow_headers=["Authorization"] if asks_for_keys else [],
            expose_headers=EXPOSED_HEADERS,
        )
    app.add_middleware(SecurityHeaders, is_private=asks_for_keys)
    app.add_middleware(RequestIds)
    if asks_for_keys:
        app.add_middleware(Links)
    add_error_handlers(app)
    document_errors(app, asks_for_keys)
    return app
