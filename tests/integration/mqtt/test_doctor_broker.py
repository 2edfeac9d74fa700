"""`dreamshare agent doctor` at a real broker: it asks for the limits and disturbs nobody."""

from __future__ import annotations

import asyncio

import pytest

from dreamshare.transport.tls import TlsFiles
from dreamshare_edge.doctor import Finding, Severity
from dreamshare_edge.doctor.reach import look_at_link
from tests.mosquitto import Broker

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("kind", ["url", "websocket_url"])
async def test_a_brokers_limits_are_asked_for(mosquitto: Broker, kind: str) -> None:
    url: str = getattr(mosquitto, kind)
    found = await _looked_at(url, TlsFiles.of(mosquitto.device()))
    assert [each.subject for each in found] == ["link", "broker"]
    assert found[0].severity is Severity.OK


async def test_a_limit_that_is_low_is_said(own_mosquitto: Broker) -> None:
    own_mosquitto.stop()
    own_mosquitto.change("max_packet_size", "20000")
    own_mosquitto.start()
    found = await _looked_at(own_mosquitto.url, TlsFiles.of(own_mosquitto.device()))
    assert found[1].severity is Severity.WARNING
    assert "packets up to 20000 bytes" in found[1].seen


async def test_a_broker_that_is_not_there() -> None:
    (found,) = await _looked_at("mqtt://127.0.0.1:9", _nobody())
    assert "cannot be reached" in found.seen


async def _looked_at(url: str, tls: TlsFiles) -> tuple[Finding, ...]:
    return (await asyncio.to_thread(look_at_link, url, tls)).findings


def _nobody() -> TlsFiles:
    from dreamshare.clock import SystemClock
    from dreamshare_crypto.authority import Authority
    from dreamshare_crypto.certificates import Role
    from dreamshare_crypto.entropy import SystemEntropy

    now, entropy = SystemClock().now(), SystemEntropy()
    return TlsFiles.of(
        Authority.create(bytes(16), entropy, now).issue(Role.DEVICE, "a", entropy, now)
    )
