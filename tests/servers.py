"""Real web servers that write logs: each with its configuration as docs/logs.md has it, and what is sent to them."""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest
import yaml

from influxd import free_port
from until import wait_until

DOCS = (Path(__file__).parents[1] / "docs/logs.md").read_text()
TIMEOUT = "1"
"""Seconds after which a server gives a slow client up."""
HEAD = b"Host: shop\r\nConnection: close\r\n"
USER = "John Doe"
AUTHORIZATION = b"Authorization: Basic " + base64.b64encode(f"{USER}:x".encode()) + b"\r\n"
PLACES = ":/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"


class Sent(NamedTuple):
    """A request that a server has answered."""

    customer: str
    """What X-Customer said, `-` where it said nothing."""
    method: str
    path: str
    status: int | None
    """What the answer said; None where it said nothing, as in HTTP/0.9."""


@dataclass(frozen=True)
class Running:
    """A server."""

    port: int
    folder: Path
    """Its logs are here, called as in the documentation."""


def snippets(server: str) -> dict[str, list[str]]:
    """The blocks of a server's section in the documentation, by their languages."""
    _, _, text = DOCS.partition(f"\n### {server}\n")
    text = re.split(r"\n##", text, maxsplit=1)[0]
    found: dict[str, list[str]] = {}
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        found.setdefault(language, []).append(block)
    return found


def settings(server: str, block: int = 0) -> dict[str, str]:
    """The settings of a command in a server's section, but for the log's path."""
    (command, *_) = snippets(server)["sh"][block].splitlines()
    found = re.findall(r"^([A-Z_]+)=(?:'([^']*)'|(\S*)) ?|(?<= )([A-Z_]+)=(?:'([^']*)'|(\S*))", command)
    values = {one[0] or one[3]: one[1] or one[2] or one[4] or one[5] for one in found}
    return {
        name.lower(): value for name, value in values.items() if name.startswith("LOG_") and name != "LOG_FILE_PATH"
    }


