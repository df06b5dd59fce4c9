"""HEAD: the response of GET without its body (RFC 9110, section 9.3.2). FastAPI's routes serve GET alone."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """Middleware that serves HEAD as GET, and removes the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        is_head, is_sent = scope["method"] == "HEAD", False

        async def answer(message: Message) -> None:
            nonlocal is_sent
            if message["type"] == "http.response.start" and message["status"] == 405:
                headers = MutableHeaders(raw=message["headers"])
                if headers.get("Allow") == "GET":
                    headers["Allow"] = "GET, HEAD"
            if is_head and message["type"] == "http.response.body":
                # The first part ends the response, because a stream has no last one.
                message = {"type": "http.response.body", "body": b""}
                if is_sent:
                    return
                is_sent = True
            await send(message)

        # A copy, because the server must see HEAD: otherwise it waits for the body.
        await self._app({**scope, "method": "GET"} if is_head else scope, receive, answer)
