"""The settings of every service: a bad one ends it, and all are written down where people look for them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

import influxd
import settings_page
from log_processor.settings import ProcessorSettings
from service.printable import printable
from service.settings import EXIT_CONFIG, PROJECT_ROOT, Settings, load

# A shipper starts only with a name and a topic, so test_log_shipper.py tests its settings.
SERVICES = {name: settings for name, settings in settings_page.SERVICES.items() if name != "log_shipper"}
COMMANDS = {
    "log_generator": ["log_generator"],
    "log_processor": ["log_processor"],
    "api": ["api"],
    "setup": ["storage", "setup"],
}
ENV = dotenv_values(PROJECT_ROOT / ".env.local")
COMPOSE = (PROJECT_ROOT / "docker-compose.yml").read_text()
FOLDER, FILE = str(Path(__file__).parent), __file__

A_CHOICE = "Input should be "
BAD = [
    ("STORAGE", "mysql", A_CHOICE + "'influxdb' or 'sqlite'"),
    ("INFLUXDB_URL", "127.0.0.1:8086", "should match pattern '^https?://"),
    ("INFLUXDB_TOKEN_FILE", "/no/such/file", "cannot be read: No such file or directory"),
    ("INFLUXDB_TOKEN_FILE", "/dev/zero", "cannot be read: not a regular file"),
    ("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN_FILE", "/no/such/file", "cannot be read: No such file or directory"),
    ("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN_FILE", "/dev/zero", "cannot be read: not a regular file"),
    ("INFLUXDB_TIMEOUT_SECONDS", "0", "greater than or equal to 0.1"),
    ("INFLUXDB_TIMEOUT_SECONDS", "601", "less than or equal to 600"),
    ("INFLUXDB_TIMEOUT_SECONDS", "soon", "valid number"),
    ("RETENTION_DAYS", "0", "greater than or equal to 1"),
    ("RETENTION_DAYS", "3651", "less than or equal to 3650"),
    ("RETENTION_DAYS", "1.5", "valid integer"),
    ("COUNTS_RETENTION_DAYS", "0", "greater than or equal to 1"),
    ("COUNTS_RETENTION_DAYS", "3651", "less than or equal to 3650"),
    ("LOGGING_LEVEL", "info", A_CHOICE + "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    ("LOGGING_FORMAT", "xml", A_CHOICE + "'logfmt' or 'json'"),
    ("ALLOWED_HOSTS", "a.example, http://b.example", "http://b.example is not a host"),
    ("ALLOWED_HOSTS", "a.example:8000", "is not a host without a port"),
    ("ALLOWED_HOSTS", "*", "* is not a host"),
    ("CORS_ORIGINS", "https://a.example, a.example", "a.example is not an origin"),
    ("CORS_ORIGINS", "*, https://a.example", "* is not an origin"),
    ("CORS_ORIGINS", "https://a.example/path", "is not an origin"),
    ("CORS_ORIGINS", "*", "only with AUTH=keys"),
    ("AUTH", "basic", A_CHOICE + "'', 'none', 'keys' or 'proxy'"),
    ("TIME_ZONE", "Europe/Bielefeld", "not a time zone of the IANA database"),
    ("TIME_ZONE", "CEST", "not a time zone of the IANA database"),
    ("KEY_REQUESTS_PER_SECOND", "0.5", "greater than or equal to 1"),
    ("KEY_REQUESTS_PER_SECOND", "1000001", "less than or equal to 1000000"),
    ("PROXY_ADDRESSES", "127.0.0.1, proxy", "'proxy' does not appear to be an IPv4 or IPv6 network"),
    ("PROXY_ADDRESSES", "10.0.0.1/8", "10.0.0.1/8 has host bits set"),
    ("API_HOST", "0.0.0.0", "other machines can reach it. Set AUTH=keys"),
    ("API_HOST", "::", "other machines can reach it. Set AUTH=keys"),
    ("API_HOST", "statistics", "other machines can reach it. Set AUTH=keys"),
    ("API_HOST", "unix:/run/api", "other machines can reach it. Set AUTH=keys"),
    ("LOG_FILE_PATH", "no/such/folder/api.log", f"there is no folder {PROJECT_ROOT}/no/such/folder"),
    ("LOG_FILE_PATH", FOLDER, "not a regular file"),
    ("LOG_NAME", "a log", "should match pattern"),
    ("LOG_NAME", "x" * 101, "should match pattern"),
    ("LOG_NAME", "backfill-1", "begins with backfill-, as only the names of backfilled logs do"),
    ("KAFKA_TOPIC", "backfill-1", "begins with backfill-, as only the names of backfilled logs do"),
    ("LOG_FILES", "no/such/folder/*.log", f"there is no folder {PROJECT_ROOT}/no/such/folder"),
    ("LOG_FILES", "no/such/folder/**/api.log", f"there is no folder {PROJECT_ROOT}/no/such/folder"),
    ("LOG_FILES", f"{FOLDER}/*.log, /nowhere/api.log", "there is no folder /nowhere"),
    ("LOG_FILES", FOLDER, "not a regular file"),
    ("LOG_FILES", " , ", "names no path and no glob"),
    ("LOG_ROOTS", f"{FOLDER},/nowhere", "there is no folder /nowhere"),
    ("LOG_ROOTS", "/" + "x" * 300, "there is no folder /xxx"),
    ("LOG_FORMAT", "ncsa", A_CHOICE + "'simple', 'common', 'combined', 'json', 'logfmt', 'nginx', 'apache', 'caddy', "),
    ("KAFKA_MEMBER", 'a"b', "should match pattern"),
    ("LOG_WRAPPER", "podman", A_CHOICE + "'', 'cri', 'docker' or 'syslog'"),
    ("LOG_PATTERN", "(?P<time>.*)", "only with LOG_FORMAT=regex"),
    ("LOG_JSON_FIELDS", "time=\udcff", "not UTF-8"),
    ("LOG_JSON_FIELDS", "time=ts", "only with LOG_FORMAT=json or logfmt"),
    ("LOG_CUSTOMER_FROM", "remote_user", "not with LOG_FORMAT=simple"),
    ("LOG_DURATION_UNIT", "ms", "LOG_FORMAT=simple has seconds"),
    ("LOG_DURATION_UNIT", "min", A_CHOICE + "'', 's', 'ms', 'us' or 'ns'"),
    ("SOURCE", "topic", A_CHOICE + "'files' or 'kafka'"),
    ("KAFKA_TOPIC", "a topic", "should match pattern"),
    ("KAFKA_SETTINGS_FILE", "/no/such/file", "cannot be read: No such file or directory"),
    ("KAFKA_SETTINGS_FILE", "/dev/zero", "cannot be read: not a regular file"),
    ("START_POSITION", "middle", A_CHOICE + "'end' or 'beginning'"),
    ("FOLLOW", "inotify", A_CHOICE + "'events' or 'poll'"),
    ("POLL_INTERVAL_MS", "0", "greater than or equal to 1"),
    ("POLL_INTERVAL_MS", "60001", "less than or equal to 60000"),
    ("STREAM_MAX_SIZE", "0", "greater than or equal to 1"),
    ("STREAM_MAX_SIZE", "100001", "less than or equal to 100000"),
    ("STREAM_MAX_WAIT_TIME_IN_SECONDS", "-1", "greater than or equal to 0"),
    ("STREAM_MAX_WAIT_TIME_IN_SECONDS", "3601", "less than or equal to 3600"),
    ("STREAM_MAX_WAIT_TIME_IN_SECONDS", "nan", "less than or equal to 3600"),
    ("STORE_REQUESTS", "some", "Input should be 'all', 'failed' or 'none'"),
    ("WRITER", "archive", "the rows of retired"),
    ("WRITER", "web/1", "should match pattern"),
    ("WRITER", "-", "should match pattern"),
    ("WRITER", "w" * 65, "should match pattern"),
    ("WORKERS", "0", "greater than or equal to 1"),
    ("WORKERS", "65", "less than or equal to 64"),
    ("DEAD_LETTERS_PATH", FOLDER, "not a regular file"),
    ("DEAD_LETTERS_PATH", f"{FILE}/below", f"{FILE} is not a folder"),
    ("DEAD_LETTERS_PATH", "/proc/dead_letters.jsonl", "/proc cannot be written"),
    ("DEAD_LETTERS_MAX_BYTES", "1023", "greater than or equal to 1024"),
    ("DEAD_LETTERS_KEEP", "some", A_CHOICE + "'all', 'head' or 'none'"),
    ("DEAD_LETTERS_DAYS", "0", "greater than or equal to 1"),
    ("DEAD_LETTERS_DAYS", "3651", "less than or equal to 3650"),
    ("LOG_DROP_QUERY", "true", A_CHOICE + "'yes' or 'no'"),
    ("NEW_CUSTOMERS_A_DAY", "0", "greater than or equal to 1"),
    ("PATHS_A_CUSTOMER", "1001", "less than or equal to 1000"),
    ("PATH_TEMPLATES", "/nowhere/templates.txt", "cannot be read: No such file or directory"),
    ("PATH_TEMPLATES", "/dev/zero", "cannot be read: not a regular file"),
    ("NEW_CUSTOMERS_A_DAY", "100000001", "less than or equal to 100000000"),
    ("HEARTBEAT_PATH", FOLDER, "not a regular file"),
    ("HEARTBEAT_PATH", f"{FILE}/below/heartbeat", f"{FILE} is not a folder"),
    ("BACKFILL_FOLDER", FILE, "not a folder"),
    ("BACKFILL_FOLDER", f"{FILE}/below", f"{FILE} is not a folder"),
    ("METRICS_PORT", "-1", "greater than or equal to 0"),
    ("METRICS_PORT", "65536", "less than or equal to 65535"),
    ("LOG_BATCH_SIZE", "0", "greater than or equal to 1"),
    ("LOG_INTERVAL_SECONDS", "0", "greater than 0"),
    ("LOG_INTERVAL_SECONDS", "86401", "less than or equal to 86400"),
    ("MAX_LOGS_TO_GENERATE", "-1", "greater than or equal to 0"),
    ("LOG_CUSTOMERS", "0", "greater than or equal to 1"),
    ("LOG_CUSTOMERS", "1000001", "less than or equal to 1000000"),
    ("LOG_HISTORY_DAYS", "-1", "greater than or equal to 0"),
    ("LOG_HISTORY_DAYS", "3651", "less than or equal to 3650"),
    ("LOG_SEED", "x", "valid integer"),
    ("API_PORT", "0", "greater than or equal to 1"),
    ("API_PORT", "65536", "less than or equal to 65535"),
    ("API_PORT", "http", "valid integer"),
]
# What any text may be, as far as can be told without the store.
ANY_TEXT = {
    "SQLITE_PATH",
    "INFLUXDB_ORG",
    "INFLUXDB_BUCKET",
    "KAFKA_BOOTSTRAP_SERVERS",
    "KAFKA_GROUP",
    "KAFKA_MEMBER",
    "TOKENS_PATH",
    "METRICS_HOST",
    "API_KEYS_FILE",
    "SESSION_SECRET_FILE",
}
# Needed where STORAGE=influxdb.
TOKENS = {"INFLUXDB_TOKEN", "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"}


def variables(settings: type[Settings]) -> set[str]:
    return {name.upper() for name in settings.model_fields}


def cases() -> list[tuple[str, str, str, str]]:
    """(service, variable, value, what is told), for each service that has the variable."""
    return [(service, *bad) for service, settings in SERVICES.items() for bad in BAD if bad[0] in variables(settings)]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for settings in SERVICES.values():
        for name in variables(settings):
            monkeypatch.delenv(name, raising=False)
    # The defaults are folders of the project, which whoever runs the tests need not be able to write to.
    monkeypatch.setenv("DEAD_LETTERS_PATH", str(tmp_path / "dead_letters.jsonl"))
    monkeypatch.setenv("HEARTBEAT_PATH", str(tmp_path / "heartbeat"))


@pytest.mark.parametrize(("service", "name", "value", "told"), cases())
def test_a_bad_value_is_told_with_its_variable_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    service: str,
    name: str,
    value: str,
    told: str,
) -> None:
    if told.endswith("cannot be written") and os.access(Path(value).parent, os.W_OK):
        pytest.skip("this user writes everywhere")
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        load(SERVICES[service])
    assert end.value.code == EXIT_CONFIG
    message = capsys.readouterr().err
    assert f"{name}={printable(value)}" in message
    assert told in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("variable", ["LOG_FILE_PATH", "LOG_FILES"])
@pytest.mark.parametrize("output", ["DEAD_LETTERS_PATH", "SQLITE_PATH", "BACKFILL_FOLDER"])
def test_a_processor_reads_nothing_that_it_writes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, variable: str, output: str
) -> None:
    path = tmp_path / "output"
    monkeypatch.setenv(output, str(path))
    log = path if output != "BACKFILL_FOLDER" else path / "a.log"
    log.parent.mkdir(exist_ok=True)
    link = tmp_path / "link"
    link.symlink_to(log)
    for named in (log, link):
        monkeypatch.setenv(variable, str(named))
        with pytest.raises(SystemExit) as end:
            load(ProcessorSettings)
        assert end.value.code == EXIT_CONFIG
        told = f"{output}={path}: {named} is to be followed, and the processor itself writes it\n"
        assert capsys.readouterr().err == told


def test_a_path_through_a_link_that_may_not_be_read_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/proc/1/root/requests.sqlite"
    monkeypatch.setenv("SQLITE_PATH", path)
    assert load(ProcessorSettings).sqlite_path == Path(path)


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_is_checked(service: str) -> None:
    checked = {name for name, _, _ in BAD}
    assert variables(SERVICES[service]) - checked <= ANY_TEXT | TOKENS


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ("log_processor", "INFLUXDB_TOKEN=: STORAGE=influxdb needs INFLUXDB_TOKEN or INFLUXDB_TOKEN_FILE\n"),
        ("api", "INFLUXDB_TOKEN=: STORAGE=influxdb needs INFLUXDB_TOKEN or INFLUXDB_TOKEN_FILE\n"),
        ("setup", "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN=: STORAGE=influxdb needs the admin token to set it up\n"),
    ],
)
def test_influxdb_needs_a_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], service: str, told: str
) -> None:
    monkeypatch.setenv("STORAGE", "influxdb")
    with pytest.raises(SystemExit) as end:
        load(SERVICES[service])
    assert end.value.code == EXIT_CONFIG
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("token", ["two words", "two\nlines", "\u00e9", "\udcff"])
def test_a_bad_token_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, token: str
) -> None:
    monkeypatch.setenv("STORAGE", "influxdb")
    monkeypatch.setenv("INFLUXDB_TOKEN", f"s3cr3t{token}")
    with pytest.raises(SystemExit) as end:
        load(SERVICES["api"])
    assert end.value.code == EXIT_CONFIG
    message = capsys.readouterr().err
    assert message.startswith("INFLUXDB_TOKEN: ")
    assert "s3cr3t" not in message
    monkeypatch.delenv("INFLUXDB_TOKEN")
    path = tmp_path / "token"
    path.write_bytes(f"s3cr3t{token}".encode(errors="surrogateescape"))
    monkeypatch.setenv("INFLUXDB_TOKEN_FILE", str(path))
    with pytest.raises(SystemExit) as end:
        load(SERVICES["api"])
    assert end.value.code == EXIT_CONFIG
    message = capsys.readouterr().err
    assert f"INFLUXDB_TOKEN_FILE={path} " in message
    assert "s3cr3t" not in message


@pytest.mark.parametrize("name", ["ALLOWED_HOSTS", "CORS_ORIGINS"])
def test_what_is_not_utf_8_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv(name, "a\udcff b")
    with pytest.raises(SystemExit) as end:
        load(SERVICES["api"])
    assert end.value.code == EXIT_CONFIG
    assert capsys.readouterr().err == f"{name}=a\\udcff b: not UTF-8\n"


def test_every_bad_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORKERS", "no")
    monkeypatch.setenv("FOLLOW", "no")
    with pytest.raises(SystemExit):
        load(ProcessorSettings)
    assert [line.split("=")[0] for line in capsys.readouterr().err.splitlines()] == ["FOLLOW", "WORKERS"]


@pytest.mark.parametrize("service", SERVICES)
def test_the_process_ends_with_the_status_of_wrong_settings(service: str) -> None:
    end = subprocess.run(
        [sys.executable, "-m", *COMMANDS[service]],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT / "src"), "LOGGING_LEVEL": "loud"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert end.returncode == EXIT_CONFIG
    assert end.stderr.startswith("LOGGING_LEVEL=loud: Input should be 'DEBUG'")
    assert end.stderr.count("\n") == 1


@pytest.mark.parametrize("service", SERVICES)
def test_the_defaults_are_those_of_the_file(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    settings = SERVICES[service]
    assert variables(settings) <= ENV.keys()
    defaults = load(settings).model_dump()
    for name in variables(settings) - {"DEAD_LETTERS_PATH", "HEARTBEAT_PATH"}:
        monkeypatch.setenv(name, ENV[name] or "")
    from_file = load(settings).model_dump()
    assert from_file == defaults
    for name in {"DEAD_LETTERS_PATH", "HEARTBEAT_PATH"} & variables(settings):
        assert ENV[name] == str(settings.model_fields[name.lower()].default)


def test_the_file_has_no_variable_that_nobody_reads() -> None:
    known = set().union(*map(variables, settings_page.SERVICES.values()))
    files = [PROJECT_ROOT / "start.sh", *(PROJECT_ROOT / "scripts").glob("*.sh")]
    scripts = "\n".join(file.read_text() for file in files)
    for name in ENV.keys() - known:
        assert re.search(rf"\b{name}\b", COMPOSE + scripts), f"nobody reads {name}"


@pytest.mark.parametrize("service", SERVICES)
def test_the_containers_get_every_setting(service: str) -> None:
    # SQLite and tokens in the environment are for services without containers.
    outside = {"SQLITE_PATH", *TOKENS, *({"INFLUXDB_TOKEN_FILE"} if service == "setup" else set())}
    assert variables(SERVICES[service]) - outside <= compose_environment(service)


def test_influxd_is_tested_and_measured_as_it_runs_in_its_container() -> None:
    environment = _block(_block(COMPOSE, "  influx_db:", indent=2), "    environment:", indent=4)
    for name, value in influxd.ENVIRONMENT.items():
        assert f'{name}: "{value}"' in environment


def compose_environment(service: str) -> set[str]:
    """The variables that docker-compose.yml gives a service. A reader of the few forms that it uses, for the tests have
    no YAML parser."""
    shared = _block(COMPOSE, "x-store: &store", indent=0)
    environment = _block(_block(COMPOSE, f"  {service}:", indent=2), "    environment:", indent=4)
    names = re.findall(r"^ +([A-Z_]+):", environment, re.MULTILINE)
    if "<<: *store" in environment:
        names += re.findall(r"^ +([A-Z_]+):", shared, re.MULTILINE)
    return set(names)


def _block(text: str, head: str, indent: int) -> str:
    """The lines below `head` that are indented further than it."""
    _, _, below = text.partition(f"{head}\n")
    return re.split(rf"^ {{0,{indent}}}\S", below, maxsplit=1, flags=re.MULTILINE)[0]


def test_the_page_and_the_comments_of_the_file_are_those_of_the_settings_classes() -> None:
    assert settings_page.PAGE.read_text() == settings_page.page(), "write it anew: make docs"
    assert settings_page.ENVIRONMENT.read_text() == settings_page.environment(), "write it anew: make docs"


def test_every_setting_has_its_meaning_and_what_is_allowed() -> None:
    variables = [one for section in settings_page.sections().values() for one in section]
    assert {one.name for one in variables} == ENV.keys()
    assert [one.name for one in variables if not one.meaning] == []
    assert [one.name for one in variables if not one.allowed and one.read_by != "compose"] == []