def program(name: str) -> str:
    """Where a program is; the test is skipped where it is not."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}{PLACES}"
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"there is no {name} on this machine")
    return found


@contextmanager
def _running(command: Sequence[str], folder: Path, port: int, output: str = "output") -> Iterator[Running]:
    environment = {
        **os.environ,
        "HOME": str(folder),
        "TZ": "UTC",
        "APACHE_LOG_DIR": str(folder),
        "PYTHONPATH": str(folder),
    }
    with (folder / output).open("wb") as written, (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(command, stdout=written, stderr=errors, env=environment, cwd=folder)
    try:

        def listens() -> bool:
            assert process.poll() is None, (folder / "errors").read_text() + (folder / output).read_text()
            # Without a connection, which some servers log.
            return f" 0100007F:{port:04X} 00000000:0000 0A " in Path("/proc/net/tcp").read_text()

        wait_until(listens, f"{command[0]} listens")
        yield Running(port, folder)
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def nginx(folder: Path) -> Iterator[Running]:
    """nginx with the documentation's logs, and with `combined.log`, `escaped.log` (JSON without escape=json) and
    `ingress.log` (the format of ingress-nginx)."""
    port = free_port()
    documented = "".join(snippets("nginx")["nginx"]).replace("/var/log/nginx", str(folder))
    objects = snippets("nginx")["nginx"][1].replace("/var/log/nginx/objects.log", f"{folder}/escaped.log")
    escaped = objects.replace(" escape=json", "").replace("log_format objects", "log_format escaped")
    configuration = f"""
            client_header_timeout {TIMEOUT}s;
            {documented}
            {escaped.replace(" objects;", " escaped;")}
            log_format ingress '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                '"$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] '
                '[] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $request_id';
            access_log {folder}/combined.log combined;
            access_log {folder}/ingress.log ingress;
            server {{
                listen 127.0.0.1:{port};
                set $proxy_upstream_name shop-api-80;
                location / {{ return 200; }}
                location /missing {{ return 404; }}
                location /broken {{ return 503; }}
            }}
        """
    with nginx_with(folder, port, configuration) as running:
        yield running


@contextmanager
def nginx_with(folder: Path, port: int, configuration: str) -> Iterator[Running]:
    """nginx with these contents of its `http` block, which has it listen on the port."""
    temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    (folder / "nginx.conf").write_text(f"""
        {"user root;" if os.getuid() == 0 else ""}
        daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
        events {{}}
        http {{
            {" ".join(f"{name}_temp_path {folder}/{name};" for name in temporary)}
            {configuration}
        }}
        """)
    with _running([program("nginx"), "-c", str(folder / "nginx.conf"), "-e", "stderr"], folder, port) as running:
        yield running


@contextmanager
def apache(folder: Path) -> Iterator[Running]:
    """Apache with the documentation's log, and with `common.log`, `combined.log` and `other_vhosts_access.log`."""
    port = free_port()
    command = program("apache2")
    modules = Path("/usr/lib/apache2/modules")
    wanted = ("mpm_event", "authz_core", "authn_core", "auth_basic", "authn_file", "authz_user", "reqtimeout", "alias")
    documents = folder / "documents"
    documents.mkdir()
    # The server gives its rights up, root's temporary folders are closed, and the tests may run with any umask.
    user = "User nobody\nGroup nogroup" if os.getuid() == 0 else ""
    # htpasswd's SHA-1 of "x".
    (documents / "users").write_text(f"{USER}:{{SHA}}EfatjsUqKYSrrlZjrn3V5kZf++U=\n")
    documents.chmod(0o755)
    (documents / "users").chmod(0o644)
    for open_folder in (folder, *folder.parents):
        found = open_folder.stat()
        if found.st_uid == os.getuid() and not found.st_mode & 0o1:
            open_folder.chmod(found.st_mode | 0o11)
    (folder / "apache.conf").write_text(
        "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in wanted)
        + f"""
ServerRoot {folder}
ServerName shop.example.net
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
Mutex file:{folder} default
Listen 127.0.0.1:{port}
{user}
DocumentRoot {documents}
ErrorLog {folder}/error.log
RequestReadTimeout header={TIMEOUT}
Redirect 503 /broken
Redirect 410 /orders
<Location /signed>
    AuthType Basic
    AuthName shop
    AuthUserFile {documents}/users
    Require valid-user
</Location>
{"".join(snippets("Apache")["apache"])}
LogFormat "%v:%p %h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" vhost_combined
CustomLog ${{APACHE_LOG_DIR}}/other_vhosts_access.log vhost_combined
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" combined
CustomLog ${{APACHE_LOG_DIR}}/combined.log combined
LogFormat "%h %l %u %t \\"%r\\" %>s %O" common
CustomLog ${{APACHE_LOG_DIR}}/common.log common
"""
    )
    with _running([command, "-f", str(folder / "apache.conf"), "-DFOREGROUND"], folder, port) as running:
        yield running


@contextmanager
def haproxy(folder: Path) -> Iterator[Running]:
    """HAProxy, which writes its log to `output`; `option` is that of its log."""
    with _haproxy(folder, "option httplog") as running:
        yield running


@contextmanager
def haproxy_clf(folder: Path) -> Iterator[Running]:
    """HAProxy that writes the common log format."""
    with _haproxy(folder, "option httplog clf") as running:
        yield running


@contextmanager
def haproxy_https(folder: Path) -> Iterator[Running]:
    """HAProxy that writes about TLS as well."""
    with _haproxy(folder, "option httpslog") as running:
        yield running


@contextmanager
def _haproxy(folder: Path, option: str) -> Iterator[Running]:
    port = free_port()
    documented = "".join(snippets("HAProxy")["haproxy"]).replace("bind :8080", f"bind 127.0.0.1:{port}")
    timeouts = "\n    ".join(f"timeout {what} {TIMEOUT}s" for what in ("http-request", "client", "connect", "server"))
    (folder / "haproxy.cfg").write_text(
        documented.replace("option httplog", f"{option}\n    {timeouts}")
        + """
backend shop
    http-request return status 404 if { path_beg /missing }
    http-request return status 503 if { path_beg /broken }
    http-request return status 200
"""
    )
    with _running([program("haproxy"), "-f", str(folder / "haproxy.cfg")], folder, port) as running:
        yield running


