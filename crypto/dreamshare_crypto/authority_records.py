"""What an authority remembers of each certificate and token, and how its file holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dreamshare_crypto.certificates import Certificate, Role
from dreamshare_crypto.enrolment_messages import Token
from dreamshare_crypto.secretfile import Document, Json

FORMAT = "dreamshare-authority/1"


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
class Invitation:
    """A token, with what its holder will become.

    Attributes:
        token: as shown to the party.
        role: role of the certificate it gives.
        name: name of the party.
        hosts: names that its TLS leaf may serve under, besides loopback.
        used_by: hash of the request that used it; empty while unused.
    """

    token: Token
    role: Role
    name: str
    hosts: tuple[str, ...]
    used_by: bytes = b""

    def fields(self) -> Mapping[str, Json]:
        """Return the record as its file holds it."""
        return {
            "token": self.token.encode().hex(),
            "role": int(self.role),
            "name": self.name,
            "hosts": list(self.hosts),
            "used_by": self.used_by.hex(),
        }


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
        token=Token.decode(document.raw("token")),
        role=role,
        name=document.text("name"),
        hosts=document.texts("hosts"),
        used_by=document.raw("used_by"),
    )
    document.end()
    return one
