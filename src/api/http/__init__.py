"""Owns what every request passes through: socket, server, request ids, headers, hosts, HEAD, errors, metrics. Does not
own routes, and does not know what a request asks for."""
