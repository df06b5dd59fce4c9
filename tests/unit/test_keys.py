"""Keys: their file, their scopes, and the command that makes them."""

import json
import os
import re
import resource
import stat
import subprocess
import threading
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import programs
from service.access.keys import Key, Keys, keys_file, new_key
from service.access.private_files import MAX_BYTES, changing
from service.access.scopes import OPERATOR, Scope
from until import WAIT_SECONDS, wait_until

NOW = datetime(2026, 11, 24, 6, 30, tzinfo=timezone.utc)
KEY = re.compile(r"rs_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


class Command:
    """`python -m api keys` with files of its own."""

    def __init__(self, folder: Path) -> None:
        self.keys = folder / "keys" / "keys.jsonl"
        self.secrets = folder / "sessions" / "secrets"
        self.environment = {
            **os.environ,
            "API_KEYS_FILE": str(self.keys),
            "SESSION_SECRET_FILE": str(self.secrets),
        }

    def run(self, *arguments: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
        ended = programs.run("api", "keys", *arguments, env=self.environment, timeout=WAIT_SECONDS)
        assert ended.returncode == status, ended
        return ended


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_a_key_is_shown_once_and_its_file_has_only_the_hash(command: Command) -> None:
    made = command.run("add", "customer:acme,a%2Cb", "--expires", "90d", "--note", "Ann")
    text = made.stdout.strip()
    found = KEY.fullmatch(text)
    assert found is not None
    record = json.loads(command.keys.read_text())
    assert record["id"] == found[1]
    assert record["hash"] == sha256(text.encode()).hexdigest()
    assert record["scope"] == "customer:a%2Cb,acme"
    lasts = datetime.fromisoformat(record["expires"].replace("Z", "+00:00")) - datetime.now(timezone.utc)
    assert timedelta(days=89) < lasts <= timedelta(days=90)
    for file in (command.keys, command.secrets):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert text.split("_", 2)[2] not in file.read_text()
    listed = command.run("list").stdout
    assert found[1] in listed
    assert "Ann" in listed
    assert text not in listed


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["add", "\x1b[31m"], 2),
        (["add", "operator", "--expires", "\x1b[31m"], 2),
        (["add", "customer:\x1b[31m\udcff"], 2),
        (["add", "operator", "--note", "\x1b[31m\udcff"], 2),
        (["revoke", "\x1b[31m"], 1),
    ],
)
def test_what_cannot_be_used_is_named_without_control_sequences(
    command: Command, arguments: list[str], status: int
) -> None:
    said = command.run(*arguments, status=status).stderr
    assert r"\x1b[31m" in said
    assert "\x1b" not in said


def test_a_file_is_named_without_control_sequences(tmp_path: Path) -> None:
    command = Command(tmp_path / "\x1b[31m")
    said = command.run("list", status=1).stderr
    assert said == f"API_KEYS_FILE={tmp_path}/\\x1b[31m/keys/keys.jsonl: No such file or directory\n"


def test_a_revoked_key_is_gone_and_others_stay(command: Command) -> None:
    first, second = (command.run("add", "operator").stdout.strip() for _ in range(2))
    command.run("revoke", first.split("_")[1])
    keys = keys_file(command.keys).content()
    assert keys.by_secret(first.encode()) is None
    assert keys.by_secret(second.encode()) is not None
    assert "There is no key" in command.run("revoke", first.split("_")[1], status=1).stderr


def test_the_secret_of_sessions_is_made_once(command: Command) -> None:
    command.run("add", "operator")
    before = command.secrets.read_bytes()
    command.run("add", "operator")
    assert command.secrets.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["add", "admin"], "admin is not a scope"),
        (["add", "operator", "--expires", "soon"], "soon is not like 30m"),
        (["add", "operator", "--expires", "2026-01-01"], "2026-01-01 is over"),
        (["add", "operator", "--link", "https://x", "--expires", "1d"], "--link is for the key of a customer"),
        (["add", "customer:acme", "--link", "https://x"], "with --expires"),
        *(
            (["add", "customer:acme", "--expires", "1d", "--link", link], "is not like https://")
            for link in [
                "statistics.example.com",
                "javascript:alert(1)",
                "https://",
                "http://[::1",
                "https://x:99999",
                "https://x y",
                "https://x?y",
                "https://x#y",
                "https://x@y",
                "https://x\ny",
            ]
        ),
    ],
)
def test_a_wrong_argument_is_told_and_nothing_is_written(command: Command, arguments: list[str], told: str) -> None:
    assert told in command.run(*arguments, status=2).stderr
    assert not command.keys.exists()


def test_a_link_has_its_key_after_the_hash_alone(command: Command) -> None:
    made = command.run("add", "customer:acme", "--expires", "30d", "--link", "https://statistics.example.com/")
    key, link = made.stdout.split()
    assert link == f"https://statistics.example.com/shared/{key.split('_')[1]}/#{key}"


