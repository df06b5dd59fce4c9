"""The settings of the api."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from api.access import session_secrets
from api.zones import zone_names
from service.access.private_files import check_private
from service.access.settings import AccessSettings, Auth, KeysLocation, require_auth, require_keys
from service.logs import LoggingSettings
from service.settings import ProjectPath, comma_separated
from storage.settings import StorageSettings

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?")
_MAPPED_BITS = 96
"""Bits of an IPv6 address before the IPv4 address that it maps."""
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


def _origins(text: str) -> str:
    for origin in comma_separated(text):
        if text.strip() != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin} is not an origin such as https://example.com:8443, and the setting is not *")
    return text


def _hosts(text: str) -> str:
    for host in comma_separated(text):
        if not _HOST.fullmatch(host):
            raise ValueError(f"{host} is not a host without a port, such as example.com, 192.0.2.7 or [2001:db8::7]")
    return text


def _addresses(text: str) -> str:
    for address in comma_separated(text):
        _network(address)
    return text


def _network(text: str) -> IPv4Network | IPv6Network:
    """The network of this text. One of IPv4 that is written as IPv6, `::ffff:192.0.2.7`, is one of IPv4: connections
    from there have IPv4 addresses."""
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def _zone(name: str) -> str:
    if name not in zone_names():
        raise ValueError("not a time zone of the IANA database, such as Europe/Berlin or UTC")
    return name


class KeysSettings(KeysLocation):
    """What `python -m api keys` writes."""

    session_secret_file: ProjectPath = Field(default=Path("secrets/sessions/secrets"), validate_default=True)
    """The file with the secrets that sign the page's sessions, one a line: the first signs, a second one still counts.
    `python -m api keys add` makes it."""


class ApiSettings(StorageSettings, AccessSettings, KeysSettings, LoggingSettings):
    """Where the api listens, who may ask it, and how it logs."""

    api_host: str = Field(default="127.0.0.1", min_length=1)
    """The address where the api listens; in containers the one on this machine. `unix:` and a path: a unix socket for a
    proxy."""
    api_port: int = Field(default=8000, ge=1, le=65535)
    """The port where the api listens; in containers the port on this machine."""
    allowed_hosts: Annotated[str, AfterValidator(_hosts)] = ""
    """Hosts under which clients may ask the api, separated by commas, without a port: `example.com, 192.0.2.7`. Always
    allowed are `localhost`, `127.0.0.1`, `[::1]` and API_HOST. `/health` and `/ready` answer under any host."""
    cors_origins: Annotated[str, AfterValidator(_origins)] = ""
    """Origins whose pages may ask the api, such as `https://example.com`, separated by commas, or `*`. Empty: only its
    own."""
    proxy_addresses: Annotated[str, AfterValidator(_addresses)] = Field(default="", validate_default=True)
    """Of AUTH=proxy: addresses and networks of proxies, separated by commas. Only from there a header says who asks. On
    a unix socket all requests are the proxy's."""
    key_requests_per_second: float = Field(default=50.0, ge=1.0, le=1_000_000.0)
    """Requests a second that each key may make of a process of the api; four times as many may come at once."""
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """The time zone of days where a question names none with `tz`: a name of the IANA database, such as Europe/Berlin.
    Lists of all customers and of paths have UTC days."""

    def hosts(self) -> set[str]:
        """The hosts under which clients may ask, in lower case, IPv6 addresses in brackets."""
        own = f"[{self.api_host}]" if ":" in self.api_host else self.api_host
        return {host.lower() for host in ("localhost", "127.0.0.1", "[::1]", own, *comma_separated(self.allowed_hosts))}

    @field_validator("auth")
    @classmethod
    def _its_files_can_be_used(cls, auth: Auth, info: ValidationInfo) -> Auth:
        if auth in ("keys", "proxy"):
            require_keys(info.data["api_keys_file"])
            path = info.data["session_secret_file"]
            try:
                check_private(path, session_secrets.decode)
            except ValueError as error:
                raise ValueError(f"SESSION_SECRET_FILE={path}: {error}") from None
        return auth

    @field_validator("api_host")
    @classmethod
    def _is_protected(cls, host: str, info: ValidationInfo) -> str:
        return require_auth(host, info)

    @field_validator("cors_origins")
    @classmethod
    def _everyone_has_a_key(cls, origins: str, info: ValidationInfo) -> str:
        if origins.strip() == "*" and info.data.get("auth") not in (None, "keys"):
            raise ValueError("only with AUTH=keys, or every page in the browsers of this network may read everything")
        return origins

    @field_validator("proxy_addresses")
    @classmethod
    def _a_proxy_is_named(cls, addresses: str, info: ValidationInfo) -> str:
        is_unix = info.data.get("api_host", "unix:").startswith("unix:")
        if info.data.get("auth") == "proxy" and not is_unix and not comma_separated(addresses):
            raise ValueError("AUTH=proxy needs the addresses of the proxy, or API_HOST=unix:/path")
        return addresses

    def proxies(self) -> list[IPv4Network | IPv6Network]:
        return [_network(address) for address in comma_separated(self.proxy_addresses)]

    def origins(self) -> list[str]:
        """The origins whose pages may ask."""
        return comma_separated(self.cors_origins)
