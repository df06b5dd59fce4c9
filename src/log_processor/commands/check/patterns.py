"""Expressions for LOG_PATTERN, for the lines of programs that no preset is for. Only `check` knows them."""

from collections.abc import Mapping

_QUOTED = r'(?:[^"\\]|\\.)*'
_REQUEST = rf'"(?P<request>{_QUOTED})"'
_OF_WEB_SERVER = rf'\[(?P<time>[^\]]+)\] {_REQUEST} (?P<status>[0-9-]+) (?P<bytes>[0-9-]+) "{_QUOTED}" "{_QUOTED}"'
_HOST = r"[A-Za-z0-9][A-Za-z0-9.:_-]*"
_CELL = r"[^\t]*"

PATTERNS: Mapping[str, Mapping[str, str]] = {
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
    "API Gateway": {
        "log_pattern": (
            r"[^ ,]+ [^ ]+ (?P<customer>[^ ]+) \[(?P<time>[^\]]+)\]"
            rf" ?{_REQUEST} (?P<status>[0-9-]+) (?P<bytes>[0-9-]+) [A-Za-z0-9=_-]+"
        )
    },
    # https://apisix.apache.org/docs/apisix/building-apisix/
    "APISIX": {
        "log_pattern": (
            rf"[^ ,]+ - (?P<customer>[^ ]+) \[(?P<time>[^\]]+)\] {_HOST} {_REQUEST} (?P<status>[0-9]+) "
            rf'(?P<bytes>[0-9]+) (?P<duration>[0-9.]+) "{_QUOTED}" "{_QUOTED}" .*'
        ),
        "log_duration_unit": "s",
    },
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
    "S3": {
        "log_pattern": (
            rf"[0-9a-f]+ [^ ]+ \[(?P<time>[^\]]+)\] [^ ]+ (?P<customer>[^ ]+) [^ ]+ [A-Z.0-9_]+ [^ ]+ {_REQUEST} "
            r"(?P<status>[0-9-]+) [^ ]+ (?P<bytes>[0-9-]+) [0-9-]+ (?P<duration>[0-9-]+) .*"
        ),
        "log_duration_unit": "ms",
    },
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/real-time-logs.html
    "CloudFront, real-time": {
        "log_pattern": (
            rf"(?P<time>[0-9]+\.[0-9]+)\t{_CELL}\t{_CELL}\t(?P<status>[0-9-]+)\t(?P<bytes>[0-9-]+)\t"
            rf"(?P<method>[A-Z-]+)\t{_CELL}\t{_CELL}\t(?P<path>{_CELL})\t{_CELL}\t{_CELL}\t{_CELL}\t"
            rf"(?P<customer>{_CELL})\t(?P<duration>[0-9.-]+)(?:\t.*)?"
        ),
        "log_duration_unit": "s",
    },
    # https://wiki.squid-cache.org/Features/LogFormat
    "Squid": {
        "log_pattern": (
            r"(?P<time>[0-9]+\.[0-9]+) +(?P<duration>[0-9-]+) [^ ]+ [A-Z_]+/(?P<status>[0-9]+) (?P<bytes>[0-9]+) "
            r"(?P<method>[^ ]+) (?P<path>[^ ]+) (?P<customer>[^ ]+) [A-Z_]+/[^ ]+ [^ ]+"
        ),
        "log_duration_unit": "ms",
    },
    # https://redmine.lighttpd.net/projects/lighttpd/wiki/Mod_accesslog
    "lighttpd": {"log_pattern": rf"[^ ,]+ {_HOST} (?P<customer>[^ ]+) {_OF_WEB_SERVER}"},
    # https://devcenter.heroku.com/articles/http-routing#heroku-router-log-format
    "Heroku": {
        "log_pattern": (
            r"(?P<time>[^ ]+) heroku\[router\]: .*method=(?P<method>[A-Z]+) path=\"(?P<path>[^\"]*)\" "
            r"host=(?P<customer>[^ ]+) .*service=(?P<duration>[0-9]*(?:ms)?) status=(?P<status>[0-9]*) "
            r"bytes=(?P<bytes>[0-9]*).*"
        )
    },
    # https://gin-gonic.com/
    "Gin": {
        "log_pattern": (
            r"\[GIN\] (?P<time>[0-9/]{10} - [0-9:]{8}) \| +(?P<status>[0-9]+) \| +(?P<duration>[^ ]+) \| +[^ ]+ \| "
            r'(?P<method>[A-Z]+) +"(?P<path>[^"]*)".*'
        )
    },
    # https://github.com/go-chi/chi
    "chi": {
        "log_pattern": (
            rf"(?P<time>[0-9/]{{10}} [0-9:]{{8}}) (?:\[[^\]]*\] )?{_REQUEST} from [^ ]+ - (?P<status>[0-9]+) "
            r"(?P<bytes>[0-9]+)B in (?P<duration>[^ ]+)"
        )
    },
    # https://github.com/emmett-framework/granian
    "Granian": {
        "log_pattern": (
            r'\[(?P<time>[^\]]+)\] [^ ]+ - "(?P<request>.*)" (?P<status>[0-9]{3}) (?P<duration>[0-9]+\.[0-9]+)'
        ),
        "log_duration_unit": "ms",
    },
    # https://github.com/roidrage/lograge, after the prefix of Ruby's Logger
    "Lograge": {
        "log_pattern": (
            r"[A-Z], \[(?P<time>[0-9T:.-]+) #[0-9]+\] +[A-Z]+ -- [^ ]*: (?:\[[^\]]*\] )*method=(?P<method>[A-Z]+) "
            r"path=(?P<path>[^ ]+) format=[^ ]+ controller=[^ ]+ action=[^ ]+ status=(?P<status>[0-9]+) (?:.* )?"
            r"duration=(?P<duration>[0-9.]+)(?: .*)?"
        ),
        "log_duration_unit": "ms",
    },
    # https://uwsgi-docs.readthedocs.io/en/latest/LogFormat.html, and with --log-micros
    "uWSGI": {
        "log_pattern": (
            r"\[pid: [0-9]+\|app: [0-9-]+\|req: [0-9/-]+\] [^ ]* \((?P<customer>.*?)\) \{[0-9]+ vars in [0-9]+ bytes\} "
            r"\[(?P<time>[^\]]+)\] (?P<method>[^ ]*) (?P<path>.*) => generated (?P<bytes>[0-9]+) bytes in "
            r"(?:(?P<duration>[0-9]+) msecs|[0-9]+ micros)(?: via [a-z]+\(\))? \([^ )]+ (?P<status>[0-9]+)\) .*"
        ),
        "log_duration_unit": "ms",
    },
    # https://docs.djangoproject.com/en/stable/ref/django-admin/#runserver
    "Django's runserver": {
        "log_pattern": (
            r'\[(?P<time>[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4} [0-9:]{8})\] "(?P<request>.*)" (?P<status>[0-9]{3}) '
            r"(?P<bytes>[0-9]+)"
        )
    },
    # The runtime of the container has the time that uvicorn lacks.
    "uvicorn without a time, in CRI": {
        "log_pattern": (
            r"(?P<time>[^ ]+) std(?:out|err) F INFO: +[^ ]+ - "
            r'"(?P<request>.*)" (?P<status>[0-9]{3})(?: [A-Za-z -]+)?'
        )
    },
}
"""Program -> settings, with LOG_FORMAT=regex, of its lines as it writes them by default."""
