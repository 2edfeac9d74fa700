"""The `[web]` table of the aggregator's settings file.

Rules:
- off unless `listen` says where;
- beyond this machine the page needs TLS, its own or that of a proxy in front of it, and a sign-in;
- `open` (no sign-in to look) and `open_metrics` are for a page that only this machine can reach.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dreamshare.errors import ConfigError
from dreamshare.settings import setting


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Where the page, /metrics, /healthz and /readyz are served, and to whom."""

    listen: str | None = setting(
        "Where the page is served: http://host:port or https://host:port; port 0 takes a free one. "
        "Absent: nowhere.",
        default=None,
        example="http://127.0.0.1:7480",
    )
    certificate: Path | None = setting(
        "PEM file with the certificate chain, for https.", default=None, example="web.crt"
    )
    private_key: Path | None = setting(
        "PEM file with the certificate's private key, for https.", default=None, example="web.pem"
    )
    behind_proxy: bool = setting(
        "A proxy on the way here speaks TLS with browsers; plain http beyond this machine is "
        "refused otherwise.",
        default=False,
    )
    hosts: tuple[str, ...] = setting(
        "Names that browsers call this page by (the Host header); others are refused. Empty: the "
        "host of `listen`, and this machine's own names where that is a loopback address.",
        default=(),
    )
    viewer_token: Path = setting(
        "File with the token that signs in to look; made, mode 0600, where it is absent.",
        default=Path("web-viewer.token"),
    )
    operator_token: Path | None = setting(
        "File with the token that signs in to change things, too. Absent: nobody can, here.",
        default=None,
        example="web-operator.token",
    )
    open: bool = setting(
        "Let anybody look without signing in; only where `listen` is a loopback address.",
        default=False,
    )
    open_metrics: bool = setting(
        "Serve /metrics to anybody; otherwise it wants 'Authorization: Bearer' with the viewer "
        "token.",
        default=False,
    )

    def __post_init__(self) -> None:
        if self.listen is None:
            return
        url = urlsplit(self.listen)
        if url.scheme not in ("http", "https") or not url.hostname or url.path not in ("", "/"):
            raise ConfigError(f"web.listen is {self.listen!r}; write http://host:port or https://…")
        try:
            known = url.port is not None
        except ValueError:
            known = False
        if not known:
            raise ConfigError(f"web.listen is {self.listen!r}; it needs a port from 0 to 65535")
        pair = (self.certificate, self.private_key)
        if url.scheme == "https" and None in pair:
            raise ConfigError("web.listen is https; give web.certificate and web.private_key")
        if url.scheme == "http" and pair != (None, None):
            raise ConfigError(
                "web.certificate and web.private_key are for https; change web.listen"
            )
        if self.loopback:
            return
        if url.scheme == "http" and not self.behind_proxy:
            raise ConfigError(
                f"web.listen {self.listen} is plain http beyond this machine: tokens would travel "
                "in the clear; use https, or say web.behind_proxy = true where a proxy adds TLS"
            )
        if self.open:
            raise ConfigError("web.open needs a loopback address in web.listen; sign in instead")
        if not self.hosts:
            raise ConfigError("web.hosts is empty; name the host that browsers will call")

    @property
    def host(self) -> str:
        """The host to bind; "" where the page is off."""
        return (urlsplit(self.listen).hostname or "") if self.listen else ""

    @property
    def port(self) -> int:
        """The port to bind, 0 for any."""
        return (urlsplit(self.listen).port or 0) if self.listen else 0

    @property
    def scheme(self) -> str:
        """Http or https."""
        return urlsplit(self.listen).scheme if self.listen else "http"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can call."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def secure(self) -> bool:
        """Whether browsers come over TLS."""
        return self.scheme == "https" or self.behind_proxy

    @property
    def called(self) -> frozenset[str]:
        """Host names, without ports, that browsers may call."""
        own = {"localhost", "127.0.0.1", "[::1]"} if self.loopback and not self.behind_proxy else ()
        literal = f"[{self.host}]" if ":" in self.host else self.host
        return frozenset({*(self.hosts or (literal,)), *own})

    def beside(self, folder: Path) -> WebConfig:
        """Return the same settings with relative paths taken from `folder`."""
        return dataclasses.replace(
            self,
            certificate=None if self.certificate is None else folder / self.certificate,
            private_key=None if self.private_key is None else folder / self.private_key,
            viewer_token=folder / self.viewer_token,
            operator_token=None if self.operator_token is None else folder / self.operator_token,
        )
