"""Where a broker is: mqtts://, wss://, and on loopback mqtt:// and ws://."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from dreamshare.errors import ConfigError

SCHEMES = ("mqtts", "wss", "mqtt", "ws")
"""Schemes of links over a broker."""

_WEBSOCKET_PATH = "/mqtt"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A broker's address, parsed.

    Attributes:
        url: as it was written.
        host, port: where it listens.
        secure: TLS, mutual.
        path: of its websocket; None for MQTT's own protocol.
    """

    url: str
    host: str
    port: int
    secure: bool
    path: str | None = None

    def __str__(self) -> str:
        return self.url


def parse_broker(url: str) -> BrokerAddress:
    """Return the address that a URL names.

    Raises:
        ConfigError: it is none, or in clear and not on loopback.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{url!r} is not a broker's address: {error}") from None
    websocket = parts.scheme in ("wss", "ws")
    rest = parts.query or parts.fragment or parts.username or (parts.path and not websocket)
    if parts.scheme not in SCHEMES or not host or port is None or rest:
        raise ConfigError(
            f"{url!r} is not a broker's address like mqtts://broker.example:8883 or "
            "wss://broker.example:443/mqtt"
        )
    secure = parts.scheme in ("mqtts", "wss")
    if not secure and not _is_loopback(host):
        raise ConfigError(
            f"{url} is in clear, which is for loopback alone: use mqtts:// or wss://; everybody "
            "on the way could otherwise speak for this party"
        )
    path = (parts.path or _WEBSOCKET_PATH) if websocket else None
    return BrokerAddress(url, host, port, secure, path)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
