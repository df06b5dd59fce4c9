"""The containers, the alert rules and the dashboard: what they may do, and that they ask for what there is."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import REGISTRY, generate_latest

import api.http.metrics  # noqa: F401
import log_processor.process.metrics  # noqa: F401
from asking import line, today
from influxd import InfluxServer, free_port
from log_processor.settings import ProcessorSettings
from pipeline import Pipeline
from running_api import running
from stores import Store, influxdb_store
from until import wait_until

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
DASHBOARD = DEPLOY / "grafana/dashboards/request-statistics.json"
_SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}

if not DEPLOY.exists():
    pytest.skip("deploy/ is not here", allow_module_level=True)


def targets(datasource: str) -> list[dict[str, Any]]:
    """What the dashboard asks a data source."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = [target for panel in panels for target in panel["targets"]]
    return [target for target in found if target["datasource"]["uid"] == datasource]


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    groups = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def exported() -> set[str]:
    """The names of the samples that both services export."""
    types = re.findall(r"^# TYPE (\S+) (\S+)$", generate_latest(REGISTRY).decode(), re.MULTILINE)
    return {name + suffix for name, kind in types for suffix in _SUFFIXES.get(kind, [])}


def test_every_metric_that_is_asked_for_is_exported() -> None:
    expressions = [rule["expr"] for rule in rules()] + [target["expr"] for target in targets("prometheus")]
    names = {name for expression in expressions for name in re.findall(r"\brequest_statistics_\w+", expression)}
    assert len(names) > 10
    assert names <= exported()


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    assert rules()
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here")
    checked = subprocess.run(
        [promtool, "check", "config", DEPLOY / "prometheus/prometheus.yml"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
    # Expressions of the dashboard, as rules.
    records = [{"record": f"r{place}", "expr": target["expr"]} for place, target in enumerate(targets("prometheus"))]
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    checked = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def services() -> dict[str, dict[str, Any]]:
    """The services of docker-compose.yml."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"]
    return found


@pytest.mark.parametrize("service", [name for name, service in services().items() if "build" in service])
def test_our_services_have_no_more_rights_than_they_need(service: str) -> None:
    settings = services()[service]
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert "cap_add" not in settings
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert settings["pids_limit"]
    assert settings["mem_limit"]
    # Not root, unless the caller is.
    assert settings["user"].startswith("${HOST_UID:-10001}:")


@pytest.mark.parametrize("service", services())
def test_no_service_has_a_secret_in_its_environment(service: str) -> None:
    for name, value in services()[service].get("environment", {}).items():
        if re.search("TOKEN|PASSWORD", name) and name != "TOKENS_PATH":
            assert name.endswith("_FILE")
            assert value.startswith(("/run/secrets/", "/app/secrets/"))


def test_a_port_is_published_on_this_machine_alone() -> None:
    for service in services().values():
        for port in service.get("ports", []):
            # The api is published elsewhere only by a setting, and then asks for keys.
            assert port.startswith(("127.0.0.1:", "${API_PUBLISH:-127.0.0.1}:"))
    # Its own interface lets pages of every origin use a token.
    assert "ports" not in services()["influx_db"]


def test_nobody_looks_at_grafana_without_a_login() -> None:
    environment = services()["grafana"]["environment"]
    assert environment["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/monitoring_password"
    assert not [name for name in environment if "ANONYMOUS" in name or "DISABLE_LOGIN" in name]


def test_compose_takes_its_files() -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker has no Compose plugin")
    for layer in ("docker-compose.influxdb-port.yml", "docker-compose.testmode.yml"):
        files = ["--file", "docker-compose.yml", "--file", layer]
        command = ["docker", "compose", *files, "--profile", "monitoring", "config", "--format", "json"]
        environment = {**os.environ, "INFLUXDB_PORT": "18086"}
        made = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        assert made.stderr == ""
        ports = json.loads(made.stdout)["services"]["influx_db"].get("ports", [])
        wanted = [("127.0.0.1", "18086")] if "port" in layer else []
        assert [(port["host_ip"], port["published"]) for port in ports] == wanted


def test_the_clusters_processors_can_be_multiplied() -> None:
    services = yaml.safe_load((DEPLOY / "cluster/compose.yml").read_text())["services"]
    assert not [name for name, service in services.items() if "container_name" in service]
    processor = services["log_processor"]
    assert "ports" not in processor
    # The topic's script shares the variables, and reads this one.
    given = processor["environment"].keys() - {"PARTITIONS"}
    assert {name.lower() for name in given} <= ProcessorSettings.model_fields.keys()
    assert processor["environment"]["SOURCE"] == "kafka"


def test_prometheus_scrapes_both_services_and_asks_for_a_login(sqlite: Store, tmp_path: Path) -> None:
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        pytest.skip("no prometheus here")
    password, login = tmp_path / "password", tmp_path / "web.yml"
    password.write_text("not-to-be-guessed\n")
    subprocess.run([sys.executable, DEPLOY / "prometheus/login.py", password, login], check=True)
    assert "not-to-be-guessed" not in login.read_text()
    # Prometheus runs as another user in its container.
    assert login.stat().st_mode & 0o777 == 0o644
    shutil.copytree(DEPLOY / "prometheus", tmp_path / "etc")
    configuration = tmp_path / "etc/prometheus.yml"
    ports = {name: free_port() for name in ("prometheus", "log_processor")}
    with ExitStack() as stack:
        processor = Pipeline(tmp_path, sqlite.environment, sqlite.open)
        stack.callback(processor.close)
        processor.start(METRICS_PORT=str(ports["log_processor"]))
        api = stack.enter_context(running(tmp_path, sqlite.environment))
        text = configuration.read_text().replace("scrape_interval: 5s", "scrape_interval: 1s")
        for target, port in (("log_processor:9464", ports["log_processor"]), ("api:8000", api.port)):
            assert target in text
            text = text.replace(target, f"127.0.0.1:{port}")
        configuration.write_text(text)
        arguments = [f"--config.file={configuration}", f"--web.config.file={login}"]
        arguments += [
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
        ]
        server = stack.enter_context(subprocess.Popen([prometheus, *arguments], stderr=subprocess.DEVNULL))
        stack.callback(server.terminate)
        url = f"http://127.0.0.1:{ports['prometheus']}/api/v1/query?query=up"
        client = stack.enter_context(httpx.Client(auth=("admin", "not-to-be-guessed"), trust_env=False))

        def both_are_up() -> bool:
            try:
                answer = client.get(url)
            except httpx.TransportError:
                return False
            if answer.status_code == 503:
                return False
            found = answer.raise_for_status().json()["data"]["result"]
            return {result["metric"]["job"]: result["value"][1] for result in found} == {
                "log_processor": "1",
                "api": "1",
            }

        wait_until(both_are_up, "both are scraped")
        assert httpx.get(url, trust_env=False).status_code == 401
        assert httpx.get(url, auth=("admin", "admin"), trust_env=False).status_code == 401


def test_the_dashboard_finds_the_raw_requests(influxd: InfluxServer) -> None:
    with influxdb_store(influxd) as store, influxd.client() as client:
        store.fill(line(today(), "cust_1") + line(today(), "cust_1", status=503))
        for target in targets("influxdb"):
            query = target["query"].replace("$timeFilter", "time > now() - 2d AND time < now() + 2d")
            found = client.get("/query", params={"db": store.environment["INFLUXDB_BUCKET"], "q": query})
            assert found.status_code == 200, found.text
            (result,) = found.json()["results"]
            assert result["series"][0]["values"], query
