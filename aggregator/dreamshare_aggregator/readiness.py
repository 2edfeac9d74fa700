"""What listeners are told of their owner: whether it is ready, and its newer certificate.

Rules:
- ready means that tasks are served and the database answers; over gRPC the health service says so;
- a listener that cannot pass on the one or show the other is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dreamshare.transport.base import Listener, ShowsCertificate, TellsReadiness
from dreamshare.transport.tls import TlsFiles
from dreamshare_crypto.identity import Identity


class Answering(Protocol):
    """A database that may be away, as `Store` is one."""

    @property
    def outage(self) -> str | None:
        """Why it does not answer now; None while it does."""
        ...

    async def until_outage_changes(self) -> None:
        """Return when `outage` may have become something else."""
        ...


async def tell_readiness(listeners: Sequence[Listener], store: Answering) -> None:
    """Tell every listener whether its owner is ready, now and at each change, until cancelled."""
    while True:
        ready = store.outage is None
        for listener in listeners:
            if isinstance(listener, TellsReadiness):
                await listener.report_ready(ready)
        await store.until_outage_changes()


def show_certificate(listeners: Sequence[Listener], old: Identity, new: Identity) -> None:
    """Have listeners show the certificate of `new` where it is another one than that of `old`.

    Raises:
        ConfigError: the new certificate cannot be read.
    """
    shown = (old.tls.chain_pem, old.tls.roots_pem)
    if (new.tls.chain_pem, new.tls.roots_pem) == shown:
        return  # only the revocation list is newer
    for listener in listeners:
        if isinstance(listener, ShowsCertificate):
            listener.renew(TlsFiles.of(new))
