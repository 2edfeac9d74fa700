"""Messages of a trunk: what goes in comes out, and what is damaged is refused."""

from __future__ import annotations

import pytest

from dreamshare.errors import PeerProtocolError
from dreamshare.ids import PartyId, SessionId, TaskId
from dreamshare.protocol import trunk
from dreamshare.protocol.envelope import Address
from dreamshare.wire.trunk import Joining, decode_trunk, encode_trunk, packets_of
from dreamshare_crypto.secagg.shard_messages import Claim, Collect, GiveSum, Granted, PartialSum

TASK, DEVICE = TaskId(b"t" * 16), PartyId(b"d" * 16)
SESSION, CONTEXT = b"s" * 32, b"c" * 32

MESSAGES: tuple[trunk.TrunkMessage, ...] = (
    trunk.Wanted(12_345_678),
    trunk.Post(Address(TASK, SessionId(SESSION), 7), (DEVICE, PartyId(b"e" * 16)), b"body" * 999),
    trunk.Order(TASK, Collect(SESSION, 3, CONTEXT, 500, {DEVICE: b"k" * 32, b"e" * 16: b"l" * 32})),
    trunk.Answer(TASK, Granted(SESSION, 3, DEVICE, granted=True)),
    trunk.Answer(TASK, Granted(SESSION, 3, DEVICE, granted=False)),
    trunk.Answer(TASK, GiveSum(SESSION, 3)),
    trunk.Handled(2**40),
    trunk.TaskOver(TASK),
    trunk.Invite("mqtts://broker.example:8883", DEVICE, b"n" * 16),
    trunk.Seated("mqtts://broker.example:8883", there=True),
    trunk.NoDevice(DEVICE),
    trunk.Revoked(b"list" * 99),
    trunk.Moved(((DEVICE, 2**40, 7), (PartyId(b"e" * 16), 0, 1))),
    trunk.Came(DEVICE, fresh=True, body=b"check-in"),
    trunk.Went(DEVICE),
    trunk.Heard(9, TASK, DEVICE, b"signature"),
    trunk.Said(TASK, Claim(DEVICE, b"receipt")),
    trunk.Said(TASK, PartialSum(SESSION, 3, frozenset({DEVICE, b"e" * 16}), bytes(4000))),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("limit", [100, 2**18])
def test_what_goes_in_comes_out(message: trunk.TrunkMessage, limit: int) -> None:
    joining = Joining()
    packets = list(packets_of(message, limit))
    assert max(map(len, packets)) <= limit
    *early, last = [joining.take(packet) for packet in packets]
    assert not any(early)
    assert last == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_what_is_cut_or_longer_or_of_another_version_is_refused(
    message: trunk.TrunkMessage,
) -> None:
    data = encode_trunk(message)
    for damaged in (data[:-1], data + b"x", b"\x02" + data[1:], data[:1] + b"\xff" + data[2:], b""):
        with pytest.raises(PeerProtocolError):
            decode_trunk(damaged)


def test_a_packet_that_says_neither_more_nor_last_is_refused() -> None:
    with pytest.raises(PeerProtocolError):
        Joining().take(b"\x07abc")
