"""`python -m storage` as a process."""

import subprocess

import programs

DEADLINE = 90.0


def run(*arguments: str, **settings: object) -> "subprocess.CompletedProcess[str]":
    """Run it to its end, with these settings alone."""
    env = {name: str(value) for name, value in settings.items()}
    return programs.run("storage", *arguments, env=env, timeout=DEADLINE)


def assert_failed(ended: "subprocess.CompletedProcess[str]", sentence: str) -> None:
    """With status 1, one line on standard error, and no traceback."""
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stdout
    assert ended.stderr.count("\n") == 1
    assert sentence in ended.stderr
