"""`python -m api keys`: makes, lists and revokes keys."""

import argparse
import re
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

from api.access.session_secrets import new_secret
from api.settings import KeysSettings
from service.access.keys import Keys, decode_key, new_key
from service.access.private_files import changing, read_private
from service.access.scopes import FORMS, Scope
from service.printable import printable
from service.settings import is_utf_8, load

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhd])")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="keys")
    add = commands.add_parser("add", help="make a key and show it once")
    add.add_argument("scope", type=_scope, metavar="SCOPE", help=f"what it shows: {FORMS}; ids are percent-encoded")
    add.add_argument("--expires", type=_expiry, metavar="WHEN", help="30m, 12h, 90d, or a UTC day such as 2027-01-31")
    add.add_argument("--note", default="", type=_utf_8, help="whose key it is")
    add.add_argument(
        "--link",
        type=_page,
        metavar="URL",
        help="also show a link to the page at this URL, for a customer; needs --expires",
    )
    commands.add_parser("list", help="show the keys, without their secrets")
    revoke = commands.add_parser("revoke", help="remove a key: what it was used for ends at once")
    revoke.add_argument("id", metavar="ID")


def run(arguments: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    settings = load(KeysSettings)
    try:
        if arguments.keys == "add":
            return _add(settings, arguments)
        if arguments.keys == "revoke":
            return _revoke(settings.api_keys_file, arguments.id)
        return _list(settings.api_keys_file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        _say(f"API_KEYS_FILE={settings.api_keys_file}: {reason}")
        return 1


def _add(settings: KeysSettings, arguments: argparse.Namespace) -> int:
    scope, expires, link = arguments.scope, arguments.expires, arguments.link
    if link is not None and (scope.kind != "customer" or expires is None):
        _say("--link is for the key of a customer, with --expires")
        return 2
    with changing(settings.session_secret_file) as secrets:
        if not secrets:
            secrets.append(new_secret())
    text, key = new_key(scope, datetime.now(timezone.utc).replace(microsecond=0), expires, arguments.note)
    with changing(settings.api_keys_file) as lines:
        _require_keys(lines)
        lines.append(key.encode().encode())
    until = f"until {_time(expires)}" if expires is not None else "until it is revoked"
    _say(f"Key {key.id}, scope {scope}, {until}. It is shown only this once:")
    print(text)  # noqa: T201
    if link is not None:
        _say("The link for the customer:")
        print(f"{link.rstrip('/')}/shared/{key.id}/#{text}")  # noqa: T201
    return 0


def _revoke(path: Path, key_id: str) -> int:
    with changing(path) as lines:
        _require_keys(lines)
        kept = [line for line in lines if (key := decode_key(line)) is None or key.id != key_id]
        is_there = len(kept) < len(lines)
        lines[:] = kept
    _say(f"Key {key_id} is revoked." if is_there else f"There is no key {key_id}.")
    return 0 if is_there else 1


def _list(path: Path) -> int:
    keys = Keys.decode(read_private(path))
    rows = [("id", "scope", "created", "expires", "note")]
    for key in keys:
        expires = "never" if key.expires is None else _time(key.expires) + ("" if key.is_valid() else " (expired)")
        rows.append((key.id, str(key.scope), _time(key.created), expires, printable(key.note)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())  # noqa: T201
    for number in keys.damaged:
        _say(f"Line {number} of {path} is damaged and counts for nothing.")
    return 0


def _require_keys(lines: list[bytes]) -> None:
    """ValueError if a file is another one: to write it again line by line would damage a database, and where it has the
    secrets of sessions, a key would become one."""
    if lines and not any(map(decode_key, lines)):
        raise ValueError("it has lines, and none of them is a key")


def _utf_8(text: str) -> str:
    if not is_utf_8(text):
        raise argparse.ArgumentTypeError(f"{printable(text)} is not UTF-8")
    return text


def _page(text: str) -> str:
    """The URL of a page, to which a path and a fragment can be added."""
    wrong = argparse.ArgumentTypeError(f"{printable(text)} is not like https://statistics.example.com")
    try:
        url = urlsplit(_utf_8(text))
        is_whole = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        raise wrong from None
    if not is_whole or not text.isprintable() or any(character in text for character in " ?#@\\"):
        raise wrong
    return text


def _scope(text: str) -> Scope:
    try:
        return Scope.parse(_utf_8(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(printable(str(error))) from None


def _expiry(text: str) -> datetime:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    duration = _DURATION.fullmatch(text)
    if duration:
        return now + int(duration[1]) * _UNITS[duration[2]]
    try:
        expires = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{printable(text)} is not like 30m, 12h, 90d or 2027-01-31") from None
    if expires <= now:
        raise argparse.ArgumentTypeError(f"{text} is over")
    return expires


def _time(value: datetime) -> str:
    return f"{value.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _say(text: str) -> None:
    # Standard output has the key alone, for scripts.
    print(printable(text), file=sys.stderr)  # noqa: T201
