"""The rules that hold the packages apart."""

import ast
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
MAY_IMPORT = {
    "request_log": set(),
    "service": set(),
    "rollups": {"request_log"},
    "storage": {"request_log", "rollups", "service"},
    "log_generator": {"request_log", "service"},
    "log_processor": {"request_log", "rollups", "storage", "service"},
    "api": {"rollups", "storage", "service"},
}


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


def test_every_package_has_its_rule() -> None:
    assert {path.parent.name for path in SOURCES.glob("*/__init__.py")} == MAY_IMPORT.keys()


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    assert imports(package) <= MAY_IMPORT[package]
