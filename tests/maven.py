"""Jars from Maven's repository, for tests that run Java."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

SECONDS = 300


def classpath(cache: pytest.Cache, pom: Path) -> str:
    """As `jars`, but Maven is asked only once for as long as pytest's cache knows the answer."""
    key = f"maven/{pom.stem}"
    known: str = cache.get(key, "")
    if not known or not all(Path(jar).exists() for jar in known.split(os.pathsep)):
        known = jars(pom)
        cache.set(key, known)
    return known


def jars(pom: Path) -> str:
    """The jars that a pom depends on, in Maven's own repository, as a class path. Where that cannot be, the test is
    skipped."""
    if missing := [name for name in ("java", "mvn") if not shutil.which(name)]:
        pytest.skip(f"no {' and no '.join(missing)} on PATH, for {pom.stem}")
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "classpath"
        goal = ["dependency:build-classpath", "-DincludeScope=runtime", f"-Dmdep.outputFile={found}"]
        # First without a look at a registry.
        for mode in (["-o"], []):
            maven = ["mvn", "-q", "-B", *mode, "-f", str(pom), *goal]
            try:
                if subprocess.run(maven, capture_output=True, timeout=SECONDS, check=False).returncode == 0:
                    return found.read_text()
            except subprocess.TimeoutExpired:
                break
    pytest.skip(f"Maven cannot get the jars of {pom.stem}")
