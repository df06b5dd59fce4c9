"""The routes about the service itself."""

import time

from fastapi import Request

from api.routes.documentation import NOT_ALLOWED, STORE_UNAVAILABLE, service
from api.routes.router import new_router
from api.schemas.status import Health, StoreStatus

router = new_router()


@router.get(
    "/status",
    tags=["service"],
    summary="How far the store is in each log",
    response_model=StoreStatus,
    responses={**service("status"), **NOT_ALLOWED, **STORE_UNAVAILABLE},
)
async def status(request: Request) -> StoreStatus:
    """What was read, stored and rejected of each log, what is not stored yet, and when the processor last reported."""
    request.app.state.access.require_operator(request.scope)
    answer: StoreStatus = await request.app.state.status_reader.status(time.time())
    return answer


@router.get("/health", tags=["service"], summary="Whether the api answers", responses=service("health"))
async def health() -> Health:
    """Answers whenever the process runs, whatever the state of the store."""
    return Health()


@router.get(
    "/ready", tags=["service"], summary="Whether the store answers", responses={**service("ready"), **STORE_UNAVAILABLE}
)
async def ready(request: Request) -> Health:
    """Answers once questions can be answered."""
    await request.app.state.ping()
    return Health()
