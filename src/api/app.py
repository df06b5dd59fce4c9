"""The application: routes, errors, documentation."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware

from api.caching.prewarming import keep_ready
from api.http.errors import answer_errors
from api.http.head import Head
from api.http.metrics import Measured, metrics
from api.http.request_ids import HEADER, RequestIds
from api.http.security_headers import SecurityHeaders
from api.page.files import serve_page
from api.questions.request_cache import AnswerKnown, KnownQuestions
from api.questions.responding import Answers
from api.routes.breakdowns import router as breakdown_router
from api.routes.customers import router
from api.routes.events import Events
from api.routes.events import router as events_router
from service.version import VERSION
from storage.contract import Storage

# What a page of another origin may read of an answer, beside its body.
EXPOSED_HEADERS = ["ETag", "Complete-Through", "Content-Disposition", "Link", "Retry-After", HEADER]


def build_app(storage: Storage, retention_days: int, cors_origins: Sequence[str] = ()) -> FastAPI:
    """The application. It answers from `storage`, and closes it in the end. Pages of `cors_origins` may ask, and those
    of others may not."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(keep_ready(app.state.answers, retention_days))
        yield
        warming.cancel()
        await storage.aclose()

    app = FastAPIOffline(
        title="Request statistics",
        description="Exact statistics of a log of requests, by customer and UTC day.",
        version=VERSION,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        # Without null here Swagger UI has the document checked by a server on the internet.
        swagger_ui_parameters={"validatorUrl": None},
    )
    app.state.storage = storage
    app.state.answers = Answers(storage)
    app.state.known = KnownQuestions()
    app.state.events = Events(app.state.answers)
    app.state.retention_days = retention_days
    app.include_router(router)
    app.include_router(breakdown_router)
    app.include_router(events_router)
    serve_page(app)
    app.add_api_route("/metrics", metrics, include_in_schema=False)
    # The last one is the outermost.
    app.add_middleware(AnswerKnown, known=app.state.known, answers=app.state.answers)
    app.add_middleware(Measured)
    app.add_middleware(Head)
    if cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=cors_origins, allow_methods=["GET", "HEAD"], expose_headers=EXPOSED_HEADERS
        )
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestIds)
    answer_errors(app)
    return app
