"""The settings of the format of the logs, and the parser that they mean."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from pydantic import ValidationInfo, field_validator

from request_log.formats import simple, w3c
from request_log.formats.access_log import CUSTOMER_FIELDS, VALUE, Combined, common
from request_log.formats.json_lines import FIELDS, JsonLines
from request_log.formats.line_by_line import CustomerOf, Divide, LineByLine
from request_log.formats.logfmt import read_pairs
from request_log.formats.loose_json import read_object
from request_log.formats.one_of import divide_preset
from request_log.formats.pattern import NEEDED, Expression, customer_in_path, missing_group, pattern
from request_log.formats.presets import PRESETS, Preset
from request_log.framing.framed import Framed
from request_log.framing.protocol import PLAIN
from request_log.framing.wrappers import WRAPPERS
from request_log.requests import Parser
from service.settings import Settings, is_utf_8

_IN_PATH = "path:"
Unit = Literal["s", "ms", "us", "ns"]
Name = Literal[
    "simple",
    "common",
    "combined",
    "json",
    "logfmt",
    "nginx",
    "apache",
    "caddy",
    "traefik",
    "envoy",
    "haproxy",
    "alb",
    "gunicorn",
    "uvicorn",
    "cloudfront",
    "iis",
    "w3c",
    "regex",
]
FORMATS: tuple[Name, ...] = get_args(Name)
"""In the order in which `check` tries them."""
WITH_COLUMNS = ("w3c", *(name for name, preset in PRESETS.items() if preset.is_w3c))
"""Formats whose files have lines that name the columns of the lines after them."""
WITH_MEMBERS: tuple[Name, ...] = ("json", "logfmt")
"""Formats whose lines name their values, see LOG_JSON_FIELDS."""


class LogFormat(Settings):
    """Settings of the format, which all logs have."""

    log_format: Name = "simple"
    """How the lines are read, see docs/logs.md. The generator writes `simple`."""
    log_wrapper: Literal["", "cri", "docker", "syslog"] = ""
    """What a container runtime (CRI, or Docker's json-file) or syslog writes around each line. Empty: nothing."""
    log_pattern: str = ""
    """The regular expression (RE2) of LOG_FORMAT=regex. It matches whole lines, with the groups `time`, `status` and
    `path`, and perhaps others: see docs/logs.md."""
    log_json_fields: str = ""
    """The names of the members of LOG_FORMAT=json or logfmt, as `time=ts,path=req.url`. A name is `a`, `a.b`, or `a|b`:
    the first that is there. Fields: `time`, `customer`, `path`, `status`, `duration`, `method`, `bytes`, `request`,
    `duration_2`, `duration_3`."""
    log_customer_from: str = ""
    """Where the customer is: a field of the format or, in all but `simple`, `path:` and a regular expression of the
    path whose first group it is. Empty: the format's default, see docs/logs.md."""
    log_duration_unit: Literal["", "s", "ms", "us", "ns"] = ""
    """The unit of durations that do not name theirs. Empty: the format's, see docs/logs.md."""
    log_drop_query: Literal["yes", "no"] = "yes"
    """Whether the queries of paths are left out of requests and dead letters, after the customer was found."""

    @field_validator("log_wrapper")
    @classmethod
    def _has_no_headers(cls, text: str, info: ValidationInfo) -> str:
        if text and (name := info.data.get("log_format")) in WITH_COLUMNS:
            raise ValueError(
                f"not with LOG_FORMAT={name}, whose #Fields lines have to stand by themselves: unwrap the lines into a "
                "file, see docs/logs.md"
            )
        return text

    @field_validator("log_pattern")
    @classmethod
    def _is_pattern(cls, text: str, info: ValidationInfo) -> str:
        if _is_for(("regex",), text, info) and (missing := missing_group(Expression(text))):
            raise ValueError(f"has no group (?P<{missing}>...); needed: {', '.join(NEEDED)}")
        return text

    @field_validator("log_json_fields")
    @classmethod
    def _are_json_fields(cls, text: str, info: ValidationInfo) -> str:
        if not is_utf_8(text):
            raise ValueError("not UTF-8")
        if _is_for(WITH_MEMBERS, text, info):
            _json_names(text)
        return text

    @field_validator("log_customer_from")
    @classmethod
    def _is_in_a_line(cls, text: str, info: ValidationInfo) -> str:
        log_format = info.data.get("log_format")
        if not text:
            return text
        if log_format == "simple":
            raise ValueError("not with LOG_FORMAT=simple")
        if text.startswith(_IN_PATH):
            if not Expression(text.removeprefix(_IN_PATH)).count:
                raise ValueError("the regular expression has no group")
        elif log_format in (*WITH_MEMBERS, "regex"):
            raise ValueError(f"allowed: {_IN_PATH}EXPRESSION; by default it is the field or group `customer`")
        elif log_format in WITH_COLUMNS:
            if not w3c.COLUMN.fullmatch(text):
                default = PRESETS[log_format].customer if log_format in PRESETS else w3c.CUSTOMER
                raise ValueError(f"allowed: {_IN_PATH}EXPRESSION, or a column, as {default} or cs(Host)")
        elif (preset := PRESETS.get(log_format or "")) is not None:
            if not preset.has_customer(text):
                raise ValueError(f"allowed: {_IN_PATH}EXPRESSION, {', '.join(preset.customers())}")
            try:
                divide_preset(preset, text)
            except ValueError:
                raise ValueError("the number is too high") from None
        elif not CUSTOMER_FIELDS.fullmatch(text) or (log_format == "common" and not text.startswith("remote_")):
            raise ValueError(
                f"allowed: {_IN_PATH}EXPRESSION, remote_user, remote_addr; with LOG_FORMAT=combined also referer, "
                "user_agent, extra1, extra2, ..., value:NAME"
            )
        return text

    @field_validator("log_duration_unit")
    @classmethod
    def _is_unit(cls, text: str, info: ValidationInfo) -> str:
        if text not in ("", "s") and info.data.get("log_format") == "simple":
            raise ValueError("LOG_FORMAT=simple has seconds")
        return text

    def described(self) -> str:
        """The settings that are not as by default, in the syntax of a shell."""
        return " ".join(self.assignments())

    def assignments(self) -> Iterator[str]:
        """The settings that are not as by default, and the format: each as `NAME=value` in the syntax of a shell."""
        for name, field in LogFormat.model_fields.items():
            value = getattr(self, name)
            if name == "log_format" or value != field.default:
                yield f"{name.upper()}={shlex.quote(value)}"

    def duration_unit(self) -> Unit:
        """The unit of durations that do not name theirs."""
        return self.log_duration_unit or (self._preset.duration_unit if self._preset else "s")

    def parser(self) -> Framed:
        customer_of = self._customer_of()
        if self.log_format in WITH_COLUMNS:
            default = self._preset.customer if self._preset else w3c.CUSTOMER
            column = self.log_customer_from if self.log_customer_from and customer_of is None else default
            return Framed(w3c.FRAMING, w3c.w3c(self.duration_unit(), column, customer_of), self.drops_query)
        divide = self.divide()
        parse: Parser = simple.parse if divide is None else LineByLine(divide, self.duration_unit(), customer_of)
        return Framed(WRAPPERS[self.log_wrapper] if self.log_wrapper else PLAIN, lambda _: parse, self.drops_query)

    @property
    def drops_query(self) -> bool:
        return self.log_drop_query == "yes"

    def lines(self, data: bytes) -> dict[int, bytes]:
        """The lines of a file that begins with `data`: offset -> the line as the format has it."""
        return {
            place: line
            for content in self.parser().contents(data, 0, "")
            for place, line in zip(content.places.tolist(), content.data.split(b"\n"), strict=False)
        }

    def divide(self) -> Divide | None:
        """A function that finds the fields of a line. None for `simple`, and for formats with columns, which
        other lines name."""
        if self.log_format == "simple" or self.log_format in WITH_COLUMNS:
            return None
        field = "" if self.log_customer_from.startswith(_IN_PATH) else self.log_customer_from
        if self._preset is not None:
            return divide_preset(self._preset, field or self._preset.customer)
        if self.log_format in WITH_MEMBERS:
            read = read_object if self.log_format == "json" else read_pairs
            return JsonLines(_json_names(self.log_json_fields), read)
        if self.log_format == "regex":
            return pattern(Expression(self.log_pattern))
        return (common if self.log_format == "common" else Combined)(field or "remote_user")

    @property
    def has_named_values(self) -> bool:
        """Whether values in a line that have a name may be the customer."""
        return self.log_format == "combined" or (
            self._preset is not None and f"{VALUE}NAME" in self._preset.customers()
        )

    def numbered_customers(self) -> list[str]:
        """Numbered fields that may be the customer: `extra` stands for `extra1`, `extra2`, ..."""
        if self._preset is None:
            return ["extra"] if self.log_format == "combined" else []
        return [name for name in ("extra", "capture") if f"{name}N" in self._preset.customers()]

    def _customer_of(self) -> CustomerOf | None:
        """A function that finds the customer in a path, if the settings say that it is there."""
        if not self.log_customer_from.startswith(_IN_PATH):
            return None
        return customer_in_path(Expression(self.log_customer_from.removeprefix(_IN_PATH)))

    @property
    def _preset(self) -> Preset | None:
        return PRESETS.get(self.log_format)


def _is_for(formats: Sequence[str], text: str, info: ValidationInfo) -> bool:
    """Whether the setting `text` belongs to one of `formats`, and that is the format. ValueError if it belongs to
    another format than that of the settings."""
    if "log_format" not in info.data or info.data["log_format"] in formats:
        return info.data.get("log_format") in formats
    if text:
        raise ValueError(f"only with LOG_FORMAT={' or '.join(formats)}")
    return False


def _json_names(text: str) -> dict[str, str]:
    """Field -> the name of its member, from LOG_JSON_FIELDS."""
    names: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        field, _, name = part.partition("=")
        if field not in FIELDS or not all(name.replace("|", ".").split(".")):
            allowed = f"FIELD=NAME, with one of {', '.join(FIELDS)}, and NAME as a, a.b or a|b"
            raise ValueError(f"{part}: allowed is {allowed}")
        names[field] = name
    return names
