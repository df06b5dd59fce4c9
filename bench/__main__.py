"""`python -m bench`: measures, and writes a table and plots.

From the project's folder, with PYTHONPATH=src:tests. A part that runs alone replaces its rows of the table.
"""

import argparse
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

from bench import answers, customers, disk, formats, freshness, ingest, load, memory, scale
from bench.report import Report
from bench.run import FULL, SHORT, Run, Sizes

PARTS = {
    "ingest": ingest.measure,
    "freshness": freshness.measure,
    "answers": answers.measure,
    "load": load.measure,
    "memory": memory.measure,
    "customers": customers.measure,
    "formats": formats.measure,
    "disk": disk.measure,
    "scale": scale.measure,
}
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--lines", type=int, help=f"lines of ingest, memory and scale (default: {FULL.lines:,})")
    parser.add_argument("--fifty-million", action="store_true", help="answers also with 50 million stored lines")
    parser.add_argument("--short", action="store_true", help="tiny sizes, to see that it works; the times mean nothing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for table and plots")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.parts) - PARTS.keys()):
        parser.error(f"no such part: {', '.join(unknown)}")
    # What was started is ended then too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    report = Report(arguments.results, list(PARTS))
    with tempfile.TemporaryDirectory(prefix="bench_") as folder:
        run = Run(_sizes(arguments), Path(folder))
        for name in arguments.parts or PARTS:
            run.begin(name)
            report.add(name, PARTS[name](run))
    run.show(f"is the last; see {report.table}", lasting=True)


def _sizes(arguments: argparse.Namespace) -> Sizes:
    sizes = SHORT if arguments.short else FULL
    if arguments.lines:
        sizes = replace(sizes, lines=arguments.lines)
    if arguments.fifty_million:
        sizes = replace(sizes, stored=(*sizes.stored, 50_000_000))
    return sizes


if __name__ == "__main__":
    main()
