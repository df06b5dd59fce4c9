"""Opens the store that the settings name, and makes what it needs."""

from typing_extensions import assert_never

from service.logs import logger
from service.settings import load
from storage.contract import Storage
from storage.settings import SetupSettings, StorageSettings
from storage.sqlite import SqliteStorage
from storage.writers import MAIN

log = logger(__name__)

# InfluxDB's modules are imported where they are used: their client takes 25 MB.


def open_storage(settings: StorageSettings, writer: str = MAIN) -> Storage:
    """A connection to the store, as this writer or as a reader.

    Its methods raise what is wrong with the store; this function does not.
    """
    match settings.storage:
        case "sqlite":
            return SqliteStorage(settings.sqlite_path, writer)
        case "influxdb":
            from storage.influxdb import InfluxStorage

            return InfluxStorage(
                settings.influxdb_url,
                settings.influxdb_org,
                settings.influxdb_bucket,
                settings.influxdb_token,
                settings.influxdb_timeout_seconds,
                writer,
            )
        case _:
            assert_never(settings.storage)


def set_up(settings: SetupSettings) -> None:
    """Make what the store needs before its first use. Raises StorageUnavailable or StorageRefused."""
    match settings.storage:
        case "sqlite":
            open_storage(load(StorageSettings)).set_up()
            log.info("set_up", storage=settings.storage, path=str(settings.sqlite_path))
        case "influxdb":
            from storage.influxdb import setup

            setup.set_up(settings)
        case _:
            assert_never(settings.storage)
