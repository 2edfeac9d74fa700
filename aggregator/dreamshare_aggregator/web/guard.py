"""What every answer of the page carries, and which requests are answered at all (ASGI).

Rules:
- the page loads from itself alone, runs no inline script or style, sits in no frame, and its
  scripts can turn no text into markup (Trusted Types);
- a request for a host that is not ours is refused, so that no other site's name can be pointed
  here (DNS rebinding); one that changes something must come from a page of ours;
- an aggregator that stands by answers machines alone; a browser asks again by itself;
- nothing is kept in caches that the answer itself does not allow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
    }
)
PROBES = ("/healthz", "/readyz", "/metrics")
"""Asked by machines, under whatever name they know this one."""


class Guard:
    """Wraps the page's application.

    Args:
        app: what is wrapped.
        hosts: names that may be called, without ports.
        secure: browsers come over TLS.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], secure: bool) -> None:
        self._app = app
        self._hosts = hosts
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
                if self._secure:
                    headers.setdefault("strict-transport-security", "max-age=31536000")
            await send(message)

        host = Headers(scope=scope).get("host", "")
        if scope["path"] not in PROBES and _name(host) not in self._hosts:
            text = f"this page is not {host[:200]!r}; web.hosts names what it is called\n"
            await PlainTextResponse(text, 421)(scope, receive, dressed)
            return
        await self._app(scope, receive, dressed)


class Gate:
    """Lets nothing but the probes through while another aggregator is active.

    Args:
        app: what is behind it.
        is_open: whether this one is active.
    """

    def __init__(self, app: ASGIApp, is_open: Callable[[], bool]) -> None:
        self._app = app
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES or self._is_open():
            await self._app(scope, receive, send)
            return
        text = "this aggregator stands by; the page is here when it takes over\n"
        again = {"retry-after": "5", "refresh": "5"}
        await PlainTextResponse(text, 503, again)(scope, receive, send)


def from_our_page(request: Request) -> bool:
    """Whether a request that changes something was made by a page of this origin."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return site == "same-origin"
    return origin.partition("://")[2] == request.headers.get("host", "")


def _name(host: str) -> str:
    """Return a Host header's name without its port."""
    name, _, port = host.rpartition(":")
    return name.lower() if name and port.isdigit() else host.lower()
