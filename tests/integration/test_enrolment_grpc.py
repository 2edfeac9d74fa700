"""Enrolment over real sockets: the port takes strangers, the device takes nobody but its root."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest

from dreamshare.clock import SystemClock
from dreamshare.driver.enrolling import ask, knock
from dreamshare.errors import ConfigError, Rejected, Unreachable
from dreamshare.transport.doors import door_to
from dreamshare.transport.grpc_enrol import MOST_UP, SERVICE, GrpcDoor, GrpcEnrolmentListener
from dreamshare.transport.tls import TlsFiles
from dreamshare.wire.enrol import Answer, Down, Knock, Welcome, decode_up, encode_down
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity

pytestmark = pytest.mark.integration

CLOCK = SystemClock()


class Hub:
    """An aggregator's enrolment port, which notes what it is told."""

    def __init__(self, root: bytes | None = None) -> None:
        entropy = SystemEntropy()
        self.authority = Authority.create(entropy.draw(16), entropy, CLOCK.now())
        identity = self.authority.issue(Role.AGGREGATOR, "hub", entropy, CLOCK.now())
        self.root = root or self.authority.tls_roots
        self.heard: list[object] = []
        self.listener = GrpcEnrolmentListener("127.0.0.1:0", TlsFiles.of(identity), self._answer)

    async def _answer(self, message: bytes, source: str) -> bytes:
        assert source.startswith("ipv4:127.0.0.1")
        said = decode_up(message)
        self.heard.append(said)
        answer: Down = Welcome(self.root, ()) if said == Knock() else Answer(b"the reply")
        return encode_down(answer)

    @property
    def door(self) -> GrpcDoor:
        return GrpcDoor(f"grpcs://127.0.0.1:{self.listener.port}")


@asynccontextmanager
async def opened(root: bytes | None = None) -> AsyncIterator[Hub]:
    hub = Hub(root)
    async with hub.listener:
        yield hub


def never(words: str) -> None:
    raise AssertionError(words)


async def test_a_party_without_a_certificate_is_answered() -> None:
    async with opened() as hub:
        found = await knock([hub.door], hub.authority.tls_hash)
        root = found.welcome.tls_root
        assert root == hub.authority.tls_roots
        reply = await ask([found.door], root, b"request", CLOCK, random.Random(1), never)
        assert reply == b"the reply"


async def test_calls_that_say_nothing_keep_nobody_out() -> None:
    """They counted as calls that are answered: 64 of them, and nobody could enrol."""
    async with opened() as hub, AsyncExitStack() as stack:
        root, where = hub.authority.tls_roots, f"127.0.0.1:{hub.listener.port}"
        for number in range(20):
            options = (("grpc.use_local_subchannel_pool", 1), ("a.stranger", number))
            credentials = grpc.ssl_channel_credentials(root)
            channel = await stack.enter_async_context(
                grpc.aio.secure_channel(where, credentials, options)
            )
            for _ in range(4):
                call = channel.stream_unary(f"/{SERVICE}/Exchange")()
                await call.wait_for_connection()
        found = await knock([hub.door], hub.authority.tls_hash)
        assert found.welcome.tls_root == root


async def test_a_root_of_somebody_else_is_refused_before_anything_is_sent() -> None:
    """A relay in between with an authority of its own: the token pins another root."""
    pinned = Hub().authority.tls_hash
    async with opened() as rogue:
        with pytest.raises(Rejected, match="Nothing was sent"):
            await knock([rogue.door], pinned)
        assert rogue.heard == [Knock()]


async def test_the_true_root_shown_by_somebody_else_is_refused_by_tls() -> None:
    """The root is public; the certificate that leads to it is what a relay in between lacks."""
    true = Hub()
    async with opened(true.authority.tls_roots) as rogue:
        found = await knock([rogue.door], true.authority.tls_hash)
        with pytest.raises(Rejected, match="nothing was sent"):
            await ask([found.door], found.welcome.tls_root, b"r", CLOCK, random.Random(1), never)
        assert rogue.heard == [Knock()]


async def test_a_message_that_no_request_needs_is_not_read() -> None:
    async with opened() as hub:
        async with hub.door.proven(hub.root) as exchange:
            with pytest.raises(Unreachable):
                await exchange.ask(bytes(MOST_UP + 1))
        assert hub.heard == []


async def test_nobody_and_nonsense_are_told_apart() -> None:
    with pytest.raises(Unreachable):
        await knock([GrpcDoor("grpcs://127.0.0.1:9")], bytes(32))
    with pytest.raises(ConfigError, match="no address"):
        door_to("https://a.example")
    async with opened() as hub:
        taken = GrpcEnrolmentListener(
            f"127.0.0.1:{hub.listener.port}", TlsFiles.of(_hub_identity()), hub._answer
        )
        with pytest.raises(ConfigError, match="is the port taken"):
            await taken.__aenter__()


def _hub_identity() -> Identity:
    entropy = SystemEntropy()
    authority = Authority.create(entropy.draw(16), entropy, CLOCK.now())
    return authority.issue(Role.AGGREGATOR, "hub", entropy, CLOCK.now())
