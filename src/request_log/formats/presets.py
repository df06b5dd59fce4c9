"""Presets: the formats of servers, as settings of the parsers. `LOG_FORMAT` names one of them.

A server may write lines of several shapes. A line that begins with `{` is parsed by the first JSON shape that it has,
and every other line by the first text shape that it has.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from request_log.formats.access_log import CUSTOMER_FIELDS, VALUE

HEADER = "header:"
"""Prefix in LOG_CUSTOMER_FROM of the name of a header, for servers that log headers by name."""
_NUMBERED = re.compile(r"(?P<name>[a-z]+)(?P<number>[1-9][0-9]?)")
_HEADER = re.compile(rf"{HEADER}[A-Za-z0-9_-]+")
_GROUP = re.compile(r"\(\?P<([a-z_0-9]+)>")
_COUNTED = ("extra", "capture")
"""Fields that a line has several times: `extra1` is the first."""
_NAMED = VALUE.removesuffix(":")
"""Stands for the values that have a name in a line."""
_FIELDS = ("time", "customer", "path", "status", "duration", "duration_2", "duration_3", "method", "bytes", "request")


@dataclass(frozen=True)
class Shape:
    written_by: str
    """The configuration of the server that writes such lines."""
    parser: Literal["common", "combined", "json", "console", "regex", "w3c"]
    """`console`: an object after a time and other words, as zap's console encoder writes it."""
    customers: Mapping[str, str] = field(default_factory=dict)
    """Field in LOG_CUSTOMER_FROM that may be the customer -> its name in the parser."""
    members: Mapping[str, str] = field(default_factory=dict)
    """For `json`: field -> name of its member, as in LOG_JSON_FIELDS."""
    header: str = ""
    """For `json`: the name of the member with a header. `{title}` is `X-Customer`, `{snake}` is `x_customer`, and
    `{kebab}` is `x-customer`."""
    expression: str = ""
    """For `regex`: has a group for each name in `customers`, and for each field."""
    numbered: str = ""
    """For `regex`: replaces `(?#numbered)` if the customer is the nth numbered field. Has `{before}`, that is n - 1,
    and the group `customer`."""
    has_number_signs: bool = False
    """For `regex`: bytes are escaped as `#C3`, and a backslash is not escaped."""
    mark: str = ""
    """For `w3c`: a text in such files by which `check` tells them from other W3C logs."""

    def customer(self, name: str) -> str:
        """The name in the parser of a field of LOG_CUSTOMER_FROM; "" if these lines do not have the field."""
        if name.startswith(HEADER) and self.header:
            words = re.findall("[A-Za-z0-9]+", name.removeprefix(HEADER))
            return self.header.format(
                title="-".join(map(str.capitalize, words)),
                snake="_".join(words).lower(),
                kebab="-".join(words).lower(),
            )
        if (match := _NUMBERED.fullmatch(name)) and match["name"] in self.customers:
            return name
        if name.startswith(VALUE):
            return name if _NAMED in self.customers and CUSTOMER_FIELDS.fullmatch(name) else ""
        return self.customers.get(name, "")

    def expression_for(self, name: str) -> str:
        """The expression of a shape of `regex`, with this field as the group `customer`."""
        match = _NUMBERED.fullmatch(name)
        is_numbered = match is not None and match["name"] in self.customers
        numbered = self.numbered.replace("{before}", str(int(match["number"]) - 1)) if match and is_numbered else ""

        def group(found: "re.Match[str]") -> str:
            if found[1] == self.customers.get(name):
                return "(?P<customer>"
            return found[0] if found[1] in _FIELDS else "(?:"

        return _GROUP.sub(group, self.expression.replace("(?#numbered)", numbered))


@dataclass(frozen=True)
class Preset:
    shapes: tuple[Shape, ...]
    customer: str
    """The default of LOG_CUSTOMER_FROM."""
    duration_unit: Literal["s", "ms", "us", "ns"] = "s"
    """The unit of durations that do not name theirs."""

    @property
    def mark(self) -> str:
        """The mark of its files, see `Shape`."""
        return self.shapes[0].mark

    @property
    def is_w3c(self) -> bool:
        """Whether lines name the columns of the lines after them."""
        return self.shapes[0].parser == "w3c"

    def customers(self) -> list[str]:
        """The values of LOG_CUSTOMER_FROM, for people: `extraN` stands for `extra1`, `extra2`, ..."""
        found: list[str] = []
        for shape in self.shapes:
            found += [
                f"{name}N" if name in _COUNTED else f"{VALUE}NAME" if name == _NAMED else name
                for name in shape.customers
            ]
            found += [f"{HEADER}NAME"] if shape.header else []
        return list(dict.fromkeys(found))

    def has_customer(self, name: str) -> bool:
        if name.startswith(HEADER) and not _HEADER.fullmatch(name):
            return False
        return name not in (*_COUNTED, _NAMED) and any(shape.customer(name) for shape in self.shapes)


