"""Everything that one party holds to be itself: keys, certificate, and what it pins.

Rules:
- one file per party, mode 0600, replaced atomically (`secretfile`);
- complete and consistent after construction: the certificate is the authority's and names exactly
  the keys that are held; validity in time is checked where the identity is used, which has a clock;
- the authority's private key is never in it (docs/protocol.md 1.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dreamshare_crypto.certificates import Certificate, RevocationList, Role
from dreamshare_crypto.errors import AuthenticationError, CryptoError, ParameterError
from dreamshare_crypto.keys import AgreementKey, IdentityKey
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.secretfile import (
    document_of,
    encode_private,
    read_private_bytes,
    replace_private,
)

FORMAT = "dreamshare-identity/1"


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """Keys of the transport: X.509 over P-256; they decide nothing in SA-2 (5.6).

    Attributes:
        chain_pem: the party's certificate chain, leaf first; empty where TLS ends elsewhere.
        key_pem: its private key, PKCS#8, unencrypted; empty where TLS ends elsewhere.
        roots_pem: roots that the party accepts peers under.
    """

    chain_pem: bytes
    key_pem: Secret
    roots_pem: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """One party of one federation (docs/protocol.md, section 5).

    Attributes:
        signing: its Ed25519 key.
        kem: its X25519 key, for envelopes sealed to it (14.2).
        certificate: the authority's word for both.
        authority_key: Ed25519 public key of the authority, pinned.
        aggregators: certificates of the federation's aggregators.
        revocations: newest list that the party has.
        tls: keys of its transport.

    Raises:
        ParameterError: the parts do not belong together.
    """

    signing: IdentityKey
    kem: AgreementKey
    certificate: Certificate
    authority_key: bytes
    aggregators: tuple[Certificate, ...]
    revocations: RevocationList
    tls: TlsMaterial

    def __post_init__(self) -> None:
        held = (self.signing.public, self.kem.public)
        if held != (self.certificate.ik, self.certificate.kem):
            raise ParameterError("the certificate of an identity is not one of its own keys")
        try:
            for one in (self.certificate, *self.aggregators):
                one.verify(self.authority_key, one.not_before)
            self.revocations.verify(self.authority_key, self.revocations.this_update)
        except AuthenticationError as error:
            raise ParameterError(f"an identity does not fit its authority: {error}") from None
        if any(one.role != Role.AGGREGATOR for one in self.aggregators):
            raise ParameterError("an identity lists an aggregator that is none")
        federations = {one.federation for one in (self.certificate, *self.aggregators)}
        if federations != {self.revocations.federation}:
            raise ParameterError("an identity mixes two federations")

    @property
    def id(self) -> bytes:
        """The party's id, 16 bytes (5.2)."""
        return self.certificate.id

    @property
    def federation(self) -> bytes:
        """The federation's id, 16 bytes."""
        return self.certificate.federation

    def save(self, path: Path | str) -> None:
        """Write the identity to `path`, mode 0600, atomically; ParameterError when it cannot."""
        replace_private(Path(path), self.encode())

    def encode(self) -> bytes:
        """Return what `save` writes: it holds private keys in the clear."""
        return encode_private(
            {
                "format": FORMAT,
                "id": self.id.hex(),
                "signing": self.signing.secret().reveal().hex(),
                "kem": self.kem.secret().reveal().hex(),
                "certificate": self.certificate.encode().hex(),
                "authority_key": self.authority_key.hex(),
                "aggregators": [one.encode().hex() for one in self.aggregators],
                "revocations": self.revocations.encode().hex(),
                "tls_chain": self.tls.chain_pem.decode(),
                "tls_key": self.tls.key_pem.reveal().decode(),
                "tls_roots": self.tls.roots_pem.decode(),
            },
        )

    @classmethod
    def load(cls, path: Path | str) -> Identity:
        """Read what `save` wrote.

        Raises:
            ParameterError: missing, readable by others, or not a whole and consistent identity.
        """
        return cls.decode(read_private_bytes(Path(path)), str(path))

    @classmethod
    def decode(cls, data: bytes, where: str) -> Identity:
        """Read what `encode` made; ParameterError as `load`, naming `where` it came from."""
        file = document_of(data, where)
        if file.text("format") != FORMAT:
            raise file.broken(f"it is not a {FORMAT} file")
        try:
            named = file.raw("id", 16)
            identity = cls(
                signing=IdentityKey.from_secret(Secret(file.raw("signing", 32))),
                kem=AgreementKey.from_secret(Secret(file.raw("kem", 32))),
                certificate=Certificate.decode(file.raw("certificate")),
                authority_key=file.raw("authority_key", 32),
                aggregators=tuple(Certificate.decode(raw) for raw in file.raws("aggregators")),
                revocations=RevocationList.decode(file.raw("revocations")),
                tls=TlsMaterial(
                    chain_pem=file.text("tls_chain").encode(),
                    key_pem=Secret(file.text("tls_key").encode(), "TLS private key"),
                    roots_pem=file.text("tls_roots").encode(),
                ),
            )
        except ParameterError:
            raise
        except CryptoError as error:
            raise file.broken(str(error)) from None
        if named != identity.id:
            raise file.broken("field 'id' is not the certificate's")
        file.end()
        return identity
