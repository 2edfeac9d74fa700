"""Enrolment, both ends: a party makes its own keys and the authority certifies them (5.3 to 5.6).

    token = authority.invite(...)            # the authority shows it: text, QR code
    pending = request(token, entropy)        # the device; pending.save(path) if the answer may wait
    reply = approve(authority, pending.message, now, entropy)    # after comparing fingerprints
    identity = accept(pending, reply, now)   # the device; identity.save(path)

Rules:
- whoever relays the two messages can neither change nor answer them;
- a token serves one party, unless it was made for several; the very same request gets the very same
  reply, so that a lost reply costs nothing (5.3, 17.33);
- private keys never travel; a renewal keeps the party's keys and id, and changes the transport's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dreamshare_crypto.authority import LIFE_S, Authority
from dreamshare_crypto.authority_records import Invitation, InvitationTerms
from dreamshare_crypto.certificates import Role, authority_key_id, device_id
from dreamshare_crypto.enrolment_messages import EnrolReply, EnrolRequest
from dreamshare_crypto.enrolment_token import NO_TOKEN, Token
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.errors import AuthenticationError, ParameterError
from dreamshare_crypto.identity import Identity, TlsMaterial
from dreamshare_crypto.keys import AgreementKey, IdentityKey
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.secretfile import (
    document_of,
    encode_private,
    read_private_bytes,
    replace_private,
)
from dreamshare_crypto.tls import leaf_key, make_key, make_request, public_key_of, read_request

__all__ = [
    "Authority",
    "EnrolReply",
    "EnrolRequest",
    "Examined",
    "InvitationTerms",
    "Pending",
    "Token",
    "accept",
    "approve",
    "examine",
    "renew",
    "request",
]

FORMAT = "dreamshare-enrolment/1"


@dataclass(frozen=True, slots=True)
class Pending:
    """A party that sent its request and waits for the reply.

    Attributes:
        signing: its Ed25519 key.
        kem: its X25519 key.
        tls_key: its TLS private key, PEM.
        token_key: of its token; None in a renewal.
        authority_hash: `authority_key_id` of the authority that it accepts (5.5).
        message: the encoded EnrolRequest, to be sent as often as needed.
    """

    signing: IdentityKey
    kem: AgreementKey
    tls_key: Secret
    token_key: Secret | None
    authority_hash: bytes
    message: bytes

    def save(self, path: Path | str) -> None:
        """Write it to `path`, mode 0600, atomically; ParameterError when it cannot."""
        replace_private(Path(path), self.encode())

    def encode(self) -> bytes:
        """Return what `save` writes: it holds private keys in the clear."""
        return encode_private(
            {
                "format": FORMAT,
                "signing": self.signing.secret().reveal().hex(),
                "kem": self.kem.secret().reveal().hex(),
                "tls_key": self.tls_key.reveal().decode(),
                "token_key": "" if self.token_key is None else self.token_key.reveal().hex(),
                "authority_hash": self.authority_hash.hex(),
                "message": self.message.hex(),
            },
        )

    @classmethod
    def load(cls, path: Path | str) -> Pending:
        """Read what `save` wrote; ParameterError on anything else, or when others may read it."""
        return cls.decode(read_private_bytes(Path(path)), str(path))

    @classmethod
    def decode(cls, data: bytes, where: str) -> Pending:
        """Read what `encode` made; ParameterError as `load`, naming `where` it came from."""
        file = document_of(data, where)
        if file.text("format") != FORMAT:
            raise file.broken(f"it is not a {FORMAT} file")
        token_key = file.raw("token_key")
        pending = cls(
            signing=IdentityKey.from_secret(Secret(file.raw("signing", 32))),
            kem=AgreementKey.from_secret(Secret(file.raw("kem", 32))),
            tls_key=Secret(file.text("tls_key").encode(), "TLS private key"),
            token_key=Secret(token_key, "token key") if token_key else None,
            authority_hash=file.raw("authority_hash", 32),
            message=file.raw("message"),
        )
        file.end()
        return pending


def request(token: Token, entropy: Entropy) -> Pending:
    """Make a party's keys and its request for `token` (5.4)."""
    signing, kem = IdentityKey.generate(entropy), AgreementKey.generate(entropy)
    return _pending(signing, kem, token, token.federation, token.authority_hash, entropy)


def renew(identity: Identity, entropy: Entropy) -> Pending:
    """Make a request that renews `identity` (5.6), at two thirds of its certificate's life."""
    authority_hash = authority_key_id(identity.authority_key)
    return _pending(
        identity.signing, identity.kem, None, identity.federation, authority_hash, entropy
    )


def _pending(
    signing: IdentityKey,
    kem: AgreementKey,
    token: Token | None,
    federation: bytes,
    authority_hash: bytes,
    entropy: Entropy,
) -> Pending:
    tls_key = make_key(entropy)
    token_key = None if token is None else token.token_key
    message = EnrolRequest(
        token_id=NO_TOKEN if token is None else token.token_id,
        federation=federation,
        ik=signing.public,
        kem=kem.public,
        device_nonce=entropy.draw(16),
        tls_csr=make_request(tls_key, device_id(federation, signing.public)),
    ).seal(token_key, signing)
    return Pending(signing, kem, tls_key, token_key, authority_hash, message.encode())