# A quoted text, with escaped quotation marks; and the inside of one in which a backslash need not be escaped.
_QUOTED = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_UNTIL_MARK = r'(?:[^"]|\\")*?'
_REQUEST = r'"(?P<request>[^"\\]*(?:\\.[^"\\]*)*)"'
# Only a user may have spaces. So a prefix before the line is not taken for a part of it. A user has no quotation mark
# that is not escaped. So of a line that was cut, with another one after it, the request is not taken for a user.
_OF_USER = r'(?:[^ "\\]|\\.)'
_USER = rf'(?P<remote_user>{_OF_USER}(?:(?:[^"\\]|\\.)*?{_OF_USER})?)'
_CLIENT = rf"(?P<remote_addr>[^ ,]+) - {_USER} \[(?P<time>[^\]]*)\] "
_REFERER_AND_AGENT = r'"(?P<referer>[^"\\]*(?:\\.[^"\\]*)*)" "(?P<user_agent>[^"\\]*(?:\\.[^"\\]*)*)"'
_OF_COMMON = {name: name for name in ("remote_user", "remote_addr")}
_OF_COMBINED = {name: name for name in ("remote_user", "remote_addr", "referer", "user_agent", "extra")}
_OF_NAMED = {**_OF_COMBINED, _NAMED: _NAMED}
_COMMON = Shape("common, perhaps with the duration after it", "common", _OF_COMMON)
_COMBINED = Shape(
    "combined, perhaps with headers, values as rt=$request_time, and the duration after it", "combined", _OF_NAMED
)
_CADDY = Shape(
    "log, in the default format, JSON",
    "json",
    {
        "remote_user": "user_id",
        "remote_addr": "request.client_ip|request.remote_ip",
        "host": "request.host",
        "user_agent": "request.headers.User-Agent",
        "referer": "request.headers.Referer",
    },
    members={
        "time": "ts",
        "path": "request.uri",
        "status": "status",
        "duration": "duration",
        "method": "request.method",
        "bytes": "size",
    },
    header="request.headers.{title}",
)

