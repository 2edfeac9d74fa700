"""What a party without a certificate and the relaying aggregator say (docs/protocol.md 17.34).

Rules:
- one message up is answered by one message down; an Ask is repeated until it is answered;
- the request and the reply inside are opaque here: whoever relays them can neither change nor
  answer them (docs/protocol.md 5.4), and nothing else in these messages decides who is certified;
- greetings and refusals may carry fields of later versions; everything else is canonical;
- a parcel is the same by file, for an authority that is offline.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from dreamshare.errors import ConfigError
from dreamshare.wire import limits
from dreamshare.wire.border import canonical, count, exactly, name, parse, refuse, size, text
from dreamshare_protos.v1 import enrol_pb2 as pb


class RefusalReason(IntEnum):
    """Why there is no certificate. A released value never changes meaning."""

    MALFORMED = 1
    REFUSED = 2  # for good: the authority does not certify this
    BUSY = 3  # ask again later


@dataclass(frozen=True, slots=True)
class Knock:
    """Who is there?"""


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a device needs to know before it asks.

    Attributes:
        tls_root: root of the federation's TLS certificates, PEM; the token has its hash.
        links: where enrolled devices connect; one without a host means the host of this address.
    """

    tls_root: bytes
    links: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Certify me: an encoded EnrolRequest (5.4)."""

    request: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """The request waits for the authority; ask again after so many seconds, 1 or more."""

    retry_after_s: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The authority's EnrolReply."""

    reply: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """There is no certificate for this; the text says why."""

    reason: RefusalReason
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What an authority says to one request: a reply, or why there is none.

    Attributes:
        request_hash: 32 bytes (17.11).
        reply: an encoded EnrolReply; empty where it was refused.
        refusal: why; empty where there is a reply.
    """

    request_hash: bytes
    reply: bytes
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file between an aggregator and its authority.

    Attributes:
        federation: 16 bytes.
        requests: encoded EnrolRequests.
        decisions: what the authority says to earlier ones.
        revocations: the newest list, encoded; empty where none is sent.
    """

    federation: bytes
    requests: tuple[bytes, ...] = ()
    decisions: tuple[Decision, ...] = ()
    revocations: bytes = b""


Up = Knock | Ask
Down = Welcome | Waiting | Answer | Refusal


def encode_up(message: Up) -> bytes:
    """Return the bytes of what a party says."""
    wire = pb.EnrolUp()
    match message:
        case Knock():
            wire.knock.SetInParent()
        case Ask(request):
            wire.ask.request = request
    return bytes(wire.SerializeToString(deterministic=True))


def decode_up(data: bytes) -> Up:
    """Return what a party says; PeerProtocolError on anything else."""
    wire = parse(pb.EnrolUp, data, limits.ENROL_UP_LIMIT)
    match wire.WhichOneof("message"):
        case "knock":
            return Knock()
        case "ask":
            canonical(wire, data)
            if not wire.ask.request:
                raise refuse("an empty enrolment request")
            return Ask(wire.ask.request)
        case _:
            raise refuse("an enrolment message that says nothing, or one of a later version")


def encode_down(message: Down) -> bytes:
    """Return the bytes of what a party is told."""
    wire = pb.EnrolDown()
    match message:
        case Welcome(root, links):
            wire.welcome.CopyFrom(pb.Welcome(tls_root=root, links=links))
        case Waiting(seconds):
            wire.waiting.retry_after_s = seconds
        case Answer(reply):
            wire.answer.reply = reply
        case Refusal(reason, words):
            kind = pb.RefusalReason.ValueType(reason)
            wire.refusal.CopyFrom(pb.Refusal(reason=kind, text=words))
    return bytes(wire.SerializeToString(deterministic=True))


def decode_down(data: bytes) -> Down:
    """Return what a party is told; PeerProtocolError on anything else."""
    wire = parse(pb.EnrolDown, data, limits.ENROL_DOWN_LIMIT)
    match wire.WhichOneof("message"):
        case "welcome":
            count(wire.welcome.links, limits.LINKS_LIMIT, "links")
            links = tuple(name(link, "link") for link in wire.welcome.links)
            return Welcome(size(wire.welcome.tls_root, limits.TEXT_LIMIT, "a root"), links)
        case "waiting":
            canonical(wire, data)
            if not wire.waiting.retry_after_s:
                raise refuse("a wait of no seconds")
            return Waiting(wire.waiting.retry_after_s)
        case "answer":
            canonical(wire, data)
            if not wire.answer.reply:
                raise refuse("an empty enrolment reply")
            return Answer(wire.answer.reply)
        case "refusal":
            return Refusal(_reason(wire.refusal.reason), text(wire.refusal.text, "refusal"))
        case _:
            raise refuse("an enrolment message that says nothing, or one of a later version")


def encode_parcel(parcel: Parcel) -> bytes:
    """Return the bytes of a parcel; ConfigError where it is larger than `decode_parcel` takes."""
    if max(len(parcel.requests), len(parcel.decisions)) > limits.PARCEL_ITEMS_LIMIT:
        raise ConfigError(f"a parcel holds at most {limits.PARCEL_ITEMS_LIMIT} requests")
    wire = pb.Parcel(
        federation=parcel.federation,
        requests=parcel.requests,
        decisions=[
            pb.Decision(request_hash=one.request_hash, reply=one.reply, refusal=one.refusal)
            for one in parcel.decisions
        ],
        revocations=parcel.revocations,
    )
    data = bytes(wire.SerializeToString(deterministic=True))
    if len(data) > limits.PARCEL_LIMIT:
        raise ConfigError(f"a parcel has at most {limits.PARCEL_LIMIT} bytes; send it in parts")
    return data


def decode_parcel(data: bytes) -> Parcel:
    """Return what a file holds; PeerProtocolError where it is no parcel."""
    wire = canonical(parse(pb.Parcel, data, limits.PARCEL_LIMIT), data)
    count(wire.requests, limits.PARCEL_ITEMS_LIMIT, "requests")
    count(wire.decisions, limits.PARCEL_ITEMS_LIMIT, "decisions")
    return Parcel(
        federation=exactly(wire.federation, limits.ID_BYTES, "federation"),
        requests=tuple(size(one, limits.ENROL_UP_LIMIT, "a request") for one in wire.requests),
        decisions=tuple(_decision(one) for one in wire.decisions),
        revocations=size(wire.revocations, limits.ENROL_DOWN_LIMIT, "a revocation list"),
    )


def _decision(wire: pb.Decision) -> Decision:
    if bool(wire.reply) == bool(wire.refusal):
        raise refuse("a decision with a reply and a refusal, or with neither")
    return Decision(
        request_hash=exactly(wire.request_hash, limits.HASH_BYTES, "request hash"),
        reply=size(wire.reply, limits.ENROL_DOWN_LIMIT, "a reply"),
        refusal=text(wire.refusal, "refusal"),
    )


def _reason(value: int) -> RefusalReason:
    try:
        return RefusalReason(value)
    except ValueError:  # of a later version; that there is no certificate is what counts
        return RefusalReason.REFUSED