def test_a_file_that_is_open_to_others_is_not_used(command: Command) -> None:
    key = command.run("add", "operator").stdout.strip()
    watched = keys_file(command.keys)
    assert watched.content().by_secret(key.encode()) is not None
    command.keys.chmod(0o644)
    assert watched.content().by_secret(key.encode()) is None
    assert "0644: chmod 600" in command.run("list", status=1).stderr
    # A group may read: Kubernetes gives a pod its secrets so.
    command.keys.chmod(0o640)
    assert watched.content().by_secret(key.encode()) is not None


def test_a_change_of_the_file_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    watched = keys_file(path)
    assert len(watched.content()) == 0
    text, key = new_key(OPERATOR, NOW, None, "")
    with changing(path) as lines:
        lines.append(key.encode().encode())
    assert watched.content().by_secret(text.encode()) == key
    assert watched.content().by_id(key.id) == key
    path.unlink()
    assert watched.content().by_secret(text.encode()) is None


def test_a_change_within_the_same_tick_of_the_clock_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys"
    (first, first_key), (second, second_key) = (new_key(OPERATOR, NOW, None, "") for _ in range(2))
    with changing(path) as lines:
        lines.append(first_key.encode().encode())
    watched = keys_file(path)
    found = path.stat()
    assert watched.content().by_secret(first.encode()) == first_key
    # Written in its place, as by an editor. Most kernels write times by a clock that ticks every 4 ms.
    path.write_bytes(second_key.encode().encode())
    with monkeypatch.context() as in_tick:
        in_tick.setattr("service.access.private_files.os.stat", lambda _: found)
        wait_until(lambda: watched.content().by_secret(second.encode()) == second_key, "the new key counts")
    assert watched.content().by_secret(first.encode()) is None


