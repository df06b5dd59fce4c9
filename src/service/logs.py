"""The log lines of a service: each is an event in logfmt or JSON.

ts=2026-11-24T06:30:01.482Z level=info service=log_processor event=stored lines=5000 rejected=2
"""

import logging
import logging.config
from typing import Any, Literal

import structlog

from service.printable import printable
from service.settings import Settings

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LineFormat = Literal["logfmt", "json"]


class LoggingSettings(Settings):
    """What a service logs, and how."""

    logging_level: Level = "INFO"
    """The least severe log lines that a service writes."""
    logging_format: LineFormat = "logfmt"
    """The form of the services' own log lines."""


_FIRST = ["ts", "level", "service", "event"]


def configure(service: str, level: Level, line_format: LineFormat = "logfmt") -> None:
    """Send the log lines of this process, including those of libraries, to standard output."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
    ]
    renderer = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if line_format == "json"
        else structlog.processors.LogfmtRenderer(bool_as_flag=False)
    )

    def name_service(_logger: object, _method: str, event: Any) -> Any:
        event["service"] = service
        return {key: _printable(event[key]) for key in [*_FIRST, *event] if key in event}

    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "lines": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, name_service, renderer],
                }
            },
            "handlers": {
                "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "lines"}
            },
            "root": {"handlers": ["stdout"], "level": level},
        }
    )


def _printable(value: Any) -> Any:
    # The renderers write line feeds and tabs in their own ways.
    return printable(value, kept="\n\t") if isinstance(value, str) else value


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module, by its name. A line: `log.info("stored", lines=5000)`."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound
