"""Makes what an InfluxDB needs before its first use; again, it does no harm.

That is a bucket for requests, a bucket for counts, and an API token of both for each service, so that no service runs
on the admin token. InfluxDB keeps only hashes of tokens: a token is known when it is made and never again. So a file
with a token that works is kept. A store of schema 4 is brought up.
"""

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import urllib3
from influxdb_client import Authorization, Bucket, BucketRetentionRules, Organization, Permission, PermissionResource
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from request_log.line import SECONDS_A_DAY
from service.logs import logger
from storage.errors import StorageRefused, StorageUnavailable
from storage.influxdb.schema import COUNTS
from storage.influxdb.store import InfluxStorage
from storage.settings import SetupSettings

log = logger(__name__)

ACTIONS = {"log_processor": ["read", "write"], "api": ["read"]}
"""Service -> what it may do with the buckets."""
EXTRA_RETENTION_DAYS = 2
"""Days that the buckets keep points beyond what the settings say: points expire by the second, our days as a whole."""
SHARD_DAYS = 7
"""Days of a shard of the bucket of requests. InfluxDB's default, a day, halves the speed of writes to many days."""
COUNTS_SHARD_DAYS = 28
"""Days of a shard of the bucket of counts: a day has few rows, and a question about a month reads every shard."""
SYSTEM_BUCKET = "_monitoring"
"""A bucket that InfluxDB makes in each organisation. None of the services' tokens reads it."""
WAIT_SECONDS = 60.0
"""Seconds to wait for a server that starts."""
_TIMEOUT_MS = 10_000
_ROWS_TIMEOUT_SECONDS = 600.0
"""Seconds that a response may take while a store is brought up: to remove many rows takes long."""

Item = TypeVar("Item")


