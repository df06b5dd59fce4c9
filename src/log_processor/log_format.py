"""Settings that say what the lines of the logs look like."""

import shlex
from typing import Literal

from pydantic import ValidationInfo, field_validator

from request_log import simple, w3c
from request_log.access_log import CUSTOMER_FIELDS, combined, common
from request_log.framing import PLAIN, Framed
from request_log.json_lines import FIELDS, json_lines
from request_log.line_by_line import CustomerOf, Divide, LineByLine
from request_log.pattern import NEEDED, Expression, customer_in_path, missing_group, pattern
from request_log.requests import Parser
from request_log.wrappers import WRAPPERS
from service.settings import Settings

_IN_PATH = "path:"
Name = Literal["simple", "common", "combined", "json", "regex", "w3c"]


class LogFormat(Settings):
    """The format of all logs that are followed."""

    log_format: Name = "simple"
    log_wrapper: Literal["", "cri", "docker", "syslog"] = ""
    """What stands around each line: put there by a container's runtime (CRI, or Docker's json-file), or by syslog."""
    log_pattern: str = ""
    """The regular expression of the format `regex`."""
    log_json_fields: str = ""
    """What the fields are called in the format `json`, as `time=ts,customer=user.id`; others are called as here."""
    log_customer_from: str = ""
    """Where the customer is: a field of the formats `common` and `combined`, a column of `w3c`, or, in all but
    `simple`, `path:` and a regular expression whose first group it is in the path. Empty: the remote user, the column
    `cs-username`, or the field or group `customer`."""
    log_duration_unit: Literal["s", "ms", "us", "ns"] = "s"
    """Of durations that do not name theirs."""

    @field_validator("log_wrapper")
    @classmethod
    def _has_no_headers(cls, text: str, info: ValidationInfo) -> str:
        if text and info.data.get("log_format") == "w3c":
            raise ValueError("not with LOG_FORMAT=w3c, where files have lines that say what the columns are")
        return text

    @field_validator("log_pattern")
    @classmethod
    def _is_pattern(cls, text: str, info: ValidationInfo) -> str:
        if _is_for("regex", text, info) and (missing := missing_group(Expression(text))):
            raise ValueError(f"has no group (?P<{missing}>...); needed: {', '.join(NEEDED)}")
        return text

    @field_validator("log_json_fields")
    @classmethod
    def _are_json_fields(cls, text: str, info: ValidationInfo) -> str:
        if _is_for("json", text, info):
            _json_names(text)
        return text

    @field_validator("log_customer_from")
    @classmethod
    def _is_in_a_line(cls, text: str, info: ValidationInfo) -> str:
        log_format = info.data.get("log_format")
        if not text:
            return text
        if log_format == "simple":
            raise ValueError("only with another LOG_FORMAT than simple")
        if text.startswith(_IN_PATH):
            if not Expression(text.removeprefix(_IN_PATH)).count:
                raise ValueError("the regular expression has no group")
        elif log_format in ("json", "regex"):
            raise ValueError(f"allowed: {_IN_PATH}EXPRESSION; else it is the field or group `customer`")
        elif log_format == "w3c":
            if not w3c.COLUMN.fullmatch(text):
                raise ValueError(f"allowed: {_IN_PATH}EXPRESSION, or a column, as {w3c.CUSTOMER} or cs(Host)")
        elif not CUSTOMER_FIELDS.fullmatch(text) or (log_format == "common" and not text.startswith("remote_")):
            raise ValueError(
                f"allowed: {_IN_PATH}EXPRESSION, remote_user, remote_addr; with LOG_FORMAT=combined also referer, "
                "user_agent, extra1, extra2, ..."
            )
        return text

    @field_validator("log_duration_unit")
    @classmethod
    def _is_unit(cls, text: str, info: ValidationInfo) -> str:
        if text != "s" and info.data.get("log_format") == "simple":
            raise ValueError("LOG_FORMAT=simple has seconds")
        return text

    def described(self) -> str:
        """The settings, but for those that are as they are by default."""
        defaults = {name: field.default for name, field in LogFormat.model_fields.items() if name != "log_format"}
        values = {name: getattr(self, name) for name in LogFormat.model_fields}
        return " ".join(
            f"{name.upper()}={shlex.quote(value)}" for name, value in values.items() if value != defaults.get(name)
        )

    def parser(self) -> Framed:
        """What reads lines of this format."""
        if self.log_format == "w3c":
            customer_of = self._customer_of()
            column = self.log_customer_from if self.log_customer_from and customer_of is None else w3c.CUSTOMER
            return Framed(w3c.FRAMING, w3c.w3c(self.log_duration_unit, column, customer_of))
        parse = self._parser()
        return Framed(WRAPPERS[self.log_wrapper] if self.log_wrapper else PLAIN, lambda _: parse)

    def _parser(self) -> Parser:
        if self.log_format == "simple":
            return simple.parse
        customer_of = self._customer_of()
        return LineByLine(self._divide(customer_of is not None), self.log_duration_unit, customer_of)

    def _customer_of(self) -> CustomerOf | None:
        """What finds the customer in a path, where it is there."""
        if not self.log_customer_from.startswith(_IN_PATH):
            return None
        return customer_in_path(Expression(self.log_customer_from.removeprefix(_IN_PATH)))

    def _divide(self, in_path: bool) -> Divide:
        if self.log_format == "json":
            return json_lines(_json_names(self.log_json_fields))
        if self.log_format == "regex":
            return pattern(Expression(self.log_pattern))
        customer_field = "remote_user" if in_path or not self.log_customer_from else self.log_customer_from
        return (common if self.log_format == "common" else combined)(customer_field)


def _is_for(log_format: str, text: str, info: ValidationInfo) -> bool:
    """Whether a setting is that of the format, which is checked then."""
    if "log_format" not in info.data or info.data["log_format"] == log_format:
        return info.data.get("log_format") == log_format
    if text:
        raise ValueError(f"only with LOG_FORMAT={log_format}")
    return False


def _json_names(text: str) -> dict[str, str]:
    """Field -> what it is called, of those that are not called as they are."""
    names: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        field, _, name = part.partition("=")
        if field not in FIELDS or not all(name.split(".")):
            raise ValueError(f"{part}: allowed is FIELD=NAME, with one of {', '.join(FIELDS)}, and NAME as a or a.b")
        names[field] = name
    return names