def test_a_change_among_many_keys_holds_up_nobody_for_long(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    made = [new_key(OPERATOR, NOW, None, "") for _ in range(10_000)]
    with changing(path) as lines:
        lines.extend(key.encode().encode() for _, key in made)
    watched = keys_file(path)

    def seconds() -> float:
        began = process_time()
        watched.content()
        return process_time() - began

    all_of_them = seconds()
    changes = []
    for _, key in made[:3]:
        with changing(path) as lines:
            lines.remove(key.encode().encode())
        changes.append(seconds())
    # The api answers nobody meanwhile. Its share of a whole reading is a sixth.
    assert min(changes) < all_of_them / 2
    found = watched.content()
    assert [found.by_secret(text.encode()) for text, _ in made] == [None] * 3 + [key for _, key in made[3:]]


def test_keys_that_could_not_be_read_for_a_moment_count_again(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    text, key = new_key(OPERATOR, NOW, None, "")
    with changing(path) as lines:
        lines.append(key.encode().encode())
    watched = keys_file(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert watched.content().by_secret(text.encode()) is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: watched.content().by_secret(text.encode()) == key, "the key counts again")


def test_a_file_with_too_many_keys_loses_none(command: Command) -> None:
    command.run("add", "operator")
    with changing(command.keys) as lines:
        lines[:] *= (MAX_BYTES - 1) // len(lines[0] + b"\n")
    before = command.keys.read_bytes()
    refused = command.run("add", "metrics", status=1)
    assert refused.stderr == f"API_KEYS_FILE={command.keys}: it has more than 16,777,216 bytes\n"
    assert command.keys.read_bytes() == before
    with command.keys.open("ab") as file:
        file.write(before)
    before = command.keys.read_bytes()
    for arguments in (["add", "metrics"], ["revoke", "0" * 12], ["list"]):
        assert "it has more than" in command.run(*arguments, status=1).stderr
    assert command.keys.read_bytes() == before


def test_another_file_in_the_place_of_the_keys_is_not_written(command: Command) -> None:
    command.run("add", "operator")
    command.keys.write_bytes(b"SQLite format 3\0\r\n\r\n")
    before = command.keys.read_bytes(), command.secrets.read_bytes()
    for path in (command.keys, command.secrets):
        command.environment["API_KEYS_FILE"] = str(path)
        for arguments in (["add", "operator"], ["revoke", "0" * 12]):
            said = command.run(*arguments, status=1).stderr
            assert said == f"API_KEYS_FILE={path}: it has lines, and none of them is a key\n"
    assert (command.keys.read_bytes(), command.secrets.read_bytes()) == before


def test_changes_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys"

    def add() -> None:
        for _ in range(10):
            with changing(path) as lines:
                lines.append(new_key(OPERATOR, NOW, None, "")[1].encode().encode())

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys_file(path).content()) == 40
    assert [file.name for file in tmp_path.iterdir()] == ["keys"]


def test_a_link_in_the_place_of_the_new_file_overwrites_nothing(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / ".keys.new").symlink_to(precious)
    with changing(tmp_path / "keys") as lines:
        lines.append(b"{}")
    assert precious.read_text() == "precious"


def test_a_file_stays_readable_to_the_services_that_read_it(command: Command) -> None:
    command.run("add", "operator")
    command.keys.chmod(0o640)
    # Root of a container may not give files away either.
    with suppress(PermissionError):
        os.chown(command.keys, 1_234, 4_321)
    before = command.keys.stat()
    command.run("add", "metrics")
    after = command.keys.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert command.keys.read_text().count("\n") == 2


def test_a_key_is_revoked_also_for_services_that_know_the_file_by_its_other_name(command: Command) -> None:
    key_id = command.run("add", "operator").stdout.split("_")[1]
    command.run("add", "metrics")
    real = command.keys.with_name("real")
    command.keys.rename(real)
    command.keys.symlink_to("real")
    command.run("revoke", key_id)
    assert key_id not in real.read_text()


def test_a_link_to_itself_in_the_place_of_the_keys_is_told(command: Command) -> None:
    command.keys.parent.mkdir()
    command.keys.symlink_to(command.keys.name)
    told = command.run("add", "operator", status=1)
    assert told.stderr == f"API_KEYS_FILE={command.keys}: Too many levels of symbolic links\n"


def test_a_damaged_line_costs_itself() -> None:
    good = new_key(OPERATOR, NOW, None, "")[1].encode()
    damaged = [
        "nonsense",
        good.replace("operator", "root"),
        good.replace('"scope"', '"space"'),
        good[:-10],
        good.replace("T06:30:00Z", "T06:30:00"),
    ]
    keys = Keys.decode("\n".join([*damaged, "", good, ""]).encode())
    assert len(keys) == 1
    assert keys.damaged == (1, 2, 3, 4, 5)


def test_keys_of_one_id_count_for_nothing() -> None:
    (weak, of_weak), (strong, of_strong), (other, of_other) = (
        new_key(Scope.parse(scope), NOW, None, "") for scope in ("customer:acme", "operator", "metrics")
    )
    # As of a line that was copied, and changed but for its id.
    copied = of_strong.model_copy(update={"id": of_weak.id})
    lines = [of_weak.encode(), of_other.encode(), copied.encode(), of_other.encode()]
    keys = Keys.decode("\n".join(lines).encode())
    assert (keys.by_secret(weak.encode()), keys.by_secret(strong.encode()), keys.by_id(of_weak.id)) == (None,) * 3
    # The same line twice is one key.
    assert keys.by_secret(other.encode()) == of_other
    assert keys.damaged == (1, 3)


def test_an_expired_key_counts_for_nothing() -> None:
    now = datetime.now(timezone.utc)
    over, key = new_key(OPERATOR, NOW, now - timedelta(seconds=1), "")
    valid, other = new_key(OPERATOR, NOW, now + timedelta(hours=1), "")
    keys = Keys([key, other])
    assert keys.by_secret(over.encode()) is None
    assert keys.by_id(key.id) is None
    assert keys.by_secret(valid.encode()) == other


def test_two_keys_of_a_scope_count_at_a_time() -> None:
    made = [new_key(Scope.parse("metrics"), NOW, None, "") for _ in range(2)]
    keys = Keys(key for _, key in made)
    assert [keys.by_secret(text.encode()) for text, _ in made] == [key for _, key in made]


@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5))
def test_a_scope_is_the_same_after_its_text(customers: set[str]) -> None:
    scope = Scope("customer", frozenset(customers))
    assert Scope.parse(str(scope)) == scope
    key = new_key(scope, NOW, None, "")[1]
    assert Key.model_validate_json(key.encode()) == key
    assert all(map(scope.sees, customers))
    assert not scope.sees(None)
    assert not scope.sees("".join(customers) + "x")


@pytest.mark.parametrize(
    "text", ["", "customer", "customer:", "customer:a,", "operator:", "operator:a", "root", "customer:%ff", "Operator"]
)
def test_other_texts_are_no_scopes(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Scope.parse(text)


def test_what_a_scope_sees() -> None:
    operator, metrics, customer = map(Scope.parse, ("operator", "metrics", "customer:acme"))
    assert [scope.sees("acme") for scope in (operator, metrics, customer)] == [True, False, True]
    assert [scope.sees("other") for scope in (operator, metrics, customer)] == [True, False, False]
    assert [scope.sees(None) for scope in (operator, metrics, customer)] == [True, False, False]
    assert [scope.sees_metrics() for scope in (operator, metrics, customer)] == [True, True, False]
