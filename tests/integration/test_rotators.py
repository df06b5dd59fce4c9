"""Logs that real software writes and rotates: each line is counted once, and there is no gap."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

import oracle
from influxd import free_port
from lines import valid_lines
from maven import classpath
from pipeline import Pipeline
from until import wait_until

pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)

ROTATORS = Path(__file__).parents[1] / "rotators"
# Most of what a program in Java costs here is its start.
JAVA = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]


class Written:
    """Keeps the lines that were written, and compares them with the lines that are counted."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._lines: list[bytes] = []

    def more(self, count: int, path_length: int = 0) -> bytes:
        """New lines to write, each unique. `path_length`: characters of each line's path, at least."""
        lines = valid_lines(count, seed=len(self._lines)).replace(b"/api/", b"/api/" + b"x" * path_length)
        self._lines.append(lines)
        return lines

    def until_counted(self) -> None:
        """Wait until every line is counted, and compare."""
        lines = b"".join(self._lines)
        until_read(self._pipeline, lines.count(b"\n"))
        assert self._pipeline.stored() == oracle.days_of(lines)


def until_read(pipeline: Pipeline, lines: int) -> None:
    """Wait until `lines` lines are read, and assert that none is missing, and that there are no others."""
    pipeline.until(lambda: sum(row.read for row in pipeline.ledger()) >= lines, f"{lines} lines are read")
    pipeline.until(pipeline.is_committed, "the commit has ended")
    rows = pipeline.ledger()
    assert [gap for row in rows for gap in row.gaps] == []
    assert (sum(row.read for row in rows), sum(row.stored for row in rows)) == (lines, lines)


def follow(pipeline: Pipeline, *logs: Path, **settings: str) -> None:
    """Start, and wait until all logs are followed."""
    begun = pipeline.said().count("event=following") if pipeline.output.exists() else 0
    pipeline.start(LOG_FILES=",".join(map(str, logs)), **settings)
    pipeline.until(lambda: pipeline.said().count("event=following") == begun + len(logs), "the logs are followed")


def rotate_before_and_after_a_restart(
    pipeline: Pipeline, until_counted: Callable[[], None], logs: list[Path], write_and_rotate: Callable[[int], None]
) -> None:
    """Write and rotate while the processor runs, while it does not, and when it runs again.

    `write_and_rotate` gets another number each time.
    """
    follow(pipeline, *logs)
    for number in range(3):
        write_and_rotate(number)
        if number == 0:
            until_counted()
    until_counted()
    assert pipeline.end() == 0
    for number in range(3, 5):
        write_and_rotate(number)
    follow(pipeline, *logs)
    until_counted()
    for number in range(5, 7):
        write_and_rotate(number)
    until_counted()
    assert pipeline.end() == 0


# logrotate.


@pytest.mark.skipif(not shutil.which("logrotate"), reason="logrotate is not here")
@pytest.mark.parametrize(
    "options",
    [
        ["create"],
        ["create", "compress"],
        ["create", "compress", "delaycompress"],
        ["create", "dateext"],
        ["create", "dateext", "dateformat -%Y%m%d-%s"],
        ["create", "dateext", "dateformat .%Y-%m-%d_%s", "extension .log", "compress", "delaycompress"],
        ["create", "olddir old", "createolddir"],
        ["create", "olddir old", "createolddir", "dateext", "dateformat -%s", "compress"],
        ["create", "sharedscripts"],
        ["copytruncate"],
        ["copytruncate", "compress"],
        ["copytruncate", "dateext", "dateformat -%s", "compress", "delaycompress"],
        ["copytruncate", "olddir old", "createolddir"],
        ["copytruncate", "olddir old", "createolddir", "dateext", "dateformat -%s", "compress"],
        ["copytruncate", "holes"],
        ["copytruncate", "holes", "compress", "delaycompress"],
    ],
    ids=" ".join,
)
def test_logrotate(pipeline: Pipeline, tmp_path: Path, options: list[str]) -> None:
    folder = tmp_path / "logs"
    (folder / "old").mkdir(parents=True)
    logs = [folder / "shop.log", folder / "orders.access.log"]
    flags = os.O_WRONLY | os.O_CREAT | (0 if "holes" in options else os.O_APPEND)
    files = [os.open(log, flags) for log in logs]
    written = Written(pipeline)
    configuration = tmp_path / "logrotate.conf"
    script = "  postrotate\n    true\n  endscript\n" if "sharedscripts" in options else ""
    settings = "".join(f"  {option}\n" for option in options if option != "holes")
    configuration.write_text(f"{folder}/*.log {{\n  rotate 99\n{settings}{script}}}\n")
    configuration.chmod(0o644)
    has_seconds = any("%s" in option for option in options)
    # Lines that are written to a file after its compression are lost.
    is_late = "copytruncate" not in options and ("compress" not in options or "delaycompress" in options)

    def write_and_rotate(number: int) -> None:
        half_lines = [written.more(1) if is_late else b"" for _ in logs]
        for file, line in zip(files, half_lines, strict=True):
            os.write(file, written.more(100 + number) + line[:20])
        if number == 0:
            # The new path of a moved file is known only if the file was seen before.
            pipeline.until(lambda: pipeline.said().count("event=file_begun") == len(logs), "the logs are begun")
        if has_seconds:
            _until_another_second()
        run = ["logrotate", "--force", "--state", str(tmp_path / "state"), str(configuration)]
        # A rotation fails if the log was rotated today. Then it leaves the log as it is.
        may_fail = options == ["create", "dateext"]
        rotated = subprocess.run(run, capture_output=True, text=True)
        assert may_fail or rotated.returncode == 0, rotated.stderr
        for place, (log, line) in enumerate(zip(logs, half_lines, strict=True)):
            os.write(files[place], line[20:])
            if "copytruncate" not in options:
                os.close(files[place])
                files[place] = os.open(log, flags)
            os.write(files[place], written.more(10))

    rotate_before_and_after_a_restart(pipeline, written.until_counted, logs, write_and_rotate)
    for file in files:
        os.close(file)


