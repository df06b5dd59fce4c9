"""The alert rules and the dashboard: they ask for what there is."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, generate_latest

import api.http.metrics  # noqa: F401
import log_processor.process.metrics  # noqa: F401
from asking import line, today
from influxd import InfluxServer
from stores import influxdb_store

DEPLOY = Path(__file__).parents[2] / "deploy"
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


def test_the_dashboard_finds_the_raw_requests(influxd: InfluxServer) -> None:
    with influxdb_store(influxd) as store, influxd.client() as client:
        store.fill(line(today(), "cust_1") + line(today(), "cust_1", status=503))
        for target in targets("influxdb"):
            query = target["query"].replace("$timeFilter", "time > now() - 2d AND time < now() + 2d")
            found = client.get("/query", params={"db": store.environment["INFLUXDB_BUCKET"], "q": query})
            assert found.status_code == 200, found.text
            (result,) = found.json()["results"]
            assert result["series"][0]["values"], query
