"""Opens the store that the settings name."""

from storage.contract import Storage
from storage.settings import StorageSettings
from storage.sqlite import SqliteStorage


def open_storage(settings: StorageSettings) -> Storage:
    """A connection to the store. What is wrong with it is raised by its methods, not here."""
    if settings.storage == "sqlite":
        return SqliteStorage(settings.sqlite_path)
    # Here, for its client takes 25 MB.
    from storage.influxdb import InfluxStorage

    return InfluxStorage(
        settings.influxdb_url,
        settings.influxdb_org,
        settings.influxdb_bucket,
        settings.influxdb_token,
        settings.influxdb_timeout_seconds,
    )
