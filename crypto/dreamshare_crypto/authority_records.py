"""What an authority remembers of each certificate and token, and how its file holds it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import count

from dreamshare_crypto.certificates import ID_BYTES, KEY_BYTES, Certificate, Role
from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.secretfile import Document, Json

FORMAT = "dreamshare-authority/2"

TOKEN_LIFE_S = 86_400
"""Default life of a token, seconds."""

MOST_USES = 10_000
"""Parties that may enrol with one token."""


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate that the authority gave out.

    Attributes:
        name: what people call the party.
        hosts: names that its TLS leaf may serve under; empty unless an aggregator.
        certificate: the certificate.
        request_hash: of the enrolment request that it answers; empty when made here.
        reply: the answer to that request, given again to the same request; empty when made here.
    """

    name: str
    hosts: tuple[str, ...]
    certificate: Certificate
    request_hash: bytes = b""
    reply: bytes = b""

    def fields(self) -> Mapping[str, Json]:
        """Return the record as its file holds it."""
        return {
            "name": self.name,
            "hosts": list(self.hosts),
            "certificate": self.certificate.encode().hex(),
            "request_hash": self.request_hash.hex(),
            "reply": self.reply.hex(),
        }


@dataclass(frozen=True, slots=True)
class InvitationTerms:
    """How a token may be used.

    Attributes:
        hosts: names that the party's TLS leaf may serve under, besides loopback; aggregators only.
        life_s: life of the token, seconds, 1 or more.
        uses: how many parties may enrol with it, 1 to 10,000. More than one is for development:
            whoever sees such a token can enrol while it lasts (17.33).
        by_hand: whether a person approves each request.
    """

    hosts: tuple[str, ...] = ()
    life_s: int = TOKEN_LIFE_S
    uses: int = 1
    by_hand: bool = False

    def __post_init__(self) -> None:
        if self.life_s < 1:
            raise ParameterError(f"a token lives for 1 second or more, not {self.life_s}")
        if not 1 <= self.uses <= MOST_USES:
            raise ParameterError(f"a token serves 1 to {MOST_USES} parties, not {self.uses}")


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an authority remembers of a token: what its holders become, never the token itself.

    Attributes:
        token_id: of the token.
        token_key: hash of its secret, which binds requests (17.33).
        expiry: last second of the token, seconds since 1970.
        role: role of the certificate that it gives.
        name: name of the party; of several parties, what their names begin with.
        hosts: names that the party's TLS leaf may serve under, besides loopback.
        uses: how many parties may enrol with it, 1 or more.
        by_hand: whether a person approves each request.
        used_by: hashes of the requests that used it.
    """

    token_id: bytes
    token_key: Secret
    expiry: int
    role: Role
    name: str
    hosts: tuple[str, ...] = ()
    uses: int = 1
    by_hand: bool = False
    used_by: tuple[bytes, ...] = ()

    @property
    def spent(self) -> bool:
        """Whether as many parties enrolled as may."""
        return len(self.used_by) >= self.uses

    def next_name(self, taken: Collection[str]) -> str:
        """Return the name of the next party that enrols; of several, one that nobody had."""
        if self.uses == 1:
            return self.name
        numbered = (f"{self.name}-{number}" for number in count(len(self.used_by) + 1))
        return next(name for name in numbered if name not in taken)

    def fields(self) -> Mapping[str, Json]:
        """Return the record as its file holds it."""
        return {
            "token_id": self.token_id.hex(),
            "token_key": self.token_key.reveal().hex(),
            "expiry": self.expiry,
            "role": int(self.role),
            "name": self.name,
            "hosts": list(self.hosts),
            "uses": self.uses,
            "by_hand": int(self.by_hand),
            "used_by": [one.hex() for one in self.used_by],
        }


def check_name(name: str) -> None:
    """Raise ParameterError when `name` is not what people can call a party."""
    if not 0 < len(name) <= 64 or not name.isprintable():
        raise ParameterError(f"{name!r} is not a name: 1 to 64 printable characters")


def read_issued(document: Document) -> Issued:
    """Read `Issued.fields`; ParameterError or MalformedError on anything else."""
    one = Issued(
        name=document.text("name"),
        hosts=document.texts("hosts"),
        certificate=Certificate.decode(document.raw("certificate")),
        request_hash=document.raw("request_hash"),
        reply=document.raw("reply"),
    )
    document.end()
    return one


def read_invitation(document: Document) -> Invitation:
    """Read `Invitation.fields`; ParameterError or MalformedError on anything else."""
    try:
        role = Role(document.integer("role"))
    except ValueError:
        raise document.broken("its role is unknown") from None
    one = Invitation(
        token_id=document.raw("token_id", ID_BYTES),
        token_key=Secret(document.raw("token_key", KEY_BYTES), "token key"),
        expiry=document.integer("expiry"),
        role=role,
        name=document.text("name"),
        hosts=document.texts("hosts"),
        uses=document.integer("uses"),
        by_hand=bool(document.integer("by_hand")),
        used_by=document.raws("used_by"),
    )
    document.end()
    return one
