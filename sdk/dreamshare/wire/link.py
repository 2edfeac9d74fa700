"""The packets of one connection: greeting, chunks, acknowledgements (docs/protocol.md section 14).

Rules:
- the side that opened the connection sends Hello, the other answers HelloReply, before anything
  else; Hello may come again on an open connection and resumes as after a reconnect;
- greetings and Close are read before a version is agreed on, so they may carry fields of later
  versions; every other packet is canonical;
- nothing here decides anything in SA-2: packets carry signed frames and are not signed themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import EncodeError

from dreamshare.errors import AbortCode, FrameTooLarge, LocalProtocolError, PeerProtocolError
from dreamshare.wire import limits
from dreamshare.wire.border import canonical, exactly, parse, present, refuse, text
from dreamshare_protos.v1 import link_pb2 as pb

VERSION_LEAST = 1
"""Oldest version of the wire format that this release speaks."""

VERSION_MOST = 1
"""Newest version of the wire format that this release speaks."""

_TOLERANT = ("hello", "hello_reply", "close")


@dataclass(frozen=True, slots=True)
class Received:
    """How far a receiver got with what one birth of its peer sends.

    Attributes:
        birth: of the sender, >= 1; 0 when the receiver has not met any.
        acknowledged: every transfer up to this one is durable at the receiver.
        transfer: every transfer below this one arrived; > acknowledged.
        offset: so many bytes of `transfer` arrived.
    """

    birth: int = 0
    acknowledged: int = 0
    transfer: int = 1
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What one end takes and where it stands.

    Attributes:
        certificate: of the sender of this packet, 218 bytes (docs/protocol.md 5.1).
        birth: counts the starts of this end, >= 1.
        first: lowest transfer that this end has to send or to see acknowledged, >= 1.
        received: what this end has of the other's.
        packet_limit: largest packet that this end takes, in bytes.
        frame_limit: largest frame that this end takes, in bytes.
        window: unacknowledged bytes that this end takes before a further frame is begun.
    """

    certificate: bytes
    birth: int
    first: int = 1
    received: Received = Received()
    packet_limit: int = 256 * limits.KIB
    frame_limit: int = limits.FRAME_LIMIT
    window: int = limits.WINDOW


@dataclass(frozen=True, slots=True)
class Hello:
    """First packet of the side that opened the connection; `proof` is a signature, or empty."""

    standing: Standing
    min_version: int = VERSION_LEAST
    max_version: int = VERSION_MOST
    proof: bytes = b""


