"""The rules that hold the packages apart."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
INITS = sorted(SOURCES.rglob("__init__.py"))
IN_A_MAP = re.compile(r"^(\w+)/? {2,}\S", re.MULTILINE)
"""A line of a package's docstring that says what a module does: `name  what it does`."""
MAY_IMPORT = {
    "request_log": set(),
    "service": set(),
    "rollups": {"request_log"},
    "storage": {"request_log", "rollups", "service"},
    "log_generator": {"request_log", "service"},
    "log_processor": {"request_log", "rollups", "storage", "service"},
    "log_shipper": {"request_log", "log_processor", "storage", "service"},
    "api": {"rollups", "storage", "service"},
}

LAYERS = {
    "rollups": [
        *("counts", "columns", "group_by", "counters", "histogram", "figures"),
        *("rows", "groups", "rules", "spans", "daily", "delta", "refolding"),
    ],
    "storage": [
        *("writers", "errors", "damage", "owner", "requests", "keys", "logs", "topic_files", "kept", "observed"),
        *("ledger", "rules", "change_feed", "counts"),
        *("read_back", "contract", "settings", "schema_4"),
        *("sqlite", "influxdb", "backend", "__main__"),
    ],
    "storage.sqlite": [
        *("lease", "schema", "connection", "migration", "backup"),
        *("requests", "rows", "counts", "ledger", "store"),
    ],
    "storage.influxdb": [
        *("client", "line_protocol", "lease", "places", "schema", "migration", "connection"),
        *("requests", "rows", "counts", "ledger", "store", "setup", "admin"),
    ],
    "service": ["version", "printable", "private", "memory", "open_files", "settings", "logs", "log_file", "access"],
    "service.access": ["scopes", "private_files", "keys", "settings"],
    "request_log": ["line", "meanings", "path_template", "requests", "query", "fields", "framing", "formats"],
    "log_processor": [
        *("heartbeat", "format_settings", "librdkafka", "follow_settings", "path_templates", "settings"),
        *("disk", "spool", "parsing", "process", "following", "counting", "storing", "kafka"),
        *("source", "dataflow", "run", "commands", "__main__"),
    ],
    "log_processor.kafka": [
        *("shipment", "records", "shipments", "chunks", "beginning", "watching", "writing", "reader"),
        *("assignment", "group", "flow", "run"),
    ],
    "log_shipper": ["settings", "notes", "producer", "beginning", "shipping", "run", "verify", "__main__"],
    "api.access": [
        *("session_secrets", "caller", "limits", "cookies", "sessions", "proxy"),
        *("access", "authentication", "sites", "links"),
    ],
    "api": [
        *("utc", "zones", "schemas", "http", "access", "settings"),
        *("caching", "questions", "routes", "page"),
        *("app", "keys_command", "__main__"),
    ],
    "log_processor.counting": [
        *("limits", "pace", "buffer", "journal", "logs", "commit", "rows", "folding", "daily"),
        *("rollups", "forget", "start", "retire"),
    ],
}
"""Folders and modules of a package, from the bottom to the top: each imports only what stands before it."""


def imports(package: str) -> set[str]:
    """Our packages that a package imports."""
    found = set()
    for file in (SOURCES / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: relative import"
                found.add((node.module or "").split(".")[0])
            elif isinstance(node, ast.Import):
                found.update(alias.name.split(".")[0] for alias in node.names)
    return (found & MAY_IMPORT.keys()) - {package}


def imports_within(package: str, layer: str) -> set[str]:
    """The layers of its package that a layer imports, itself among them."""
    files = [folder_of(package) / f"{layer}.py", *(folder_of(package) / layer).rglob("*.py")]
    found: set[str] = set()
    for file in filter(Path.exists, files):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == package:
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
                found.add((node.module or "").removeprefix(f"{package}.").split(".")[0])
    return found


def folder_of(package: str) -> Path:
    return SOURCES.joinpath(*package.split("."))


def modules_of(folder: Path) -> set[str]:
    """The modules and packages in a folder."""
    return {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}


def docstring_of(init: Path) -> str:
    return ast.get_docstring(ast.parse(init.read_text())) or ""


def test_every_package_has_its_rule() -> None:
    assert {path.parent.name for path in SOURCES.glob("*/__init__.py")} == MAY_IMPORT.keys()


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    assert imports(package) <= MAY_IMPORT[package]


@pytest.mark.parametrize("package", LAYERS)
def test_every_module_of_a_package_has_its_layer(package: str) -> None:
    assert sorted(modules_of(folder_of(package)) - {"__init__"}) == sorted(LAYERS[package])


@pytest.mark.parametrize(("package", "layer"), [(package, layer) for package in LAYERS for layer in LAYERS[package]])
def test_a_layer_imports_only_layers_below_it(package: str, layer: str) -> None:
    below = LAYERS[package][: LAYERS[package].index(layer)]
    assert imports_within(package, layer) - {layer} <= set(below)


@pytest.mark.parametrize("init", INITS, ids=lambda path: path.parent.name)
def test_every_folder_says_what_it_owns(init: Path) -> None:
    assert docstring_of(init)


@pytest.mark.parametrize(
    "init", [init for init in INITS if IN_A_MAP.search(docstring_of(init))], ids=lambda path: path.parent.name
)
def test_a_map_of_modules_names_each(init: Path) -> None:
    assert sorted(IN_A_MAP.findall(docstring_of(init))) == sorted(modules_of(init.parent) - {"__init__", "__main__"})


def test_the_health_check_imports_little() -> None:
    # It runs every five seconds in a container.
    told = "import log_processor.__main__, sys; print(*sorted({'bytewax', 'numpy', 'storage'} & sys.modules.keys()))"
    environment = {"PYTHONPATH": str(SOURCES)}
    ended = subprocess.run([sys.executable, "-c", told], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "\n"