PRESETS: Mapping[str, Preset] = {
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
    "alb": Preset(
        (
            Shape(
                "access logs in S3, also those of a Classic Load Balancer",
                "regex",
                {name: name for name in ("host", "remote_addr", "user_agent")},
                expression=(
                    r"(?:(?:https?|h2|grpcs|wss?) )?(?P<time>[^ ]+) [^ ]+ (?P<remote_addr>[^ ]+?)(?::[0-9]+)? [^ ]+ "
                    r"(?P<duration>[^ ]+) (?P<duration_2>[^ ]+) (?P<duration_3>[^ ]+) (?P<status>[^ ]+) [^ ]+ [^ ]+ "
                    r'(?P<bytes>[^ ]+) "(?P<method>[^ ]+) (?:[a-z]+://(?P<host>\[[^\]]*\]|[^/?#: ]*)(?::[0-9]+)?)?'
                    r'(?P<path>.*?) [^ "]+" "(?P<user_agent>.*?)" [^ "]+ [^ "]+(?: [^ "]+ ".*)?'
                ),
            ),
        ),
        customer="host",
    ),
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
    "cloudfront": Preset(
        (Shape("standard logs in W3C format", "w3c", mark="x-edge-location"),), customer="x-host-header"
    ),
    # https://learn.microsoft.com/windows/win32/http/w3c-logging
    "iis": Preset((Shape("W3C logging", "w3c", mark="sc-win32-status"),), customer="cs-username", duration_unit="ms"),
    # https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
    "envoy": Preset(
        (
            Shape(
                "json_format with Istio's or Envoy Gateway's names, and headers called as x_customer or x-customer",
                "json",
                {
                    "host": "authority|:authority",
                    "remote_addr": "downstream_remote_address",
                    "x_forwarded_for": "x_forwarded_for|x-forwarded-for",
                    "user_agent": "user_agent|user-agent",
                },
                members={
                    "time": "start_time",
                    "path": "path|x-envoy-origin-path",
                    "status": "response_code",
                    "duration": "duration",
                    "method": "method",
                    "bytes": "bytes_sent",
                },
                header="{snake}|{kebab}",
            ),
            Shape(
                "the default format string, Envoy's or Istio's, perhaps with fields in quotation marks after it",
                "regex",
                {name: name for name in ("host", "x_forwarded_for", "user_agent", "extra")},
                expression=(
                    r'\[(?P<time>[^\]]+)\] "(?P<method>[^ ]+) (?P<path>.*?) [^ "]+" (?P<status>[0-9]+) [^ ]+ '
                    r'(?:[^ "]+ [^ "]+ "[^"]*" )?[0-9-]+ (?P<bytes>[0-9-]+) (?P<duration>[0-9-]+) [^ ]+ '
                    r'"(?P<x_forwarded_for>[^"]*)" "(?P<user_agent>.*?)" "[^"]*" "(?P<host>[^"]*)" "[^"]*"'
                    r"(?#numbered)(?: .*)?"
                ),
                numbered=r'(?:(?: "[^"]*"){{before}} "(?P<customer>[^"]*)")?',
            ),
        ),
        customer="host",
        duration_unit="ms",
    ),
    # https://docs.haproxy.org/2.6/configuration.html#8.2.3
    "haproxy": Preset(
        (
            Shape(
                "option httplog or httpslog, without what syslog writes before it",
                "regex",
                {name: name for name in ("capture", "remote_addr", "frontend", "backend")},
                expression=(
                    r"(?P<remote_addr>[^ ]+?)(?::[0-9]+)? \[(?P<time>[^\]]+)\] (?P<frontend>[^ ]+?)~? "
                    r"(?P<backend>[^ /]+)/[^ ]+ [0-9+-]+/[0-9+-]+/[0-9+-]+/[0-9+-]+/\+?(?P<duration>[0-9-]+) "
                    r"(?P<status>[0-9-]+) \+?(?P<bytes>[0-9]+) [^ ]+ [^ ]+ [^ ]{4} [0-9/+]+ [0-9]+/[0-9]+"
                    r'(?#numbered)(?: \{[^"}]*\})* "(?P<request>[^"]*)(?:".*)?'
                ),
                numbered=r"(?: \{(?:[^|}]*\|){{before}}(?P<customer>[^|}]*)[^}]*\})?",
                has_number_signs=True,
            ),
            Shape(
                "option httplog clf",
                "regex",
                {name: name for name in ("capture", "remote_addr", "frontend", "backend")},
                expression=(
                    r"(?P<remote_addr>[^ ,]+) - - \[(?P<time>[^\]]+)\] "
                    # HAProxy cuts lines that are too long for it, so the rest may be missing.
                    r'"(?P<request>[^"]*)(?:" (?P<status>[0-9-]+) \+?(?P<bytes>[0-9]+) "" "" [0-9]+ [0-9]+ '
                    r'"(?P<frontend>[^"]*?)~?" "(?P<backend>[^"]*)" "[^"]*" [0-9+-]+ [0-9+-]+ [0-9+-]+ [0-9+-]+ '
                    r'\+?(?P<duration>[0-9-]+) [^ ]{4} [0-9+ ]+ "[^"]*" "[^"]*"(?#numbered)(?: .*)?)?'
                ),
                numbered=r'(?:(?: "[^"]*"){{before}} "(?P<customer>[^"]*)")?',
                has_number_signs=True,
            ),
        ),
        customer="capture1",
        duration_unit="ms",
    ),
    # https://doc.traefik.io/traefik/reference/install-configuration/observability/logs-and-accesslogs/
    "traefik": Preset(
        (
            Shape(
                "accessLog.format json",
                "json",
                {
                    "remote_user": "ClientUsername",
                    "remote_addr": "ClientHost",
                    "host": "RequestHost",
                    "router": "RouterName",
                    "user_agent": "request_User-Agent",
                    "referer": "request_Referer",
                },
                members={
                    "time": "StartUTC|time",
                    "path": "RequestPath",
                    "status": "DownstreamStatus",
                    "duration": "Duration",
                    "method": "RequestMethod",
                    "bytes": "DownstreamContentSize",
                },
                header="request_{title}",
            ),
            Shape(
                "accessLog.format common or genericCLF",
                "regex",
                {name: name for name in ("remote_user", "remote_addr", "router", "user_agent", "referer")},
                # X-Forwarded-For replaces the address, as the client has sent it. In headers, Traefik escapes quotation
                # marks, but not a backslash before one. So a text with other escapes is not Traefik's.
                expression=(
                    rf"(?P<remote_addr>[^ ,]+(?:, ?[^ ,]+)*) - {_USER} \[(?P<time>[^\]]*)\] "
                    r'"(?P<request>.*?)" (?P<status>[0-9-]+) (?P<bytes>[0-9-]+) '
                    rf'"(?P<referer>{_UNTIL_MARK})" "(?P<user_agent>{_UNTIL_MARK})"'
                    r'(?: [0-9-]+ "(?P<router>[^"]*)" "[^"]*" (?P<duration>[0-9]+ms))?'
                ),
            ),
        ),
        customer="remote_user",
        duration_unit="ns",
    ),
    # https://caddyserver.com/docs/caddyfile/directives/log
    "caddy": Preset(
        (
            _CADDY,
            replace(_CADDY, written_by="log, in the console format", parser="console"),
        ),
        customer="remote_user",
    ),
    # https://www.uvicorn.org/settings/#logging
    "uvicorn": Preset(
        (
            Shape(
                "uvicorn.access, with a log config that puts %(asctime)s first",
                "regex",
                {"remote_addr": "remote_addr"},
                expression=(
                    r"\[?(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?"
                    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?)\]?(?: +(?:\[?[A-Z]{4,8}\]?:?|\[?uvicorn\.access\]?:?|[|:-]))* +"
                    r'(?P<remote_addr>[^ "]*?)(?::[0-9]+)? - "(?P<request>.*)" (?P<status>[0-9]{3})(?: [^"]*)?'
                ),
            ),
        ),
        customer="remote_addr",
    ),
    # https://nginx.org/en/docs/http/ngx_http_log_module.html
    "nginx": Preset(
        (
            Shape(
                "log_format in JSON, with escape=json or without, whose members are called as nginx's variables",
                "json",
                {
                    "remote_user": "remote_user",
                    "remote_addr": "remote_addr",
                    "host": "host|http_host|server_name",
                    "x_forwarded_for": "http_x_forwarded_for|x_forwarded_for",
                    "referer": "http_referer|http_referrer|referer",
                    "user_agent": "http_user_agent|user_agent",
                },
                members={
                    "time": "time_iso8601|time_local|msec|@timestamp|timestamp|time|ts",
                    "path": "request_uri|uri|url|path",
                    "status": "status",
                    "duration": "request_time|duration|response_time",
                    "method": "request_method|method",
                    "bytes": "body_bytes_sent|bytes_sent|bytes|size",
                    "request": "request",
                },
                header="http_{snake}",
            ),
            _COMBINED,
            _COMMON,
            Shape(
                "the format of Kubernetes' ingress-nginx",
                "regex",
                {**_OF_COMMON, "referer": "referer", "user_agent": "user_agent", "upstream": "upstream"},
                expression=(
                    rf"{_CLIENT}{_REQUEST} (?P<status>[^ ]+) (?P<bytes>[^ ]+) {_REFERER_AND_AGENT} "
                    r"[0-9]+ (?P<duration>[0-9.]+) \[(?P<upstream>[^\]]*)\] \[[^\]]*\] .*"
                ),
            ),
        ),
        customer="remote_user",
    ),
    # https://httpd.apache.org/docs/2.4/mod/mod_log_config.html
    "apache": Preset(
        (
            _COMBINED,
            _COMMON,
            Shape(
                "vhost_combined, Debian's other_vhosts_access.log, perhaps with headers and the duration after it",
                "regex",
                {**_OF_COMBINED, "vhost": "vhost"},
                expression=(
                    rf"(?P<vhost>[^ :]+):[0-9]+ {_CLIENT}{_REQUEST} (?P<status>[^ ]+) (?P<bytes>[^ ]+) "
                    rf"{_REFERER_AND_AGENT}(?#numbered)(?: {_QUOTED})*(?: (?P<duration>[0-9.]+|-))?"
                ),
                numbered=rf"(?:(?: {_QUOTED})" + r'{{before}} "(?P<customer>[^"\\]*(?:\\.[^"\\]*)*)")?',
            ),
        ),
        customer="remote_user",
        duration_unit="us",
    ),
    # https://gunicorn.org/reference/settings/#access_log_format
    "gunicorn": Preset(
        (
            _COMBINED,
            _COMMON,
            Shape(
                "combined with a backslash that is not escaped before a quotation mark",
                "regex",
                _OF_COMBINED,
                # Quotation marks are escaped, but backslashes are not, so a text ends at the first possible mark.
                expression=(
                    rf'{_CLIENT}"(?P<request>.*?)" (?P<status>[0-9]+) (?P<bytes>[0-9-]+) "(?P<referer>{_UNTIL_MARK})" '
                    rf'"(?P<user_agent>{_UNTIL_MARK})"(?#numbered)(?: "{_UNTIL_MARK}")*?(?: (?P<duration>[0-9.]+|-))?'
                ),
                numbered=rf'(?:(?: "{_UNTIL_MARK}"){{{{before}}}} "(?P<customer>{_UNTIL_MARK})")?',
            ),
        ),
        customer="remote_user",
    ),
}
