"""`python -m bench.constant`: an endpoint that returns BODY_BYTES bytes, always the same, served as the api is."""

import os

from fastapi import FastAPI, Response

from api.http.server import listen, serve
from service.logs import configure


def main() -> None:
    configure("constant", "INFO")
    body = b'"' + b"x" * (int(os.environ["BODY_BYTES"]) - 2) + b'"'
    app = FastAPI()

    @app.get("/constant")
    async def constant() -> Response:
        return Response(body, media_type="application/json")

    serve(app, listen("127.0.0.1", int(os.environ["API_PORT"])), "INFO")


if __name__ == "__main__":
    main()