@contextmanager
def gunicorn(folder: Path) -> Iterator[Running]:
    """gunicorn; its log is `access.log`."""
    port = free_port()
    (folder / "shop.py").write_text(
        "STATUSES = {'/missing': '404 Not Found', '/broken': '503 Service Unavailable'}\n"
        "def app(environ, start_response):\n"
        "    start_response(STATUSES.get(environ['PATH_INFO'][:8].rstrip('/'), '200 OK'), [('Content-Length', '2')])\n"
        "    return [b'ok']\n"
    )
    program("gunicorn")
    command = snippets("gunicorn")["sh"][0].replace("/var/log/shop", str(folder))
    shell = f"PATH={Path(sys.executable).parent}:$PATH exec {command.strip()} --bind 127.0.0.1:{port}"
    with _running(["sh", "-c", shell], folder, port) as running:
        yield running


@contextmanager
def uvicorn(folder: Path) -> Iterator[Running]:
    """uvicorn; its log is `access.log`."""
    port = free_port()
    (folder / "shop.py").write_text(
        "STATUSES = {'/missing': 404, '/broken': 503}\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'http':\n"
        "        status = STATUSES.get(scope['path'][:8].rstrip('/'), 200)\n"
        "        headers = [(b'content-length', b'2')]\n"
        "        await send({'type': 'http.response.start', 'status': status, 'headers': headers})\n"
        "        await send({'type': 'http.response.body', 'body': b'ok'})\n"
    )
    (folder / "logging.json").write_text(snippets("uvicorn")["json"][0].replace("/var/log/shop", str(folder)))
    command = [program("uvicorn"), "--port", str(port), "--log-config", "logging.json", "--lifespan", "off", "shop:app"]
    with _running(command, folder, port) as running:
        yield running


@contextmanager
def caddy(folder: Path) -> Iterator[Running]:
    """Caddy; its log is `access.log`."""
    port = free_port()
    documented = snippets("Caddy")["caddy"][0].replace("/var/log/caddy", str(folder))
    (folder / "Caddyfile").write_text(
        f"{{\n admin off\n auto_https off\n}}\nhttp://:{port} {{\n bind 127.0.0.1\n{documented}\n"
        "handle /missing* {\n respond 404\n}\nhandle /broken* {\n respond 503\n}\nrespond ok\n}\n"
    )
    command = [program("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    with _running(command, folder, port) as running:
        yield running


@contextmanager
def envoy(folder: Path) -> Iterator[Running]:
    """Envoy with the documentation's logs: `access.log` (JSON) and `text.log`."""
    port = free_port()
    objects, text = map(yaml.safe_load, snippets("Envoy")["yaml"])
    (log,) = objects["access_log"]
    logs = []
    for name, log_format in (("access.log", log["typed_config"]["log_format"]), ("text.log", text["log_format"])):
        configured = {**log["typed_config"], "path": str(folder / name), "log_format": log_format}
        logs.append({**log, "typed_config": configured})
    routes = [
        {"match": {"prefix": prefix}, "direct_response": {"status": status}}
        for prefix, status in (("/missing", 404), ("/broken", 503), ("/", 200))
    ]
    of_envoy = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{of_envoy}.http.router.v3.Router"}}
    http = {
        "@type": f"{of_envoy}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "shop",
        "request_headers_timeout": f"{TIMEOUT}s",
        "stream_idle_timeout": f"{TIMEOUT}s",
        # It closes a connection so long after its answer.
        "delayed_close_timeout": "0.05s",
        "access_log": logs,
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "shop", "domains": ["*"], "routes": routes}]},
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": http}]}],
    }
    (folder / "envoy.json").write_text(json.dumps({"static_resources": {"listeners": [listener]}}))
    command = [program("envoy"), "--config-path", "envoy.json", "--disable-hot-restart", "--concurrency", "1"]
    with _running([*command, "--file-flush-interval-msec", "50", "--log-level", "error"], folder, port) as running:
        yield running


