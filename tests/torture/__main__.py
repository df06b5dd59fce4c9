"""`python -m torture`: kills the processor at random, again and again; then compares the store with the log, and the
answers of an api that was asked all along.

From the project's folder, with PYTHONPATH=src:tests. Exit status 0 if the store and an api equal the log.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faulty_proxy import faulty_proxy
from influxd import influx_server
from kafka_broker import POM, broker_of
from maven import jars
from stores import influxdb_store
from torture.run import NAMES, torture
from torture.scheme import Scheme, drawn, scheme_of
from torture.shippers import drawn_deeds_of_way, schemes_without_folders, torture_way
from torture.topic import drawn_deeds, torture_topic
from torture.victim import Victim, influxdb_victim, sqlite_victim


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("--store", choices=["influxdb", "sqlite"], default="sqlite")
    parser.add_argument(
        "--source",
        choices=["files", "kafka", "records"],
        default="files",
        help="kafka: two shippers of logs, a broker and three processors; records: a topic without shippers (InfluxDB)",
    )
    parser.add_argument(
        "--kills",
        type=int,
        default=100,
        help="SIGKILLs and, a fifth of them, SIGSTOPs with a successor (default: 100); some SIGTERMs come on top",
    )
    parser.add_argument("--rate", type=int, default=3_000, help="lines a second (default: 3000)")
    parser.add_argument("--seed", type=int, default=1, help="repeats the choices, not the timing (default: 1)")
    parser.add_argument(
        "--scheme",
        type=lambda text: [scheme_of(of_log) for of_log in text.split(",")],
        metavar="SCHEME,...",
        help="how each of one to four logs is rotated, as numbered+delayed; drawn by the seed if it is not given",
    )
    parser.add_argument(
        "--store-requests",
        choices=["all", "failed", "none", "mixed"],
        default="all",
        help="STORE_REQUESTS; mixed: another one at each start (default: all)",
    )
    arguments = parser.parse_args()
    schemes = arguments.scheme or drawn(arguments.seed)
    if len(schemes) > len(NAMES):
        parser.error(f"at most {len(NAMES)} logs")
    if arguments.store == "influxdb" and not (os.environ.get("TEST_INFLUXDB_URL") or shutil.which("influxd")):
        parser.error("--store influxdb needs influxd 2 on PATH, or TEST_INFLUXDB_URL")

    if arguments.source == "kafka":
        sys.exit(_torture_way(arguments.kills, arguments.rate, arguments.seed, schemes_without_folders(schemes)))
    if arguments.source == "records":
        sys.exit(_torture_topic(arguments.kills, arguments.rate, arguments.seed))
    print(f"seed:       {arguments.seed}\nschemes:    {', '.join(map(str, schemes))}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="torture_"))
    with victim(arguments.store, folder, arguments.seed) as tortured:
        tortured.store(arguments.store_requests)
        report = torture(tortured, schemes, arguments.kills, arguments.rate, arguments.seed, show)
    print(f"\nstore:      {arguments.store}\n{report.text()}")
    if report.differences:
        sys.exit(f"Everything is kept in {folder}")
    shutil.rmtree(folder)


def _torture_topic(kills: int, rate: int, seed: int) -> int:
    folder = Path(tempfile.mkdtemp(prefix="torture_"))
    for name in ("influxd", "kafka", "processors"):
        (folder / name).mkdir()
    with (
        influx_server(folder / "influxd") as server,
        influxdb_store(server) as store,
        broker_of(folder / "kafka", jars(POM)) as broker,
    ):
        report = torture_topic(broker, store, folder / "processors", drawn_deeds(kills, seed), rate, seed, show)
    print(f"seed:       {seed}\n{report.text()}")
    if report.differences:
        print(f"Everything is kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _torture_way(kills: int, rate: int, seed: int, schemes: list[Scheme]) -> int:
    print(f"seed:       {seed}\nschemes:    {', '.join(map(str, schemes))}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="torture_"))
    for name in ("influxd", "kafka", "way"):
        (folder / name).mkdir()
    with (
        influx_server(folder / "influxd") as server,
        influxdb_store(server) as store,
        faulty_proxy(server.url) as proxy,
        broker_of(folder / "kafka", jars(POM)) as broker,
    ):
        deeds = drawn_deeds_of_way(kills, seed)
        report = torture_way(broker, store, proxy, folder / "way", schemes, deeds, rate, seed, show)
    print(f"\n{report.text()}")
    if report.differences:
        print(f"Everything is kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


@contextmanager
def victim(store: str, folder: Path, seed: int) -> Iterator[Victim]:
    """A processor on a fresh store of this kind."""
    if store == "sqlite":
        with sqlite_victim(folder, {}) as tortured:
            yield tortured
    else:
        with influx_server(folder) as server, influxdb_victim(folder, {}, server, seed) as tortured:
            yield tortured


def show(progress: str) -> None:
    """In one line, where someone looks."""
    if sys.stderr.isatty():
        print(f"\r{progress}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
