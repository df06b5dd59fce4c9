"""Which writers are silent: by reports that stay the same, whatever the wall clocks say."""

from api.caching.liveness import SILENT_SECONDS, Liveness
from storage.ledger import Report, WriterState, encode_report

NOW = 1_795_000_000.0


class Clocks:
    """The api's clocks, which a test sets."""

    def __init__(self) -> None:
        self.wall, self.monotonic = NOW, 50.0
        self.liveness = Liveness(lambda: self.wall, lambda: self.monotonic)

    def silent(self, **reported: float | None) -> tuple[str, ...]:
        """The silent ones of these writers, which reported at these times (None: never)."""
        return self.liveness.silent(
            [
                WriterState(writer, "", "", encode_report(Report(time, 1, None)) if time is not None else "", "")
                for writer, time in reported.items()
            ]
        )


def test_a_writer_whose_report_stays_the_same_is_silent() -> None:
    clocks = Clocks()
    assert clocks.silent(main=NOW, web=NOW) == ()
    clocks.monotonic += SILENT_SECONDS - 0.1
    assert clocks.silent(main=NOW + 14, web=NOW) == ()
    clocks.monotonic += 0.1
    assert clocks.silent(main=NOW + 15, web=NOW) == ("web",)
    assert clocks.silent(main=NOW + 16, web=NOW + 16) == ()


def test_an_api_that_starts_goes_by_the_age_of_the_report() -> None:
    assert Clocks().silent(main=NOW - 1, web=NOW - SILENT_SECONDS, cron=NOW - 86_400) == ("web", "cron")


def test_a_clock_that_is_wrong_hides_nothing_for_long() -> None:
    clocks = Clocks()
    # By its age the report of one is a day old, and that of the other is to come tomorrow.
    assert clocks.silent(behind=NOW - 86_400, ahead=NOW + 86_400) == ("behind",)
    clocks.monotonic += 10
    assert clocks.silent(behind=NOW - 86_390, ahead=NOW + 86_400) == ()
    clocks.monotonic += 10
    clocks.wall -= 500_000
    assert clocks.silent(behind=NOW - 86_380, ahead=NOW + 86_400) == ("ahead",)


def test_a_writer_that_has_not_reported_yet_has_some_time_to() -> None:
    clocks = Clocks()
    assert clocks.silent(main=None) == ()
    clocks.monotonic += SILENT_SECONDS
    assert clocks.silent(main=None) == ("main",)


def test_the_archive_never_reports_and_is_not_silent() -> None:
    clocks = Clocks()
    assert clocks.silent(archive=None, main=NOW) == ()
    clocks.monotonic += 100
    assert clocks.silent(archive=None, main=NOW + 100) == ()


def test_a_writer_that_is_gone_and_comes_back_is_new() -> None:
    clocks = Clocks()
    assert clocks.silent(main=NOW, web=NOW) == ()
    clocks.monotonic += 100
    clocks.wall += 100
    assert clocks.silent(main=NOW + 100) == ()
    assert clocks.silent(main=NOW + 100, web=NOW + 99) == ()
