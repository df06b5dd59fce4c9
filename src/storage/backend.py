"""Opens the store that the settings name."""

from storage.contract import Storage
from storage.influxdb import InfluxStorage
from storage.settings import StorageSettings
from storage.sqlite import SqliteStorage


def backend(settings: StorageSettings) -> type[Storage]:
    """The class of the backend that the settings name."""
    return InfluxStorage if settings.storage == "influxdb" else SqliteStorage


def open_storage(settings: StorageSettings, writer: int | None = None) -> Storage:
    """A connection to the store; `writer` says which of its writers it is, None that it only asks.

    StorageUnavailable and StorageRefused are raised by its methods, not here.
    """
    if settings.storage == "influxdb":
        return InfluxStorage(
            settings.influxdb_url,
            settings.influxdb_org,
            settings.influxdb_bucket,
            token=settings.influxdb_token,
            writer=writer,
        )
    return SqliteStorage(settings.sqlite_path, writer)
