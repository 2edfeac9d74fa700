"""A thousand connections that wait for their next packet hold no vectors."""

from __future__ import annotations

import asyncio
import sys

from dreamshare.clock import ManualClock
from dreamshare.driver.peering import Peering
from dreamshare.driver.stream import converse
from dreamshare.transport.memory import MemoryNetwork
from dreamshare.wire.link import Chunk, Standing, encode_packet
from dreamshare.wire.transfer import Arrival
from dreamshare_crypto.certificates import Role
from tests.sim.secagg.federation import NOW, Federation


async def test_a_frame_that_was_handed_on_is_kept_by_nobody() -> None:
    clock, arrivals = ManualClock(NOW), asyncio.Queue[Arrival]()
    network, federation = MemoryNetwork(clock), Federation()
    aggregator = federation.issue(Role.AGGREGATOR, "aggregator")
    device = federation.issue(Role.DEVICE, "device")
    listener = network.listener()
    await listener.start()
    near = await network.link(device.id.hex()).connect()
    far = await anext(aiter(listener.connections()))
    peering = Peering(aggregator, device.certificate, 1)
    standing = Standing(device.certificate.encode(), 1)
    peering.meet(standing)
    peering.begin(standing, far.packet_limit)
    talk = converse(far, far.packets(), peering, clock, arrivals.put_nowait)
    talking = asyncio.ensure_future(talk)
    await near.send(encode_packet(Chunk(1, 1, 0, 1000, bytes(1000))))
    arrival = await arrivals.get()
    for _ in range(5):
        await asyncio.sleep(0)
    assert sys.getrefcount(arrival) == 2  # this test's name for it, and the call's
    await near.close()
    await talking
