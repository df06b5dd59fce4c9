"""Writes the file of Prometheus' login, with the hash of the password of admin: login.py PASSWORD_FILE WEB_CONFIG_FILE.

https://prometheus.io/docs/prometheus/latest/configuration/https/
"""

import sys
from pathlib import Path

import bcrypt


def main(password: Path, web_config: Path) -> None:
    """Write the file anew. Prometheus, which runs as another user, must be able to read it."""
    hashed = bcrypt.hashpw(password.read_text().strip().encode(), bcrypt.gensalt()).decode()
    new = web_config.with_suffix(".new")
    new.write_text(f"basic_auth_users:\n  admin: {hashed}\n")
    new.chmod(0o644)
    new.replace(web_config)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
