"""The command `check`: tries the first lines of a log. It finds the settings for them, or tries the given settings, and
prints what is understood and what would be rejected."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from log_processor.commands.check import report
from log_processor.commands.check.finding import Found, find, guessed_unit
from log_processor.commands.check.hints import hints
from log_processor.commands.check.sample import Sample
from log_processor.commands.terminal import say, say_error
from log_processor.following.compressed import NoLog
from log_processor.format_settings import LogFormat
from log_processor.process.time_bounds import TimeBounds
from request_log.line import Reason

_BY_TIME = (Reason.TOO_OLD, Reason.TOO_NEW)


class CheckSettings(LogFormat):
    """Settings of `check`."""

    retention_days: int = Field(default=45, ge=1, le=3650)
    """Whole UTC days before today that are kept."""

    def given(self) -> LogFormat | None:
        """The settings of the format; None if none is given."""
        of_lines = LogFormat.model_fields.keys() - {"log_drop_query"}
        return self if self.model_fields_set & of_lines else None


def check(settings: CheckSettings, path: Path) -> int:
    """Print what is understood of the first lines of a file. Returns the exit status: 0 if all of them are."""
    try:
        sample = Sample.of(path)
        modified = path.stat().st_mtime
    except NoLog as error:
        say_error(str(error))
        return 1
    if not sample.data:
        say_error(f"{path} has no lines.")
        return 1
    given = settings.given()
    found = find(sample) if given is None else Found(given, guessed_unit(given, sample) is not None)
    time_bounds = TimeBounds(newest=0, modified=modified)
    in_time = time_bounds.oldest_day(settings.retention_days), time_bounds.latest_second()
    lines, is_all = _report(path, sample, given is not None, found, in_time)
    say(*lines)
    return 0 if is_all else 1


def _report(
    path: Path, sample: Sample, is_given: bool, found: Found | None, in_time: tuple[int, int]
) -> tuple[list[str], bool]:
    """The lines to print, and whether every line of the log is understood."""
    first = sample.data.count(b"\n")
    more = [f"These are its first {first:,} lines; it has more."] if sample.has_more else []
    if found is None:
        shown = [f"  {report.shown(line)!r}" for line in sample.data.split(b"\n", 5)[:-1][:5]]
        said = f"{path}: 0 of {first:,} lines are understood in any format."
        return [said, *more, *hints(sample), "The first lines are:", *shown], False
    parse = found.settings.parser()
    # More parts of the last line may follow.
    end = parse.framing.whole(sample.data, "").length if sample.has_more else 0
    data = sample.data[:end] if end else sample.data
    parsed = parse(data)
    count = len(parsed.requests) + len(parsed.rejected)
    described = found.settings.described()
    text = [f"{path}: {len(parsed.requests):,} of {count:,} lines are understood as {described}.", *more]
    if not is_given:
        text += ["Settings that fit these lines:", *found.settings.assignments()]
    text += report.understood(found, parsed, data)
    text += report.suspicious(found.settings, parsed.requests, data)
    by_time = [line for line in parse(data, 0, *in_time).rejected if line.reason in _BY_TIME]
    text += report.rejected([*parsed.rejected, *by_time], data)
    if is_given:
        text += _better(sample, len(parsed.requests))
    return text, bool(count) and not parsed.rejected


def _better(sample: Sample, understood: int) -> Iterator[str]:
    """Settings that understand more lines than the given ones."""
    other = find(sample)
    if other is not None and (count := len(other.settings.parser()(sample.data).requests)) > understood:
        yield f"{other.settings.described()} would understand {count:,} of these lines."
