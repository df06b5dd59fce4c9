"""HEAD: what GET answers, without the body (RFC 9110, section 9.3.2). FastAPI's routes know GET alone."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """Middleware that asks for HEAD as for GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        is_head, is_answered = scope["method"] == "HEAD", False

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                MutableHeaders(raw=message["headers"])["Allow"] = "GET, HEAD"
            nonlocal is_answered
            if is_head and message["type"] == "http.response.body":
                # At the first of several, or what has no end would be waited for.
                message = {"type": "http.response.body", "body": b""}
                if is_answered:
                    return
                is_answered = True
            await send(message)

        # A copy: the server has to know of the true method, or it waits for the body.
        await self._app({**scope, "method": "GET"} if is_head else scope, receive, answer)
