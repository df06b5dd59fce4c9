"""The listening socket of the api."""

import socket

from api.http.server import listen
from influxd import free_port


def test_connections_have_no_delay() -> None:
    # Otherwise each response waits 40 ms for the client's delayed acknowledgement.
    port = free_port()
    with listen("127.0.0.1", port) as listener, socket.create_connection(("127.0.0.1", port)):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
