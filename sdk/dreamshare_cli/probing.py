"""Whether an address can be listened on, whose it is, and whether somebody answers there.

Rules: a probe binds or connects and lets go at once; it sends nothing of its own but a TLS hello.
"""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import suppress

from cryptography import x509

from dreamshare.transport.address import EVERYWHERE
from dreamshare.transport.mqtt.address import parse_broker

_QUICK_S = 3.0


def port_state(host: str, port: int, roots_pem: bytes = b"", party: str = "") -> str:
    """Return "free", "own" where `party` itself answers there, or why it cannot be listened on.

    Args:
        host: name or address of this machine.
        port: 0 is always free.
        roots_pem: roots that the party's certificate leads to; empty: nobody is "own".
        party: hex id, the CN of its certificate.
    """
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        return f"{host}: {error.strerror}"
    for family, kind, protocol, _, address in places:
        with socket.socket(family, kind, protocol) as probe:
            try:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
            except OSError as error:
                here = "127.0.0.1" if host in EVERYWHERE else host
                if roots_pem and _speaker(here, port, roots_pem) == party:
                    return "own"
                return os.strerror(error.errno or 0)
    return "free"


def answers(url: str, patience_s: float) -> bool:
    """Return whether anybody takes connections at a broker's address within `patience_s`."""
    broker = parse_broker(url)
    with suppress(OSError):
        socket.create_connection((broker.host, broker.port), timeout=patience_s).close()
        return True
    return False


def names_in(chain_pem: bytes) -> tuple[str, ...]:
    """Return the names and addresses that a chain's first certificate is for; ValueError."""
    certificate = x509.load_pem_x509_certificate(chain_pem)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = found.get_values_for_type(x509.DNSName)
    return (*names, *map(str, found.get_values_for_type(x509.IPAddress)))


def _speaker(host: str, port: int, roots_pem: bytes) -> str:
    """Return the CN of who answers there under these roots; "" where nobody does."""
    context = ssl.create_default_context(cadata=roots_pem.decode("ascii"))
    context.check_hostname = False  # it is this machine that is called
    context.set_alpn_protocols(["h2"])
    with (
        suppress(OSError, ValueError),
        socket.create_connection((host, port), timeout=_QUICK_S) as plain,
        context.wrap_socket(plain) as secure,
    ):
        raw = secure.getpeercert(binary_form=True)
        if raw is not None:
            subject = x509.load_der_x509_certificate(raw).subject
            return str(next(iter(subject)).value)
    return ""
