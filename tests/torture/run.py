"""Tortures the processor, then compares the store with the logs, and with it an api that was asked all along."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import oracle
from log_processor.following.identity import Identity
from storage.keys import FileKey
from storage.logs import LedgerRow
from torture.asked_api import asked_api
from torture.log import SELDOM_CUSTOMERS, Stored, TortureLog
from torture.scheme import Scheme
from torture.truth import FiguresKey, Truth, truth_of
from torture.victim import Victim

STARTING_SECONDS = 1.5
# A successor waits ten seconds before it takes over from one that is silent.
FOLLOWING_SECONDS = 30.0
LONGEST_AT_WORK_SECONDS = 4.0
ONE_IS_LEFT_SECONDS = 180.0
MOST_COMMITS = 8
NO_PROGRESS_SECONDS = 180.0
SETTLED_SECONDS = 4.0
BETWEEN_LOOKS_SECONDS = 0.2
SHOWN_DIFFERENCES = 20
# The logs are in one folder. None of these names is one that rotation gives to the file of another.
NAMES = ["api_requests.log", "orders.access.log", "shop-8080.log", "requests"]


@dataclass
class Report:
    """What was done, and what came of it."""

    lines: int = 0
    valid: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    sigkills: int = 0
    successions: int = 0
    """How often a processor was stopped by SIGSTOP, and went on when its successor was at work."""
    taken_over: int = 0
    """How often the one that was stopped lost the store by that; else the successor was refused."""
    sigterms: int = 0
    slowest_end: float = 0.0
    """Seconds from SIGTERM to the end."""
    rotations: Counter[str] = field(default_factory=Counter)
    gaps: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    differences: list[str] = field(default_factory=list)
    """Empty: the store equals the log."""

    def text(self) -> str:
        """For people."""
        rows: list[tuple[str, object]] = [
            ("lines", f"{self.lines:,}"),
            ("requests", f"{self.valid:,}"),
            ("rejected", f"{self.rejected.total():,} ({_listed(self.rejected)})"),
            ("SIGKILLs", self.sigkills),
            ("SIGSTOPs", f"{self.successions} with a successor, which took over {self.taken_over} times"),
            ("SIGTERMs", f"{self.sigterms}, the slowest end after {self.slowest_end:.1f} s"),
            ("rotations", f"{self.rotations.total()} ({_listed(self.rotations)})"),
            ("gaps", f"{self.gaps}, where what was read went away"),
            ("faults", f"{self.faults.total()} ({_listed(self.faults)})"),
            ("lost", self.lost),
            ("doubled", self.doubled),
        ]
        shown = self.differences[:SHOWN_DIFFERENCES]
        if len(self.differences) > len(shown):
            shown = [*shown, f"... and {len(self.differences) - len(shown)} more"]
        return "\n".join(
            [
                *(f"{name + ':':12}{value}" for name, value in rows),
                *(shown or ["The store equals the log, and so do the answers of an api."]),
            ]
        )


def torture(
    victim: Victim,
    schemes: list[Scheme],
    kills: int,
    rate: int,
    seed: int,
    progress: Callable[[str], None],
    seldom_customers: int = SELDOM_CUSTOMERS,
) -> Report:
    """Kill the processor `kills` times by SIGKILL, or stop it and have another one succeed it, and now and then end it
    by SIGTERM, while logs that are rotated by these schemes grow by `rate` lines a second, and an api is asked; then
    compare. `seldom_customers`: as `TortureLog` has it."""
    report = Report()
    stop = threading.Event()
    paths = [victim.pipeline.log.with_name(name) for name in NAMES[: len(schemes)]]
    stored = {path: Stored() for path in paths}
    logs = []
    for place, (path, scheme) in enumerate(zip(paths, schemes, strict=True)):
        look = partial(stored.__getitem__, path)
        pick = random.Random(seed * 10 + place)
        logs.append(TortureLog(path, scheme, rate // len(schemes), look, pick, seldom_customers))
    victim.follow([log.path for log in logs])
    with asked_api(victim.pipeline.log.parent, victim.store_environment) as api:
        with ThreadPoolExecutor(len(logs) + 1) as executor:
            looking = executor.submit(_look, victim, stored, stop)
            try:
                _show_folders(victim, logs)
                writing = [executor.submit(log.write_until, stop) for log in logs]
                _kill(victim, kills, report, random.Random(seed + 1), [looking, *writing], progress)
            finally:
                stop.set()
        for task in (looking, *writing):
            task.result()
        truth = truth_of([path for log in logs for path in log.truth()])
        _finish(victim, truth, report)
        answers = api.answers()
    report.rotations = sum((log.rotations for log in logs), Counter())
    report.faults = victim.faults()
    _compare(victim, truth, report)
    _compare_figures("the api", answers, truth, report)
    _compare_gaps(victim, logs, report)
    return report


def _look(victim: Victim, stored: dict[Path, Stored], stop: threading.Event) -> None:
    """Keep up with what is committed."""
    storage = victim.pipeline.open_storage()
    try:
        while not stop.wait(BETWEEN_LOOKS_SECONDS):
            stored.update(victim.stored(storage) or {})
    finally:
        storage.close()


def _show_folders(victim: Victim, logs: list[TortureLog]) -> None:
    """Rotated files that have a folder of their own are found when one was seen to move there."""
    unknown = [log for log in logs if log.scheme.has_folder]
    if unknown:
        victim.start()
        for log in unknown:
            log.until_folder_is_known()
        victim.pipeline.end()


def _kill(
    victim: Victim,
    kills: int,
    report: Report,
    pick: random.Random,
    at_work: "list[Future[None]]",
    progress: Callable[[str], None],
) -> None:
    is_running = False
    while report.sigkills + report.successions < kills and not any(task.done() for task in at_work):
        if not is_running:
            victim.start()
        _until_some_moment(victim, pick)
        (number,) = pick.choices([signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM], [12, 3, 5])
        if number == signal.SIGSTOP:
            _succeed(victim, report, pick)
        else:
            _end(victim, number, report)
        is_running = number == signal.SIGSTOP
        progress(
            f"SIGKILLs: {report.sigkills}, SIGSTOPs: {report.successions}, together of {kills}; "
            f"SIGTERMs: {report.sigterms}"
        )
    if is_running:
        _end(victim, signal.SIGTERM, report)


def _until_some_moment(victim: Victim, pick: random.Random) -> None:
    moment = pick.choice(["starting", "at work", "in a commit"])
    if moment == "starting":
        time.sleep(pick.uniform(0, STARTING_SECONDS))
    elif victim.until_following(FOLLOWING_SECONDS):
        if moment == "at work":
            victim.pass_time(pick.uniform(0, LONGEST_AT_WORK_SECONDS), pick)
        else:
            for _ in range(pick.randint(1, MOST_COMMITS)):
                victim.until_commit(LONGEST_AT_WORK_SECONDS)
            time.sleep(pick.choice([0.0, 0.001, 0.005, 0.02]))


def _end(victim: Victim, number: signal.Signals, report: Report) -> None:
    start = time.monotonic()
    status = victim.pipeline.end(number)
    if number == signal.SIGKILL:
        report.sigkills += 1
        expected = [-signal.SIGKILL]
    else:
        report.sigterms += 1
        report.slowest_end = max(report.slowest_end, time.monotonic() - start)
        # By the signal itself where it had not come to handle it.
        expected = [0, -signal.SIGTERM]
    said = victim.pipeline.said()
    if status == 1 and "has taken over" in said and report.taken_over < report.successions:
        # A successor had asked for the store and was refused. What it wrote landed later.
        report.taken_over += 1
    elif status not in expected:
        report.differences.append(f"ended with status {status}:\n{said[-2000:]}")


def _succeed(victim: Victim, report: Report, pick: random.Random) -> None:
    """Stop the processor, as a machine that is suspended does, and let it go on beside a successor: one of the two has
    to end by itself, and say why."""
    predecessor = victim.pipeline
    predecessor.send(signal.SIGSTOP)
    victim.start()
    if victim.until_following(FOLLOWING_SECONDS):
        victim.pass_time(pick.uniform(0, LONGEST_AT_WORK_SECONDS), pick)
        victim.until_commit(LONGEST_AT_WORK_SECONDS)
    predecessor.send(signal.SIGCONT)
    ended = victim.until_one_is_left(predecessor, ONE_IS_LEFT_SECONDS)
    report.successions += 1
    report.taken_over += ended is predecessor
    if ended is None:
        report.differences.append(f"two processors are at work:\n{predecessor.said()[-2000:]}")
        predecessor.end(signal.SIGKILL)
    elif ended.wait() != 1 or "event=store_refused" not in ended.said() or "Traceback" in ended.said():
        report.differences.append(f"ended without a sentence:\n{ended.said()[-2000:]}")


def _finish(victim: Victim, truth: Truth, report: Report) -> None:
    """Let the processor come to the logs' ends, and what is on its way to the store land."""
    victim.calm()
    victim.start()
    seen: list[LedgerRow] = []
    since = time.monotonic()
    while True:
        rows = victim.ledger()
        if rows != seen:
            seen, since = rows, time.monotonic()
        unchanged = time.monotonic() - since
        read = sum(row.read for row in rows)
        is_done = read >= truth.read and victim.pipeline.is_committed() and victim.pipeline.is_rolled_up()
        if is_done and unchanged > SETTLED_SECONDS:
            break
        if unchanged > NO_PROGRESS_SECONDS:
            report.differences.append(f"stuck: {read} lines read of {truth.read}")
            break
        time.sleep(0.1)
    victim.settle()
    status = victim.pipeline.end(signal.SIGTERM)
    if status != 0:
        report.differences.append(f"ended with status {status}:\n{victim.pipeline.said()[-2000:]}")


