"""Following logs with FOLLOW=events and with FOLLOW=poll: both give the same results."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

import oracle
from lines import valid_lines
from pipeline import Pipeline
from storage.logs import Position

pytestmark = [
    pytest.mark.parametrize("store", ["sqlite"], indirect=True),
    pytest.mark.parametrize("follow", ["events", "poll"]),
]


def follow_log(pipeline: Pipeline, follow: str) -> None:
    """Start on a log in a folder of its own, and wait until the log is followed."""
    pipeline.log = pipeline.log.parent / "logs" / "api.log"
    pipeline.log.parent.mkdir(exist_ok=True)
    begun = pipeline.said().count("event=following") if pipeline.output.exists() else 0
    pipeline.start(FOLLOW=follow, LOG_FILE_PATH=str(pipeline.log))
    pipeline.until(lambda: pipeline.said().count("event=following") > begun, "it follows")


def heartbeat(pipeline: Pipeline) -> float:
    return pipeline.output.with_name("heartbeat").stat().st_mtime


def test_appended_lines_are_stored(pipeline: Pipeline, follow: str) -> None:
    follow_log(pipeline, follow)
    lines = b""
    # One line, which makes the file, then many.
    for seed, many in enumerate([1, 1, 5_000, 1]):
        more = valid_lines(many, seed=seed)
        lines += more
        pipeline.append(more)
        pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines)
    assert pipeline.end() == 0


def test_a_line_that_comes_in_pieces_is_stored_when_it_is_whole(pipeline: Pipeline, follow: str) -> None:
    follow_log(pipeline, follow)
    first, line = valid_lines(1), valid_lines(1, seed=2)
    pipeline.append(first + line[:10])
    pipeline.until_stored(offset=len(first))
    pipeline.append(line[10:-1])
    pipeline.append(b"\n")
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(first + line)


def test_a_log_that_is_rotated_is_followed_on(pipeline: Pipeline, follow: str) -> None:
    parts = [valid_lines(50, seed=seed) for seed in range(3)]
    follow_log(pipeline, follow)
    pipeline.append(parts[0])
    pipeline.until_stored()
    old = pipeline.log.rename(f"{pipeline.log}.1")
    with old.open("ab") as log:
        log.write(parts[1])
    pipeline.append(parts[2])
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(b"".join(parts))


def test_a_log_that_another_file_replaces_is_followed_on(pipeline: Pipeline, follow: str) -> None:
    parts = [valid_lines(50, seed=seed) for seed in range(3)]
    follow_log(pipeline, follow)
    pipeline.append(parts[0])
    pipeline.until_stored()
    new = pipeline.log.with_name("new")
    new.write_bytes(parts[1])
    new.replace(pipeline.log)
    pipeline.until_stored()
    pipeline.append(parts[2])
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(b"".join(parts))


def test_a_log_that_is_copied_and_truncated_is_followed_on(pipeline: Pipeline, follow: str) -> None:
    parts = [valid_lines(50, seed=seed) for seed in range(2)]
    follow_log(pipeline, follow)
    pipeline.append(parts[0])
    pipeline.until_stored()
    shutil.copy(pipeline.log, f"{pipeline.log}.1")
    pipeline.log.write_bytes(b"")
    pipeline.append(parts[1][:1000])
    pipeline.append(parts[1][1000:])
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(b"".join(parts))


def test_a_log_that_is_cut_at_its_end_is_not_counted_again(pipeline: Pipeline, follow: str) -> None:
    parts = [valid_lines(50, seed=seed) for seed in range(3)]
    follow_log(pipeline, follow)
    pipeline.append(parts[0])
    pipeline.until_stored()
    os.truncate(pipeline.log, len(parts[0]) - 40)
    cut = Position(1, len(parts[0]) - 40)
    pipeline.until(lambda: pipeline.ledger()[0].position == cut, "the first cut was seen")
    pipeline.append(parts[1])
    pipeline.until_stored()
    pipeline.end(signal.SIGKILL)
    # As after a power cut, the log lacks what is in the store.
    os.truncate(pipeline.log, len(parts[0]) + 100)
    pipeline.start(FOLLOW=follow, LOG_FILE_PATH=str(pipeline.log))
    end = Position(2, len(parts[0]) + 100)
    pipeline.until(lambda: pipeline.ledger()[0].position == end, "the cut was seen")
    pipeline.append(parts[2])
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(b"".join(parts))


def test_a_log_that_came_and_was_rotated_while_it_was_not_followed(pipeline: Pipeline, follow: str) -> None:
    parts = [valid_lines(50, seed=seed) for seed in range(2)]
    follow_log(pipeline, follow)
    pipeline.end()
    pipeline.append(parts[0])
    pipeline.log.rename(f"{pipeline.log}.1")
    pipeline.append(parts[1])
    pipeline.start(FOLLOW=follow, LOG_FILE_PATH=str(pipeline.log))
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(parts[0] + parts[1])


def test_a_folder_that_is_deleted_and_made_again_is_followed_on(pipeline: Pipeline, follow: str) -> None:
    parts = [valid_lines(50, seed=seed) for seed in range(3)]
    follow_log(pipeline, follow)
    pipeline.append(parts[0])
    pipeline.until_stored()
    shutil.rmtree(pipeline.log.parent)
    # The processor runs for a while without the folder.
    gone = time.time()
    pipeline.until(lambda: heartbeat(pipeline) > gone + 0.2, "it has looked for its log")
    pipeline.log.parent.mkdir()
    for part in parts[1:]:
        pipeline.append(part)
        pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(b"".join(parts))
    assert pipeline.end() == 0


def test_a_folder_that_nobody_may_enter_for_a_while_is_followed_on(pipeline: Pipeline, follow: str) -> None:
    pipeline.obeys_permissions = True
    follow_log(pipeline, follow)
    lines = valid_lines(10)
    pipeline.append(lines)
    pipeline.until_stored()
    folder = pipeline.log.parent
    open_log = pipeline.log.open("ab")
    folder.chmod(0)
    closed_at = time.time()
    pipeline.until(lambda: heartbeat(pipeline) > closed_at + 2, "it works on")
    more = valid_lines(20, seed=2)
    with open_log:
        open_log.write(more)
    folder.chmod(0o700)
    pipeline.until_stored()
    pipeline.append(lines)
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines + more + lines)


def test_a_folder_of_our_own_that_is_closed_ends_it_with_a_sentence(pipeline: Pipeline, follow: str) -> None:
    pipeline.obeys_permissions = True
    spool = pipeline.output.with_name("own") / "backfill"
    pipeline.environment["BACKFILL_FOLDER"] = str(spool)
    follow_log(pipeline, follow)
    spool.parent.chmod(0)
    assert pipeline.wait() == 1
    spool.parent.chmod(0o700)
    assert f'event=following_failed reason="Permission denied" file={spool}' in pipeline.said()
    assert "Traceback" not in pipeline.said()


def test_a_folder_that_is_moved_away_and_made_again_is_followed_on(pipeline: Pipeline, follow: str) -> None:
    parts = [valid_lines(50, seed=seed) for seed in range(2)]
    follow_log(pipeline, follow)
    pipeline.append(parts[0])
    pipeline.until_stored()
    pipeline.log.parent.rename(pipeline.log.parent.with_name("old"))
    pipeline.log.parent.mkdir()
    pipeline.append(parts[1])
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(b"".join(parts))


def test_a_log_that_is_a_link_is_followed(pipeline: Pipeline, follow: str, tmp_path: Path) -> None:
    parts = [valid_lines(50, seed=seed) for seed in range(2)]
    target = tmp_path / "elsewhere" / "0.log"
    target.parent.mkdir()
    target.write_bytes(parts[0])
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "api.log").symlink_to(target)
    follow_log(pipeline, follow)
    pipeline.until_stored()
    pipeline.append(parts[1])
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(b"".join(parts))