def _until_another_second() -> None:
    """Wait for another second, because rotation by the second gives two files of a second the same name.

    The rotator's clock may be some milliseconds behind.
    """
    second = int(time.time()) + 1.1
    wait_until(lambda: time.time() > second, "a second has passed")


# Writers that rotate their logs themselves.


class Writer:
    """A program that writes the lines of its input to a log."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def write(self, lines: bytes) -> None:
        """Make the program write these lines, and return when it has."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(lines + b"\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"written\n"


@contextmanager
def writer(*command: str | Path, folder: Path) -> Iterator[Writer]:
    """Run such a program until it has written all lines."""
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Writer(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("handler", ["size", "gzip", "timed"])
def test_pythons_handlers(pipeline: Pipeline, tmp_path: Path, handler: str) -> None:
    log = tmp_path / "access.log"
    written = Written(pipeline)
    with writer(sys.executable, ROTATORS / "python_logging.py", log, handler, folder=tmp_path) as python:

        def write(_number: int) -> None:
            if handler == "timed":
                _until_another_second()
            python.write(written.more(700))

        rotate_before_and_after_a_restart(pipeline, written.until_counted, [log], write)
    assert len(list(tmp_path.glob("access.log.*"))) >= 6


@pytest.mark.parametrize("compression", ["plain", "gzip"])
def test_lumberjack(pipeline: Pipeline, tmp_path: Path, compression: str) -> None:
    if not shutil.which("go"):
        pytest.skip("no go on PATH, for lumberjack")
    program = tmp_path / "lumberjack"
    build = ["go", "build", "-o", str(program), "lumberjack.go"]
    built = subprocess.run(build, cwd=ROTATORS, capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.skip(f"go cannot get lumberjack: {built.stderr.splitlines()[-1]}")
    log = tmp_path / "access.log"
    written = Written(pipeline)
    with writer(program, log, compression, folder=tmp_path) as go:
        # The program rotates at a megabyte.
        rotate_before_and_after_a_restart(
            pipeline, written.until_counted, [log], lambda _: go.write(written.more(700, 2_000))
        )
    assert len(list(tmp_path.glob("access-*"))) >= 6


def jars(cache: pytest.Cache, name: str) -> str:
    """The class path of a program in Java, which Java compiles when it starts. Skips the test where that cannot be."""
    if not shutil.which("javac"):
        pytest.skip(f"no javac on PATH, for {name}")
    return classpath(cache, ROTATORS / f"{name}.xml")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_logback(pipeline: Pipeline, cache: pytest.Cache, tmp_path: Path, ending: str) -> None:
    log = tmp_path / "access.log"
    configuration = tmp_path / "logback.xml"
    configuration.write_text(f"""
        <configuration>
          <appender name="file" class="ch.qos.logback.core.rolling.RollingFileAppender">
            <file>{log}</file>
            <rollingPolicy class="ch.qos.logback.core.rolling.SizeAndTimeBasedRollingPolicy">
              <fileNamePattern>{tmp_path}/access.%d{{yyyy-MM-dd}}.%i.log{ending}</fileNamePattern>
              <maxFileSize>20KB</maxFileSize>
            </rollingPolicy>
            <encoder><pattern>%msg%n</pattern></encoder>
          </appender>
          <root level="info"><appender-ref ref="file"/></root>
        </configuration>""")
    java = [
        *JAVA,
        "-cp",
        jars(cache, "logback"),
        str(ROTATORS / "Logback.java"),
        str(configuration),
    ]
    written = Written(pipeline)
    with writer(*java, folder=tmp_path) as logback:
        rotate_before_and_after_a_restart(
            pipeline, written.until_counted, [log], lambda _: logback.write(written.more(3_000))
        )
    assert len(list(tmp_path.glob("access.2*"))) >= 6


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("index", ["nomax", "min", "max"])
def test_log4j(pipeline: Pipeline, cache: pytest.Cache, tmp_path: Path, index: str, ending: str) -> None:
    log = tmp_path / "access.log"
    configuration = tmp_path / "log4j2.xml"
    most = "" if index == "nomax" else ' max="9"'
    configuration.write_text(f"""
        <Configuration>
          <Appenders>
            <RollingFile name="file" fileName="{log}" filePattern="{tmp_path}/access-%i.log{ending}">
              <PatternLayout pattern="%m%n"/>
              <SizeBasedTriggeringPolicy size="20KB"/>
              <DefaultRolloverStrategy fileIndex="{index}"{most}/>
            </RollingFile>
          </Appenders>
          <Loggers><Root level="info"><AppenderRef ref="file"/></Root></Loggers>
        </Configuration>""")
    options = [f"-Dlog4j2.configurationFile={configuration}", "-cp", jars(cache, "log4j")]
    written = Written(pipeline)
    with writer(*JAVA, *options, ROTATORS / "Log4j.java", folder=tmp_path) as log4j:
        # Log4j keeps nine files. No more are written while the processor does not run.
        rotate_before_and_after_a_restart(
            pipeline, written.until_counted, [log], lambda _: log4j.write(written.more(700))
        )
    assert len(list(tmp_path.glob("access-*"))) >= (6 if index == "nomax" else 9)


# nginx.

NGINX = """
daemon off; {user} pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{}}
http {{
  access_log {log} combined;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200; }}
    location /slow {{ proxy_pass http://127.0.0.1:{upstream}; }}
  }}
}}
"""


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not here")
def test_nginx(pipeline: Pipeline, tmp_path: Path) -> None:
    """A worker that ends gracefully goes on with the renamed log until its last request is answered."""
    folder, log = tmp_path / "nginx", tmp_path / "access.log"
    folder.mkdir()
    answer = threading.Event()
    requests = 0
    with slow_upstream(answer) as upstream, ThreadPoolExecutor() as executor:
        port = free_port()
        user = "user root;" if os.getuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            NGINX.format(user=user, folder=folder, log=log, port=port, upstream=upstream.server_port)
        )

        def ask(path: str) -> None:
            nonlocal requests
            # Requests differ, because two files of equal lines would pass for a file and its copy.
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}?{uuid4()}", timeout=60) as response:
                assert response.status == 200
            requests += 1

        def is_new_log_written() -> bool:
            ask("/")
            return log.stat().st_size > 0

        def write_and_rotate(number: int) -> None:
            for _ in range(20):
                ask("/")
            answer.clear()
            slow = executor.submit(ask, "/slow")
            assert upstream.is_asked.wait(60)
            upstream.is_asked.clear()
            for older in range(number, 0, -1):
                Path(f"{log}.{older}").rename(f"{log}.{older + 1}")
            renamed = log.rename(f"{log}.1")
            nginx.send_signal(signal.SIGUSR1 if number % 3 == 2 else signal.SIGHUP)
            wait_until(log.exists, "nginx has opened its log anew")
            before = renamed.stat().st_size
            # The old worker takes connections until it gets the signal.
            wait_until(is_new_log_written, "requests go to the new log")
            answer.set()
            slow.result()
            if number % 3 < 2:
                wait_until(lambda: renamed.stat().st_size > before, "the old worker has written to the renamed log")

        with subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")]) as nginx:
            try:
                wait_until(lambda: (folder / "nginx.pid").exists(), "nginx runs")
                pipeline.environment["LOG_FORMAT"] = "combined"
                rotate_before_and_after_a_restart(
                    pipeline, lambda: until_read(pipeline, requests), [log], write_and_rotate
                )
            finally:
                answer.set()
                nginx.terminate()


class Upstream(ThreadingHTTPServer):
    """A server that answers when the test says so."""

    def __init__(self, answer: threading.Event) -> None:
        self.answer = answer
        self.is_asked = threading.Event()
        super().__init__(("127.0.0.1", 0), _Slow)


class _Slow(BaseHTTPRequestHandler):
    server: Upstream

    def do_GET(self) -> None:
        self.server.is_asked.set()
        self.server.answer.wait(60)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def slow_upstream(answer: threading.Event) -> Iterator[Upstream]:
    """Run an Upstream in a thread."""
    with Upstream(answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            answer.set()
            server.shutdown()
            thread.join()
