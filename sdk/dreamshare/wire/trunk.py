"""Messages of a trunk as bytes: canonical ones, as those of secure aggregation (docs/adr/0033).

Rules:
- both ends are processes of one aggregator and of one version; there is no version to agree on but
  the first byte, and another one ends the trunk;
- a message is cut into packets, of which the first byte says whether it is the last;
- sizes are looked at before anything is copied; PeerProtocolError is all that is raised.
"""

from __future__ import annotations

from collections.abc import Iterator

from dreamshare.ids import PartyId, SessionId, TaskId
from dreamshare.protocol.envelope import Address
from dreamshare.protocol.trunk import (
    Answer,
    Came,
    Handled,
    Heard,
    Invite,
    Moved,
    NoDevice,
    Order,
    Post,
    Revoked,
    Said,
    Seated,
    TaskOver,
    TrunkMessage,
    Wanted,
    Went,
)
from dreamshare.wire import limits
from dreamshare.wire.border import refuse
from dreamshare_crypto.certificates import MOST_REVOCATION_BYTES
from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.secagg.shard_messages import Claim, Collect, GiveSum, Granted, PartialSum
from dreamshare_crypto.transcript import Reader, Writer

VERSION = 1
_MORE, _LAST = b"\x00", b"\x01"
_MOST = limits.FRAME_LIMIT + limits.MIB
_RECEIPT = limits.KIB
_ADDRESS = limits.KIB


def packets_of(message: TrunkMessage, packet_limit: int) -> Iterator[bytes]:
    """Yield a message's packets."""
    data, size = encode_trunk(message), packet_limit - 1
    for start in range(0, len(data), size):
        last = start + size >= len(data)
        yield (_LAST if last else _MORE) + data[start : start + size]