@dataclass(frozen=True, slots=True)
class HelloReply:
    """Answer to Hello: the version that both ends speak from here on; `proof` as in Hello."""

    standing: Standing
    version: int
    proof: bytes = b""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a frame; idempotent by (birth, transfer, offset)."""

    birth: int
    transfer: int  # counts the sender's frames from 1
    offset: int  # place of `data` in the frame
    total: int  # length of the frame
    data: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    """How far the receiver got; `resend` asks to go on from there, because a gap was seen."""

    received: Received
    resend: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """The sender closes; `code` is None where nothing is wrong."""

    code: AbortCode | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Ping:
    """Is the peer there? `answer` marks the reply to the Ping of the same number."""

    number: int
    answer: bool = False


Packet = Hello | HelloReply | Chunk | Ack | Close | Ping


def agree(hello: Hello) -> int:
    """Return the highest version that both ends speak.

    Raises:
        PeerProtocolError: UNSUPPORTED_VERSION; the text says which side to update.
    """
    version = min(hello.max_version, VERSION_MOST)
    if version < max(hello.min_version, VERSION_LEAST):
        older = "the peer" if hello.max_version < VERSION_LEAST else "this side"
        raise refuse(
            f"the peer speaks versions {hello.min_version} to {hello.max_version}, this side "
            f"{VERSION_LEAST} to {VERSION_MOST}; update {older}",
            AbortCode.UNSUPPORTED_VERSION,
        )
    return version


def accept(reply: HelloReply) -> int:
    """Return the version that the peer chose.

    Raises:
        PeerProtocolError: UNSUPPORTED_VERSION, a version that this side never offered.
    """
    if not VERSION_LEAST <= reply.version <= VERSION_MOST:
        raise refuse(
            f"the peer chose version {reply.version}; this side speaks {VERSION_LEAST} to "
            f"{VERSION_MOST}",
            AbortCode.UNSUPPORTED_VERSION,
        )
    return reply.version


def encode_packet(packet: Packet) -> bytes:
    """Return the bytes of a packet.

    Raises:
        FrameTooLarge: more than `limits.PACKET_MOST` bytes.
        LocalProtocolError: a value that no peer would take.
    """
    what = type(packet).__name__
    try:
        wire = _to_wire(packet)
        data: bytes = wire.SerializeToString(deterministic=True)
        _from_wire(wire)
    except PeerProtocolError as error:
        raise LocalProtocolError(f"{what} that no peer takes: {error}") from None
    except (TypeError, ValueError, EncodeError) as error:
        raise LocalProtocolError(f"{what} that cannot be encoded: {error}") from error
    if len(data) > limits.PACKET_MOST:
        raise FrameTooLarge(f"{what} of {len(data)} bytes; a packet has {limits.PACKET_MOST}")
    return data


def decode_packet(data: bytes) -> Packet:
    """Return the packet that `data` encodes.

    Raises:
        PeerProtocolError: MALFORMED or TOO_LARGE.
    """
    wire = parse(pb.Packet, data, limits.PACKET_MOST)
    if wire.WhichOneof("packet") not in _TOLERANT:
        canonical(wire, data)
    return _from_wire(wire)


def _to_wire(packet: Packet) -> pb.Packet:
    match packet:
        case Hello(standing, least, most, proof):
            hello = pb.Hello(
                min_version=least,
                max_version=most,
                standing=_standing_to_wire(standing),
                proof=proof,
            )
            return pb.Packet(hello=hello)
        case HelloReply(standing, version, proof):
            reply = pb.HelloReply(
                version=version, standing=_standing_to_wire(standing), proof=proof
            )
            return pb.Packet(hello_reply=reply)
        case Chunk(birth, transfer, offset, total, data):
            chunk = pb.Chunk(birth=birth, transfer=transfer, offset=offset, total=total, data=data)
            return pb.Packet(chunk=chunk)
        case Ack(received, resend):
            return pb.Packet(ack=pb.Ack(received=_received_to_wire(received), resend=resend))
        case Close(code, words):
            code_value = None if code is None else pb.AbortCode.ValueType(code)
            return pb.Packet(close=pb.Close(code=code_value, text=words))
        case Ping(number, answer):
            return pb.Packet(ping=pb.Ping(number=number, answer=answer))


def _from_wire(wire: pb.Packet) -> Packet:
    match wire.WhichOneof("packet"):
        case "hello":
            return Hello(
                _standing_from_wire(wire.hello),
                wire.hello.min_version,
                wire.hello.max_version,
                _proof_from_wire(wire.hello),
            )
        case "hello_reply":
            return HelloReply(
                _standing_from_wire(wire.hello_reply),
                wire.hello_reply.version,
                _proof_from_wire(wire.hello_reply),
            )
        case "chunk":
            return _chunk_from_wire(wire.chunk)
        case "ack":
            present(wire.ack, "received")
            return Ack(_received_from_wire(wire.ack.received), wire.ack.resend)
        case "close":
            return Close(_code_from_wire(wire.close), text(wire.close.text, "reason"))
        case "ping":
            return Ping(wire.ping.number, wire.ping.answer)
        case _:
            raise refuse("an empty packet, or one of a later version")


def _standing_to_wire(standing: Standing) -> pb.Standing:
    return pb.Standing(
        packet_limit=standing.packet_limit,
        frame_limit=standing.frame_limit,
        window=standing.window,
        certificate=standing.certificate,
        birth=standing.birth,
        first=standing.first,
        received=_received_to_wire(standing.received),
    )


def _standing_from_wire(greeting: pb.Hello | pb.HelloReply) -> Standing:
    present(greeting, "standing")
    wire = greeting.standing
    present(wire, "received")
    if wire.packet_limit < limits.PACKET_LEAST:
        raise refuse(f"packets of {wire.packet_limit} bytes; {limits.PACKET_LEAST} are needed")
    if not (wire.birth and wire.first and wire.frame_limit and wire.window):
        raise refuse("a greeting without birth, first transfer, frame limit or window")
    return Standing(
        certificate=exactly(wire.certificate, limits.CERTIFICATE_BYTES, "certificate"),
        birth=wire.birth,
        first=wire.first,
        received=_received_from_wire(wire.received),
        packet_limit=wire.packet_limit,
        frame_limit=wire.frame_limit,
        window=wire.window,
    )


def _proof_from_wire(greeting: pb.Hello | pb.HelloReply) -> bytes:
    if not greeting.proof:
        return b""
    return exactly(greeting.proof, limits.SIGNATURE_BYTES, "proof")


def _received_to_wire(received: Received) -> pb.Received:
    return pb.Received(
        birth=received.birth,
        acknowledged=received.acknowledged,
        transfer=received.transfer,
        offset=received.offset,
    )


def _received_from_wire(wire: pb.Received) -> Received:
    received = Received(wire.birth, wire.acknowledged, wire.transfer, wire.offset)
    if received.birth == 0 and received != Received():
        raise refuse("a position without the birth that it is about")
    if received.acknowledged >= received.transfer:
        raise refuse("a transfer acknowledged before it arrived")
    return received


def _chunk_from_wire(wire: pb.Chunk) -> Chunk:
    chunk = Chunk(wire.birth, wire.transfer, wire.offset, wire.total, wire.data)
    if not (chunk.birth and chunk.transfer and chunk.data):
        raise refuse("a chunk without birth, transfer or data")
    if chunk.total > limits.FRAME_LIMIT:
        raise refuse(f"a frame of {chunk.total} bytes", AbortCode.TOO_LARGE)
    if chunk.offset + len(chunk.data) > chunk.total:
        raise refuse("a chunk past the end of its frame")
    return chunk


def _code_from_wire(wire: pb.Close) -> AbortCode | None:
    if not wire.HasField("code"):
        return None
    try:
        return AbortCode(wire.code)
    except ValueError:  # of a later version; that something is wrong is what counts
        return AbortCode.REFUSED
