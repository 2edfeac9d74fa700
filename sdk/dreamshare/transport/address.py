"""Addresses of the form grpcs://host:port, taken apart and put together."""

from __future__ import annotations

from urllib.parse import urlsplit

from dreamshare.errors import ConfigError

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - listened on, never called


def host_and_port(link: str) -> tuple[str, int]:
    """Return host and port of grpcs://host:port; raises ConfigError on anything else."""
    host, port = _parts(link)
    if not host:
        raise _no_address(link)
    return host, port


def grpcs(host: str, port: int) -> str:
    """Return grpcs://host:port; an empty host leaves it to the reader (`called_from`)."""
    return f"grpcs://[{host}]:{port}" if ":" in host else f"grpcs://{host}:{port}"


def target(link: str) -> str:
    """Return host:port of grpcs://host:port as a socket wants it; raises ConfigError."""
    return grpcs(*host_and_port(link)).removeprefix("grpcs://")


def called_from(link: str, called: str) -> str:
    """Return `link`; where it names no host, with the host of `called`; raises ConfigError.

    A link of another scheme, over a broker, is returned as it is.
    """
    if not link.startswith("grpcs://"):
        return link
    host, port = _parts(link)
    return grpcs(host or host_and_port(called)[0], port)


def _parts(link: str) -> tuple[str, int]:
    try:
        parts = urlsplit(link)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigError(f"{link!r} is not an address: {error}") from None
    rest = parts.path or parts.query or parts.fragment or parts.username
    if parts.scheme != "grpcs" or port is None or rest:
        raise _no_address(link)
    return host, port


def _no_address(link: str) -> ConfigError:
    return ConfigError(f"{link!r} is not an address like grpcs://127.0.0.1:7443")
