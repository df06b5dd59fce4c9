"""The settings of log_generator."""

from pathlib import Path

import pytest

from log_generator.settings import GeneratorSettings
from service.settings import EXIT_CONFIG, PROJECT_ROOT, load


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GeneratorSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_defaults_are_slow_enough_to_watch() -> None:
    settings = load(GeneratorSettings)
    assert settings.log_file_path == PROJECT_ROOT / "src/log_generator/api_requests.log"
    assert settings.log_batch_size / settings.log_interval_seconds == 10
    assert settings.log_customers == 20
    assert settings.max_logs_to_generate == 0


def test_an_empty_variable_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_SEED", "")
    assert load(GeneratorSettings).log_seed is None


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("LOG_BATCH_SIZE", "0", "greater than or equal to 1"),
        ("LOG_BATCH_SIZE", "ten", "valid integer"),
        ("LOG_INTERVAL_SECONDS", "0", "greater than 0"),
        ("LOG_INTERVAL_SECONDS", "nan", "less than or equal to 86400"),
        ("LOG_INTERVAL_SECONDS", "inf", "less than or equal to 86400"),
        ("MAX_LOGS_TO_GENERATE", "-1", "greater than or equal to 0"),
        ("LOG_CUSTOMERS", "0", "greater than or equal to 1"),
        ("LOG_HISTORY_DAYS", "-1", "greater than or equal to 0"),
        ("LOG_HISTORY_DAYS", "3651", "less than or equal to 3650"),
        ("LOG_SEED", "x", "valid integer"),
        ("LOGGING_LEVEL", "LOUD", "'DEBUG'"),
        ("LOG_FILE_PATH", "no/such/folder/requests.log", "there is no folder"),
        ("LOG_FILE_PATH", str(Path(__file__).parent), "not a regular file"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        load(GeneratorSettings)
    assert end.value.code == EXIT_CONFIG
    message = capsys.readouterr().err
    assert message.startswith(f"{name}=")
    assert told in message