def _compare(victim: Victim, truth: Truth, report: Report) -> None:
    report.lines, report.valid, report.rejected = truth.read, truth.stored, truth.rejected
    differ = report.differences.append

    stored = victim.pipeline.stored()
    _compare_figures("the store", stored, truth, report)
    for key in stored.keys() | truth.figures.keys():
        if key[0] is None:
            in_store, in_log = (found[key][0] if key in found else 0 for found in (stored, truth.figures))
            excess = in_store - in_log
            report.lost += max(0, -excess)
            report.doubled += max(0, excess)

    rolled_up = victim.pipeline.rolled_up()
    for part in sorted(rolled_up.keys() | truth.rollups.keys(), key=str):
        ours, theirs = rolled_up.get(part), truth.rollups.get(part)
        if ours != theirs:
            differ(f"{part[0]} on {part[1]}, {part[2]}: {ours} in the store, {theirs} in the log")

    rows = victim.ledger()
    rejected: Counter[str] = Counter()
    for row in rows:
        rejected.update({reason.value: lines for reason, lines in row.rejected.items()})
        if row.read != row.stored + sum(row.rejected.values()) + row.skipped:
            differ(f"the ledger is not balanced: {row}")
    ledger = (sum(row.read for row in rows), sum(row.stored for row in rows), rejected)
    if ledger != (truth.read, truth.stored, truth.rejected):
        differ(f"ledger: {ledger} in the store, {(truth.read, truth.stored, truth.rejected)} in the log")

    # Requests that were stored and not counted stay where the file is gone since.
    requests, has_gaps = victim.stored_requests(), any(row.gaps for row in rows)
    least, most = victim.to_be_stored(truth)
    if requests < least or (requests > most and not has_gaps):
        differ(f"requests: {requests} in the store, {least} to {most} of the log")

    letters = Counter(victim.dead_letters())
    expected = Counter(truth.dead_letters)
    for letter in sorted((letters - expected).elements()):
        differ(f"dead letter too many: {letter}")
    for letter in sorted((expected - letters).elements()):
        differ(f"dead letter missing: {letter}")


def _compare_gaps(victim: Victim, logs: list[TortureLog], report: Report) -> None:
    """There may be gaps where what was read went away, and at files of which nothing but a hole was read: nobody knows
    them again when they are compressed while nobody follows."""
    may_have = {str(log.path): log.may_have_gaps for log in logs}
    files = victim.file_rows()
    for row in victim.ledger():
        known = [
            gap for gap in row.gaps if Identity.decode(files[FileKey(row.log, gap.position.generation)].identity).marks
        ]
        report.gaps += len(row.gaps)
        if len(known) > may_have[row.path]:
            report.differences.append(f"{row.path}: {may_have[row.path]} gaps may be there, not {known}")


def _compare_figures(where: str, ours: Mapping[FiguresKey, oracle.Figures], truth: Truth, report: Report) -> None:
    for key in sorted(ours.keys() | truth.figures.keys(), key=str):
        found, expected = ours.get(key), truth.figures.get(key)
        if found != expected:
            who = key[0] or "all customers"
            report.differences.append(f"{who} on {key[1]}: {found} in {where}, {expected} in the log")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
