"""The enrolment desk of a running aggregator: where it listens, its queue, its revocation list.

    async with EnrolmentDesk(settings, identity, links, clock, aggregator.renew) as desk:
        ...                                  # desk.endpoints: what tokens name

Rules: the desk has no say in who is certified; closing it stops enrolments, not the aggregator.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from dreamshare.clock import Clock
from dreamshare.transport.address import grpcs, host_and_port, target
from dreamshare.transport.grpc_enrol import GrpcEnrolmentListener
from dreamshare.transport.tls import TlsFiles
from dreamshare_aggregator.enrolment.queue import QueueBounds, RequestQueue
from dreamshare_aggregator.enrolment.relay import Greeting, Office, Relay
from dreamshare_aggregator.enrolment.revocations import watch
from dreamshare_crypto.identity import Identity


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """Where and how an aggregator takes enrolments.

    Attributes:
        listen: grpcs://host:port each; none takes no enrolments over the network.
        folder: of the queue and the revocation list.
        bounds: of the queue.
        office: an authority within reach; None where requests wait for one.
    """

    listen: tuple[str, ...]
    folder: Path
    bounds: QueueBounds = QueueBounds()
    office: Office | None = None


class EnrolmentDesk:
    """Open it with `async with`, once.

    Args:
        settings: where and how.
        identity: the aggregator's; its revocation list is the newest that it has.
        links: where enrolled devices connect, told to everybody who knocks.
        clock: what time it is.
        renew: handed the identity with each newer revocation list, on the event loop.
        shards: where devices connect, too; they are spread over these.
    """

    def __init__(
        self,
        settings: DeskSettings,
        identity: Identity,
        links: Sequence[str],
        clock: Clock,
        renew: Callable[[Identity], None],
        shards: Sequence[str] = (),
    ) -> None:
        queue = RequestQueue(settings.folder, settings.bounds)
        root = identity.tls.roots_pem
        greeting = Greeting(identity.federation, root, tuple(links), tuple(shards))
        relay = Relay(greeting, queue, clock, settings.office)
        tls = TlsFiles.of(identity)
        self._listeners = [
            (host_and_port(url)[0], GrpcEnrolmentListener(target(url), tls, relay.answer))
            for url in settings.listen
        ]
        self._watching = partial(watch, identity, queue.revocations, clock, renew)
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where it listens, with the ports that were bound."""
        return tuple(grpcs(host, listener.port) for host, listener in self._listeners)

    async def __aenter__(self) -> Self:
        """Bind; raises ConfigError where an address is unusable."""
        async with AsyncExitStack() as stack:
            for _, listener in self._listeners:
                await stack.enter_async_context(listener)
            self._stack = stack.pop_all()
        self._task = asyncio.create_task(self._watching(), name="dreamshare-revocations")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._stack.aclose()
