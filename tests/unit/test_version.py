"""One version: the package, the OpenAPI document, the images and the changelog have the same."""

import re
from importlib import import_module
from pathlib import Path

from api.app import build_app
from memory_store import MemoryStorage, MemoryStore
from service.version import VERSION

PROJECT = Path(__file__).resolve().parents[2]


def test_the_package_takes_it_from_the_module() -> None:
    settings = (PROJECT / "pyproject.toml").read_text()
    (attribute,) = re.findall(r'^version = \{attr = "(.*)"\}$', settings, re.MULTILINE)
    module, _, name = attribute.rpartition(".")
    assert getattr(import_module(module), name) == VERSION
    assert 'dynamic = ["version"]' in settings


def test_the_openapi_document_has_it() -> None:
    assert build_app(MemoryStorage(MemoryStore()), 45).openapi()["info"]["version"] == VERSION


def test_the_image_has_it_whoever_builds_it() -> None:
    assert f"LABEL org.opencontainers.image.version={VERSION}\n" in (PROJECT / "Dockerfile").read_text()


def test_the_changelog_knows_it() -> None:
    assert re.search(rf"^(## \[|Becomes ){re.escape(VERSION)}\b", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
