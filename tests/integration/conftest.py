"""A pipeline on either store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import Pipeline
from stores import Store


@pytest.fixture
def pipeline(store: Store, tmp_path: Path) -> Iterator[Pipeline]:
    """A log, and a store that was set up; the processor is the test's to start."""
    running = Pipeline(tmp_path, store.environment, store.open)
    yield running
    running.close()