@dataclass(frozen=True, slots=True)
class Examined:
    """A request that holds, and what its sender would become.

    Attributes:
        request: as it was sent.
        role: of the certificate.
        name: of the party.
        hosts: of its TLS leaf.
        invitation: of the token that it came with; None in a renewal.
        reply: what it was answered before; empty where it is new.
    """

    request: EnrolRequest
    role: Role
    name: str
    hosts: tuple[str, ...]
    invitation: Invitation | None
    reply: bytes = b""

    @property
    def by_hand(self) -> bool:
        """Whether a person approves it; renewals and answered requests need nobody."""
        return not self.reply and self.invitation is not None and self.invitation.by_hand


def examine(authority: Authority, message: bytes, now: float) -> Examined:
    """Check a request; nothing is changed.

    Raises:
        MalformedError: the message is no request.
        AuthenticationError: unknown, used or expired token; a mac, signature or federation that
            does not hold; a renewal by a party that has no live certificate.
    """
    asked = EnrolRequest.decode(message)
    if asked.federation != authority.federation:
        raise AuthenticationError("the enrolment request is for another federation")
    invitation = authority.invitation(asked.token_id)
    if invitation is not None:
        asked.verify(invitation.token_key)
    elif asked.token_id == NO_TOKEN:
        asked.verify(None)
    else:
        raise AuthenticationError("the enrolment token is unknown; ask the authority for one")
    tag = asked.hash()
    for one in authority.issued:
        if one.request_hash == tag:
            role = one.certificate.role
            return Examined(asked, role, one.name, one.hosts, invitation, one.reply)
    if asked.tls_csr:
        read_request(asked.tls_csr)
    if invitation is None:
        held = [one for one in authority.live(now) if one.certificate.ik == asked.ik]
        if not held or held[-1].certificate.kem != asked.kem:
            raise AuthenticationError("no live certificate to renew; enrol with a token")
        return Examined(asked, held[-1].certificate.role, held[-1].name, held[-1].hosts, None)
    if invitation.spent:
        raise AuthenticationError("the enrolment token was used already; ask for a new one")
    if now > invitation.expiry:
        raise AuthenticationError("the enrolment token has expired; ask for a new one")
    if any(one.certificate.ik == asked.ik for one in authority.issued):
        raise AuthenticationError("this identity key is enrolled already; renew it")
    taken = {one.name for one in authority.issued}
    name = invitation.next_name(taken)
    return Examined(asked, invitation.role, name, invitation.hosts, invitation)


def approve(
    authority: Authority, message: bytes, now: float, entropy: Entropy, life_s: int = LIFE_S
) -> bytes:
    """Check a request and answer it; whoever calls has approved it, by rule or by hand (5.4).

    Save the authority before the reply leaves. The same message gets the same reply again.

    Args:
        authority: of the federation; it records the certificate and the token's use.
        message: an encoded EnrolRequest, from whoever relays it.
        now: seconds since 1970.
        entropy: for the serial number of the TLS certificate.
        life_s: life of the certificates, seconds.

    Raises:
        MalformedError, AuthenticationError: as `examine`.
        ParameterError: the invitation's name was given to another party meanwhile.
    """
    found = examine(authority, message, now)
    if found.reply:
        return found.reply
    asked = found.request
    one = authority.certify(found.role, found.name, asked.ik, asked.kem, now, found.hosts, life_s)
    leaf = b""
    if asked.tls_csr:
        leaf = authority.tls_leaf(one, read_request(asked.tls_csr), entropy)
    reply = EnrolReply(
        authority_key=authority.public_key,
        certificate=one.certificate,
        tls_chain=leaf,
        aggregators=authority.aggregators(now),
        tls_roots=authority.tls_roots,
        revocations=authority.revocations,
    )
    return authority.answer(one, reply, asked.hash(), asked.device_nonce, found.invitation)


def accept(pending: Pending, message: bytes, now: float) -> Identity:
    """Check a reply and return the party's identity (5.5).

    Args:
        pending: what `request` or `renew` returned.
        message: an encoded EnrolReply, from whoever relays it.
        now: seconds since 1970.

    Raises:
        MalformedError: the message is no reply.
        AuthenticationError: it is not the pinned authority's reply to this very request.
    """
    asked = EnrolRequest.decode(pending.message)
    reply = EnrolReply.decode(message)
    if authority_key_id(reply.authority_key) != pending.authority_hash:
        raise AuthenticationError("the enrolment reply comes from another authority")
    reply.verify(asked.device_nonce, pending.token_key)
    certificate = reply.certificate
    if certificate.federation != asked.federation:
        raise AuthenticationError("the enrolment reply is for another federation")
    if (certificate.ik, certificate.kem) != (asked.ik, asked.kem):
        raise AuthenticationError("the enrolment reply certifies other keys than ours")
    for one in (certificate, *reply.aggregators):
        one.verify(reply.authority_key, now)
        reply.revocations.check(one)
    reply.revocations.verify(reply.authority_key, now)
    if reply.tls_chain and leaf_key(reply.tls_chain) != public_key_of(pending.tls_key):
        raise AuthenticationError("the TLS certificate of the enrolment reply is not for our key")
    tls = TlsMaterial(
        chain_pem=reply.tls_chain,
        key_pem=pending.tls_key if reply.tls_chain else Secret(b"", "TLS private key"),
        roots_pem=reply.tls_roots,
    )
    try:
        return Identity(
            signing=pending.signing,
            kem=pending.kem,
            certificate=certificate,
            authority_key=reply.authority_key,
            aggregators=reply.aggregators,
            revocations=reply.revocations,
            tls=tls,
        )
    except ParameterError as error:
        raise AuthenticationError(f"the enrolment reply is inconsistent: {error}") from None
