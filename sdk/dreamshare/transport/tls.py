"""What a transport needs for mutual TLS, as bytes; who keeps them is another's business."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self

from cryptography import x509

from dreamshare.errors import ConfigError


class Revealing(Protocol):
    """Secret bytes, as `dreamshare_crypto.Secret` holds them."""

    def reveal(self) -> bytes:
        """Return the bytes."""
        ...


class TlsParts(Protocol):
    """What an enrolled identity holds for its transport."""

    @property
    def chain_pem(self) -> bytes:
        """Own certificate first."""
        ...

    @property
    def key_pem(self) -> Revealing:
        """Its private key."""
        ...

    @property
    def roots_pem(self) -> bytes:
        """What the other end's chain must lead to."""
        ...


class Enrolled(Protocol):
    """A party with an identity, as `dreamshare_crypto.Identity` is one."""

    @property
    def tls(self) -> TlsParts:
        """Keys of its transport."""
        ...


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A party's own TLS certificate and the roots that it trusts (docs/protocol.md 5.6).

    Keys are ECDSA P-256: gRPC's TLS refuses Ed25519 certificates.

    Attributes:
        chain_pem: own certificate first, then its issuers; the subject's CN is the hex party id.
        key_pem: private key of the first certificate, not encrypted; never shown.
        roots_pem: certificates that the other end's chain must lead to.
    """

    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    roots_pem: bytes

    def __post_init__(self) -> None:
        for what, pem in (
            ("chain_pem", self.chain_pem),
            ("key_pem", self.key_pem),
            ("roots_pem", self.roots_pem),
        ):
            if b"-----BEGIN " not in pem:
                raise ConfigError(f"{what} is not PEM: '-----BEGIN ...' was expected")

    @property
    def name(self) -> str:
        """The CN of the own certificate; ConfigError where it cannot be read or has none."""
        try:
            subject = x509.load_pem_x509_certificate(self.chain_pem).subject
        except ValueError as error:
            raise ConfigError(f"chain_pem holds no certificate: {error}") from None
        names = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        if len(names) != 1:
            raise ConfigError("the own certificate names nobody: its subject has no CN")
        return str(names[0].value)

    @property
    def valid_until(self) -> datetime:
        """When the own certificate ends, in UTC; ConfigError where it cannot be read."""
        try:
            return x509.load_pem_x509_certificate(self.chain_pem).not_valid_after_utc
        except ValueError as error:
            raise ConfigError(f"chain_pem holds no certificate: {error}") from None

    @classmethod
    def of(cls, identity: Enrolled) -> Self:
        """Return the files of an identity; ConfigError where it was enrolled without TLS."""
        tls = identity.tls
        return cls(tls.chain_pem, tls.key_pem.reveal(), tls.roots_pem)
