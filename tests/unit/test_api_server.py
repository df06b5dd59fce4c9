"""The api's socket."""

import socket

from api.http.server import listen
from influxd import free_port


def test_connections_send_at_once() -> None:
    # Otherwise each answer waits for the client's delayed acknowledgement, 40 ms.
    port = free_port()
    with listen("127.0.0.1", port) as listener, socket.create_connection(("127.0.0.1", port)):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
