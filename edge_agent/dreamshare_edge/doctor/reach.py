"""Whether the aggregator or broker of a link answers: a TLS handshake, or a broker's CONNACK.

Rules:
- a gRPC port is greeted by TLS and HTTP/2 alone: no stream is opened, so that the agent, which may
  be connected meanwhile, stays connected;
- a broker is asked with a client id of its own, without a session, for the same reason;
- the certificate that is shown bounds the clock from both sides: it is one of the federation's and
  valid now, or one of the two clocks is wrong.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dreamshare.errors import ConfigError
from dreamshare.transport.address import host_and_port
from dreamshare.transport.base import PACKET_LIMIT
from dreamshare.transport.tls import TlsFiles
from dreamshare_edge.doctor.clock import Span
from dreamshare_edge.doctor.findings import Finding, error, ok, warning

if TYPE_CHECKING:
    from dreamshare.transport.mqtt.limits import BrokerLimits

PATIENCE_S = 5.0
_OVERHEAD = 512  # of an MQTT packet around one of ours
_MQTT = ("mqtts://", "wss://", "mqtt://", "ws://")


@dataclass(frozen=True, slots=True)
class Reached:
    """What answers at an address.

    Attributes:
        findings: of the link, the broker and, where a certificate denies it, the clock.
        shown: when the certificate that was shown and verified is valid; None without one.
    """

    findings: tuple[Finding, ...]
    shown: Span | None = None


def look_at_link(url: str, tls: TlsFiles) -> Reached:
    """Return what answers at one address of the settings."""
    try:
        if url.startswith(_MQTT):
            return Reached(tuple(_broker(url, tls)))
        host, port = host_and_port(url)
        found = _handshake(url, host, port, tls)
        return found if isinstance(found, Reached) else Reached((found,))
    except ConfigError as wrong:
        return Reached((error("link", str(wrong), "mend 'link' in the settings"),))


def _handshake(url: str, host: str, port: int, tls: TlsFiles) -> Finding | Reached:
    try:
        with _context(tls) as context:
            context.set_alpn_protocols(["h2"])
            with (
                socket.create_connection((host, port), PATIENCE_S) as raw,
                context.wrap_socket(raw, server_hostname=host) as secured,
            ):
                # With TLS 1.3 a refused certificate shows at the first read; HTTP/2 speaks first.
                if not secured.recv(1):
                    return _turned_away(url)
                shown = _span(url, secured.getpeercert() or {})
        well = ok("link", f"{url} answers and takes this device's certificate")
        return Reached((well,), shown)
    except ssl.SSLCertVerificationError as wrong:
        return _unverified(url, wrong)
    except ssl.SSLError as wrong:
        if "ALERT" in (wrong.reason or ""):
            return _turned_away(url)
        return error("link", f"{url} does not speak TLS ({wrong.reason})", "check the port")
    except ConnectionResetError:
        return _turned_away(url)
    except OSError as wrong:
        return _unreachable(url, wrong)


def _span(url: str, shown: Mapping[str, object]) -> Span | None:
    """Return when a certificate is valid, as `ssl` tells it once it has verified it."""
    match shown:
        case {"notBefore": str(begin), "notAfter": str(end)}:
            name = f"the certificate of {url}"
            return Span(name, ssl.cert_time_to_seconds(begin), ssl.cert_time_to_seconds(end))
    return None


def _turned_away(url: str) -> Finding:
    return error(
        "link",
        f"{url} refuses this device's certificate",
        "see 'certificate'; if that is well, the operator revoked it or it is another federation's",
    )


def _unverified(url: str, wrong: ssl.SSLCertVerificationError) -> Finding:
    if "not yet valid" in wrong.verify_message:
        advice = "this clock is behind the aggregator's certificate: set the clock (NTP)"
        return error("clock", f"{url}: its certificate is not valid yet", advice)
    if "expired" in wrong.verify_message:
        advice = "set the clock if it is ahead; else the operator has to renew that certificate"
        return error("clock", f"{url}: its certificate has expired", advice)
    return error(
        "link",
        f"{url} shows a certificate that is not the federation's or not for this host "
        f"({wrong.verify_message})",
        "check the address; somebody may be in between",
    )


def _unreachable(url: str, wrong: OSError) -> Finding:
    what = "no such host" if isinstance(wrong, socket.gaierror) else (wrong.strerror or str(wrong))
    advice = "is the network up, is the address right, does the aggregator run?"
    return error("link", f"{url} cannot be reached: {what}", advice)


@contextlib.contextmanager
def _context(tls: TlsFiles) -> Iterator[ssl.SSLContext]:
    """Yield a context with the device's certificate; `ssl` reads keys from files alone."""
    context = ssl.create_default_context(cadata=tls.roots_pem.decode())
    with tempfile.TemporaryDirectory(prefix="dreamshare-") as folder:  # mode 0700
        path = os.path.join(folder, "pair")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(tls.key_pem + b"\n" + tls.chain_pem)
        context.load_cert_chain(path)
    yield context


def _broker(url: str, tls: TlsFiles) -> list[Finding]:
    from dreamshare.transport.mqtt.address import parse_broker

    address = parse_broker(url)
    try:
        from dreamshare.transport.mqtt.limits import limits_of

        with _context(tls) as context:
            limits = limits_of(address, context, PATIENCE_S)
    except ModuleNotFoundError as missing:
        return [error("link", f"{missing.name} is missing", "pip install 'dreamshare[mqtt]'")]
    except ssl.SSLCertVerificationError as wrong:
        return [_unverified(url, wrong)]
    except ssl.SSLError:
        return [_turned_away(url)]
    except OSError as wrong:
        return [_unreachable(url, wrong)]
    if isinstance(limits, str):
        advice = "the broker's access rules have to let certificates of the federation in"
        return [error("link", f"{url} refuses to connect: {limits}", advice)]
    return [ok("link", f"the broker {url} answers"), broker_finding(url, limits)]


def broker_finding(url: str, limits: BrokerLimits) -> Finding:
    """Return whether a broker's limits suffice (docs/mqtt.md)."""
    advice = "`dreamshare broker config` prints settings that suffice"
    wanted = PACKET_LIMIT + _OVERHEAD
    if limits.qos < 1:
        return error("broker", f"{url} takes no messages of quality 1", advice)
    if limits.packet is not None and limits.packet < wanted:
        text = f"{url} takes packets up to {limits.packet} bytes; {wanted} are the best"
        return warning("broker", text, f"frames travel in smaller parts; {advice}")
    return ok("broker", f"packets up to {limits.packet or 'any'} bytes, {limits.inflight} at once")