@contextmanager
def traefik(folder: Path) -> Iterator[Running]:
    """Traefik; its log is `access.log`. A service of this process answers its requests."""
    port = free_port()
    configured = yaml.safe_load(snippets("Traefik")["yaml"][0].replace("/var/log/traefik", str(folder)))
    with _service() as address:
        rules = {
            "http": {
                "routers": {"shop": {"rule": "PathPrefix(`/`)", "service": "shop", "entryPoints": ["web"]}},
                "services": {"shop": {"loadBalancer": {"servers": [{"url": address}]}}},
            }
        }
        (folder / "rules.json").write_text(json.dumps(rules))
        configured |= {
            "entryPoints": {"web": {"address": f"127.0.0.1:{port}"}},
            "providers": {"file": {"filename": "rules.json", "watch": False}},
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        }
        (folder / "traefik.json").write_text(json.dumps(configured))
        with _running([program("traefik"), "--configFile=traefik.json"], folder, port) as running:
            yield running


class _Shop(BaseHTTPRequestHandler):
    """Answers with the statuses that the other servers are configured to answer with."""

    protocol_version = "HTTP/1.1"

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        statuses = {"/missing": 404, "/broken": 503}
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(statuses.get(self.path[:8].rstrip("/"), 200))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing to the output of the tests."""


@contextmanager
def _service() -> Iterator[str]:
    """A service behind a proxy: its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(port: int, data: bytes) -> bytes:
    """Send bytes, and read until the server closes the connection."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        try:
            while some := connection.recv(1 << 16):
                answer += some
        except ConnectionResetError:
            # The server did not read all of it.
            pass
    return answer


def send(port: int, customer: str, method: str, path: str, headers: bytes = b"") -> Sent:
    """Send a request as clients do."""
    named = f"X-Customer: {customer}\r\n".encode() if customer != "-" else b""
    answer = ask(port, f"{method} {path} HTTP/1.1\r\n".encode() + HEAD + named + headers + b"\r\n")
    return Sent(customer, method, path, status_of(answer))


def status_of(answer: bytes) -> int | None:
    """What an answer says."""
    match = re.match(rb"HTTP/1\.[01] ([0-9]{3}) ", answer)
    return int(match[1]) if match else None


STRANGE: dict[str, bytes] = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(128, 200)) + b"\r\n\r\n",
    "NULs": b"\x00\x0e8\x00\x00\x00\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n",
    "HTTP/0.9, ended": b"GET /missing\r\n\r\n",
    "spaces in the path": b"GET /a b c HTTP/1.1\r\n" + HEAD + b"\r\n",
    "quotation marks": b'GET /"a\\" HTTP/1.1\r\n' + HEAD + b'Referer: ""\r\nUser-Agent: x" [ \\\\ "y\r\n\r\n',
    "not UTF-8": b"GET /b\xff HTTP/1.1\r\n" + HEAD + b"X-Customer: a\xff\xfeb\r\n\r\n",
    "a tab": b"GET /c HTTP/1.1\r\n" + HEAD + b"X-Customer: a\tb\r\n\r\n",
    "a header twice": b"GET /d HTTP/1.1\r\n" + HEAD + b"X-Customer: acme\r\nX-Customer: other\r\n\r\n",
    "an empty header": b"GET /e HTTP/1.1\r\n" + HEAD + b"X-Customer:   \r\n\r\n",
    "a long query": b"GET /f?" + b"q" * 7_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "414": b"GET /" + b"q" * 40_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a tunnel": b"CONNECT shop.example.net:443 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a whole URL": b"GET http://shop.example.net/abs HTTP/1.1\r\n" + HEAD + b"\r\n",
    "another protocol": b"OPTIONS / RTSP/1.0\r\n\r\n",
    "a small method": b"get /lower HTTP/1.1\r\n" + HEAD + b"\r\n",
    "another method": b"BREW /pot HTTP/1.1\r\n" + HEAD + b"\r\n",
    "408": b"POST /i HTTP/1.1\r\nHost: shop\r\n",
    "408 in the first line": b"GET /slow HT",
}


def send_strange(port: int, names: Sequence[str]) -> list[int | None]:
    """Send these of STRANGE at once: their statuses."""
    with ThreadPoolExecutor(len(names)) as threads:
        return [status_of(answer) for answer in threads.map(lambda name: ask(port, STRANGE[name]), names)]
