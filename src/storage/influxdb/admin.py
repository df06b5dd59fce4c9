"""Replaces what InfluxDB's first user logs in with, where others may know it."""

import secrets
from pathlib import Path

from influxdb_client import Authorization
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException

from service.logs import logger
from storage.errors import StorageRefused
from storage.influxdb.setup import connect, errors, wait_until_it_answers, write_secret
from storage.settings import SetupSettings

log = logger(__name__)

_DESCRIPTION = "request-statistics: admin"
# Bytes of a password; twice as many characters, of which InfluxDB takes 72.
_PASSWORD_BYTES = 32


def replace_admin(settings: SetupSettings, token_file: Path, password_file: Path) -> None:
    """Give the first user a new token and a new password, write them into the files, and delete the old token.

    Raises StorageUnavailable or StorageRefused. Interrupted, it can be run again.
    """
    with errors(settings), connect(settings, settings.docker_influxdb_init_admin_token) as admin:
        wait_until_it_answers(admin)
        old = [one for one in admin.authorizations_api().find_authorizations() if _is_of_admin(one)]
        if not old:
            raise StorageRefused("InfluxDB has no token that its setup made, so none is replaced.")
        made = _make_token(admin, old[0])
        write_secret(token_file, made.token)
        log.info("admin_token_made", path=str(token_file))
    with errors(settings), connect(settings, made.token) as admin:
        password = secrets.token_hex(_PASSWORD_BYTES)
        write_secret(password_file, password)
        admin.users_api().update_password(made.user_id, password)
        log.info("admin_password_made", path=str(password_file), user=made.user)
        for one in old:
            admin.authorizations_api().delete_authorization(one)
    with errors(settings):
        if _is_taken(settings, settings.docker_influxdb_init_admin_token):
            raise StorageRefused(
                "The new token is in place. The old one still works, for InfluxDB's setup did not make it: delete it."
            )
    log.info("old_admin_tokens_deleted", tokens=len(old))


def _is_of_admin(one: Authorization) -> bool:
    """Whether InfluxDB's own setup or this command made the token: InfluxDB does not say which token is whose."""
    return one.description in (f"{one.user}'s Token", _DESCRIPTION)


def _make_token(admin: InfluxDBClient, old: Authorization) -> Authorization:
    """A token that may do what the old one may."""
    made: Authorization = admin.authorizations_api().create_authorization(
        authorization=Authorization(org_id=old.org_id, description=_DESCRIPTION, permissions=old.permissions)
    )
    return made


def _is_taken(settings: SetupSettings, token: str) -> bool:
    with connect(settings, token) as client:
        try:
            client.authorizations_api().find_authorizations()
        except ApiException as error:
            if error.status == 401:
                return False
            raise
    return True
