"""`python -m flood`: floods the log and the api, and asks about real customers meanwhile.

From the project's folder, with PYTHONPATH=src:tests. Exit status 0 if the statistics of the real customers are exact
and fresh within 3 s, /ready answers within 1 s, and the api stays below 350 MiB and the processor below 400 MiB.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flood.run import flood
from influxd import influx_server
from stores import Store, influxdb_store, sqlite_store


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flood", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long (default: 300)")
    parser.add_argument("--store", choices=["sqlite", "influxdb"], default="sqlite", help="default: sqlite")
    parser.add_argument("--stored", type=int, default=0, help="false customers of earlier days (default: 0)")
    parser.add_argument(
        "--customers", type=int, default=1_000_000, help="false customers, a line each (default: 1000000)"
    )
    parser.add_argument("--idle", type=int, default=600, help="idle connections (default: 600)")
    parser.add_argument("--half-sent", type=int, default=300, help="half-sent requests (default: 300)")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="flood_"))
    with _store(arguments.store, folder) as store:
        report = flood(
            store,
            folder,
            arguments.seconds,
            arguments.stored,
            arguments.customers,
            arguments.idle,
            arguments.half_sent,
            lambda progress: print(progress, file=sys.stderr, flush=True),
        )
    print(report.text())
    if report.faults:
        sys.exit(f"Everything is kept in {folder}")
    shutil.rmtree(folder)


@contextmanager
def _store(kind: str, folder: Path) -> Iterator[Store]:
    if kind == "sqlite":
        with sqlite_store(folder) as store:
            yield store
    else:
        with influx_server(folder) as server, influxdb_store(server) as store:
            yield store


if __name__ == "__main__":
    main()