def set_up(settings: SetupSettings) -> None:
    """Make the buckets, the tokens and the schema. Raises StorageUnavailable or StorageRefused."""
    with errors(settings), connect(settings, settings.docker_influxdb_init_admin_token) as admin:
        wait_until_it_answers(admin)
        organization = _find_organization(admin, settings)
        counts = f"{settings.influxdb_bucket}{COUNTS}"
        buckets = [
            _make_bucket(admin, organization, settings.influxdb_bucket, settings.retention_days, SHARD_DAYS),
            _make_bucket(admin, organization, counts, settings.days_of_counts, COUNTS_SHARD_DAYS),
        ]
        for service, actions in ACTIONS.items():
            path = settings.tokens_path / service / "token"
            if _works(_read_token(path), actions, buckets, settings):
                log.info("token_kept", service_name=service, path=str(path))
            else:
                write_secret(path, _make_token(admin, service, actions, buckets))
                log.info("token_made", service_name=service, path=str(path), may=",".join(actions))
    storage = InfluxStorage(
        settings.influxdb_url,
        settings.influxdb_org,
        settings.influxdb_bucket,
        settings.docker_influxdb_init_admin_token,
        _ROWS_TIMEOUT_SECONDS,
    )
    try:
        storage.set_up(int(time.time()) // SECONDS_A_DAY - settings.retention_days)
    finally:
        storage.close()
    log.info("set_up", storage="influxdb", url=settings.influxdb_url, bucket=settings.influxdb_bucket)


def wait_until_it_answers(client: InfluxDBClient, seconds: float = WAIT_SECONDS) -> None:
    """Return when the server answers. Raises StorageUnavailable when it does not answer within `seconds`."""
    deadline = time.monotonic() + seconds
    if client.ping():
        return
    log.info("waiting_for_influxdb", url=client.url, seconds_at_most=seconds)
    while not client.ping():
        if time.monotonic() > deadline:
            raise StorageUnavailable(f"InfluxDB at {client.url} has not answered for {seconds:g} s.")
        time.sleep(0.5)


def connect(settings: SetupSettings, token: str) -> InfluxDBClient:
    """A client of the server, with a token."""
    return InfluxDBClient(settings.influxdb_url, token, org=settings.influxdb_org, timeout=_TIMEOUT_MS, retries=False)


@contextmanager
def errors(settings: SetupSettings) -> Iterator[None]:
    """Turn the client's errors into those of the contract."""
    try:
        yield
    except ApiException as error:
        if error.status == 401:
            raise StorageRefused(
                f"InfluxDB at {settings.influxdb_url} refuses the admin token. It has to be that with which "
                "InfluxDB's data was made; start.sh keeps it in secrets/influxdb_admin_token."
            ) from error
        raise StorageRefused(
            f"InfluxDB at {settings.influxdb_url} answered {error.status}: {error.message or error.reason}."
        ) from error
    except urllib3.exceptions.HTTPError as error:
        raise StorageUnavailable(f"InfluxDB at {settings.influxdb_url} went away: {error}.") from error
    except (AttributeError, TypeError, ValueError) as error:
        # The client takes any answer for one of InfluxDB.
        raise StorageRefused(f"The server at {settings.influxdb_url} does not answer as InfluxDB does.") from error


def _found(find: Callable[[], list[Item]]) -> list[Item]:
    """What `find` finds, or nothing: InfluxDB answers an unknown name with an error."""
    try:
        return find()
    except ApiException as error:
        if error.status == 404:
            return []
        raise


def _find_organization(admin: InfluxDBClient, settings: SetupSettings) -> Organization:
    found: list[Organization] = _found(lambda: admin.organizations_api().find_organizations(org=settings.influxdb_org))
    if not found:
        raise StorageRefused(
            f"InfluxDB at {settings.influxdb_url} has no organisation {settings.influxdb_org} (INFLUXDB_ORG)."
        )
    return found[0]


def _make_bucket(
    admin: InfluxDBClient, organization: Organization, name: str, kept_days: int, shard_days: int
) -> Bucket:
    """Make the bucket of this name, or give it the right retention and shards."""
    days = kept_days + EXTRA_RETENTION_DAYS
    # InfluxDB refuses shards that are longer than the retention.
    seconds, shard_seconds = days * SECONDS_A_DAY, min(shard_days, days) * SECONDS_A_DAY
    rule = BucketRetentionRules(type="expire", every_seconds=seconds, shard_group_duration_seconds=shard_seconds)
    buckets = admin.buckets_api()
    found: list[Bucket] = _found(lambda: buckets.find_buckets(name=name, org_id=organization.id).buckets)
    if not found:
        bucket = buckets.create_bucket(bucket_name=name, retention_rules=rule, org=organization)
        log.info("bucket_made", bucket=name, keeps_days=days)
        return bucket
    bucket = found[0]
    limits = [(of_bucket.every_seconds, of_bucket.shard_group_duration_seconds) for of_bucket in bucket.retention_rules]
    if limits != [(seconds, shard_seconds)]:
        bucket.retention_rules = [rule]
        bucket = buckets.update_bucket(bucket)
        log.info("bucket_corrected", bucket=name, keeps_days=days)
    return bucket


def _works(token: str | None, actions: list[str], buckets: list[Bucket], settings: SetupSettings) -> bool:
    """Whether the token reads these buckets and not every bucket, and writes them only if it should."""
    if token is None:
        return False
    with connect(settings, token) as client:
        try:
            # Each bucket by its name: the limit of a list counts buckets that the token may not see.
            if _may_read(client, SYSTEM_BUCKET) or not all(_may_read(client, bucket.name) for bucket in buckets):
                return False
        except ApiException as error:
            if error.status == 401:
                return False
            raise
        return all(_may_write(client, bucket) == ("write" in actions) for bucket in buckets)


def _may_read(client: InfluxDBClient, name: str) -> bool:
    return bool(_found(lambda: client.buckets_api().find_buckets(name=name).buckets))


def _may_write(client: InfluxDBClient, bucket: Bucket) -> bool:
    try:
        # Of a comment InfluxDB checks the permission, and it stores nothing.
        client.write_api(write_options=SYNCHRONOUS).write(bucket.name, record=b"#")
    except ApiException as error:
        if error.status == 403:
            return False
        raise
    return True


def _make_token(admin: InfluxDBClient, service: str, actions: list[str], buckets: list[Bucket]) -> str:
    """A new token of this service, which replaces the one it had."""
    of_requests, *_ = buckets
    authorizations = admin.authorizations_api()
    description = f"request-statistics: {service} of {of_requests.name}"
    for old in authorizations.find_authorizations(org_id=of_requests.org_id):
        if old.description == description:
            authorizations.delete_authorization(old)
    resources = [PermissionResource(type="buckets", id=bucket.id, org_id=bucket.org_id) for bucket in buckets]
    made = authorizations.create_authorization(
        authorization=Authorization(
            org_id=of_requests.org_id,
            description=description,
            permissions=[Permission(action, resource) for resource in resources for action in actions],
        )
    )
    token: str = made.token
    return token


def _read_token(path: Path) -> str | None:
    """The token in the file; None where there is none."""
    try:
        content = path.read_bytes().strip()
    except FileNotFoundError:
        return None
    return content.decode() if re.fullmatch(rb"[!-~]+", content) else None


def write_secret(path: Path, secret: str) -> None:
    """Replace the file atomically, so that no process reads half a secret. Only its owner may read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    new = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.fsync(descriptor)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