class Joining:
    """Packets of one trunk on their way to messages."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def take(self, packet: bytes) -> TrunkMessage | None:
        """Return the message that a packet completes; raises PeerProtocolError."""
        self._pieces.append(packet[1:])
        self._size += len(packet) - 1
        if packet[:1] not in (_MORE, _LAST) or self._size > _MOST:
            raise refuse(f"a trunk's packet that begins with {packet[:1]!r}, or {self._size} bytes")
        if packet[:1] == _MORE:
            return None
        data, self._pieces, self._size = b"".join(self._pieces), [], 0
        return decode_trunk(data)


def encode_trunk(message: TrunkMessage) -> bytes:
    """Return the bytes of a message."""
    w = Writer().u8(VERSION)
    match message:
        case Wanted(largest):
            return w.u8(1).u64(largest).finish()
        case Post(address, devices, body):
            w.u8(2).raw(address.task, 16).raw(address.session, 32).u32(address.round)
            w.list(devices, lambda each, device: each.raw(device, 16))
            return w.var(body).finish()
        case Order(task, c):
            w.u8(3).raw(task, 16).raw(c.session, 32).u32(c.round).raw(c.context, 32).u64(c.words)
            pairs = sorted(c.keys.items())
            return w.list(pairs, lambda each, p: each.raw(p[0], 16).raw(p[1], 32)).finish()
        case Answer(task, said):
            w.u8(4 if isinstance(said, Granted) else 5).raw(task, 16)
            w.raw(said.session, 32).u32(said.round)
            if isinstance(said, Granted):
                w.raw(said.device, 16).u8(said.granted)
            return w.finish()
        case Handled(number):
            return w.u8(6).u64(number).finish()
        case TaskOver(task):
            return w.u8(7).raw(task, 16).finish()
        case Invite(broker, party, opener):
            return w.u8(8).var(broker.encode()).raw(party, 16).raw(opener, 16).finish()
        case Revoked(body):
            return w.u8(9).var(body).finish()
        case Came(device, fresh, body):
            return w.u8(16).raw(device, 16).u8(fresh).var(body).finish()
        case Went(device):
            return w.u8(17).raw(device, 16).finish()
        case Heard(number, task, device, body):
            return w.u8(18).u64(number).raw(task, 16).raw(device, 16).var(body).finish()
        case Said(task, said):
            if isinstance(said, Claim):
                return w.u8(19).raw(task, 16).raw(said.device, 16).var(said.receipt).finish()
            w.u8(20).raw(task, 16).raw(said.session, 32).u32(said.round)
            w.list(sorted(said.members), lambda each, device: each.raw(device, 16))
            return w.var(said.total).finish()
        case Seated(broker, there):
            return w.u8(21).var(broker.encode()).u8(there).finish()
        case NoDevice(party):
            return w.u8(22).raw(party, 16).finish()
        case Moved(counts):
            w.u8(23).list(counts, lambda each, c: each.raw(c[0], 16).u64(c[1]).u64(c[2]))
            return w.finish()


def decode_trunk(data: bytes) -> TrunkMessage:
    """Return the message that `data` encodes; raises PeerProtocolError."""
    reader = Reader(data)
    try:
        version = reader.u8()
        if version != VERSION:
            raise refuse(f"a trunk of version {version}; this process speaks {VERSION}")
        message = _decode(reader)
        reader.end()
    except MalformedError as error:
        raise refuse(f"a trunk's message that is none: {error}") from None
    return message


def _decode(r: Reader) -> TrunkMessage:
    match r.u8():
        case 1:
            return Wanted(r.u64())
        case 2:
            address = Address(TaskId(r.raw(16)), SessionId(r.raw(32)), r.u32())
            devices = r.list(_device, limits.DEVICES_LIMIT)
            return Post(address, devices, r.var(limits.BODY_LIMIT))
        case 3:
            task, session, number, context = TaskId(r.raw(16)), r.raw(32), r.u32(), r.raw(32)
            words = r.u64()
            keys = dict(r.list(lambda each: (each.raw(16), each.raw(32)), limits.DEVICES_LIMIT))
            return Order(task, Collect(session, number, context, words, keys))
        case 4:
            task = TaskId(r.raw(16))
            return Answer(task, Granted(r.raw(32), r.u32(), r.raw(16), _flag(r)))
        case 5:
            return Answer(TaskId(r.raw(16)), GiveSum(r.raw(32), r.u32()))
        case 6:
            return Handled(r.u64())
        case 7:
            return TaskOver(TaskId(r.raw(16)))
        case 8:
            return Invite(_text(r), _device(r), r.raw(16))
        case 9:
            return Revoked(r.var(MOST_REVOCATION_BYTES))
        case 16:
            return Came(_device(r), _flag(r), r.var(limits.MIB))
        case 17:
            return Went(_device(r))
        case 18:
            return Heard(r.u64(), TaskId(r.raw(16)), _device(r), r.var(limits.BODY_LIMIT))
        case 19:
            return Said(TaskId(r.raw(16)), Claim(r.raw(16), r.var(_RECEIPT)))
        case 20:
            task, session, number = TaskId(r.raw(16)), r.raw(32), r.u32()
            members = frozenset(r.list(lambda each: each.raw(16), limits.DEVICES_LIMIT))
            return Said(task, PartialSum(session, number, members, r.var(limits.BODY_LIMIT)))
        case 21:
            return Seated(_text(r), _flag(r))
        case 22:
            return NoDevice(_device(r))
        case 23:
            moved = r.list(
                lambda each: (_device(each), each.u64(), each.u64()), limits.DEVICES_LIMIT
            )
            return Moved(moved)
        case kind:
            raise refuse(f"a trunk's message of unknown kind {kind}")


def _device(reader: Reader) -> PartyId:
    return PartyId(reader.raw(16))


def _text(reader: Reader) -> str:
    try:
        return reader.var(_ADDRESS).decode()
    except UnicodeDecodeError:
        raise MalformedError("an address that is no text") from None


def _flag(reader: Reader) -> bool:
    value = reader.u8()
    if value > 1:
        raise MalformedError(f"{value} is neither yes nor no")
    return bool(value)
