"""The enrolment authority: certifies devices, aggregators and operators, and revokes (section 5).

Rules:
- its Ed25519 key and its TLS root key live in one file and never leave it: an aggregator that held
  them could invent a cohort of its own (docs/protocol.md 1.1, 15.1);
- an id belongs to one identity key for good, and a name to one id at a time (5.2);
- revoking one certificate of a party revokes all of them, renewals included;
- every change is in memory until `save`; whoever hands out a certificate saves first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from dreamshare_crypto.authority_records import (
    FORMAT,
    Invitation,
    InvitationTerms,
    Issued,
    check_name,
    read_invitation,
    read_issued,
)
from dreamshare_crypto.certificates import (
    ID_BYTES,
    Certificate,
    RevocationList,
    Role,
    authority_key_id,
    device_id,
)
from dreamshare_crypto.enrolment_messages import EnrolReply
from dreamshare_crypto.enrolment_token import Token
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.errors import CryptoError, ParameterError
from dreamshare_crypto.identity import Identity, TlsMaterial
from dreamshare_crypto.keys import AgreementKey, IdentityKey
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.secretfile import read_private, write_private
from dreamshare_crypto.tls import (
    LOOPBACK,
    TlsAuthority,
    certificate_hash,
    check_hosts,
    make_key,
    public_key_of,
)

DAY_S = 86_400
LIFE_S = 90 * DAY_S
"""Default life of a certificate (5.6) and of a revocation list (5.7), seconds."""

_ROOT_LIFE_S = 3650 * DAY_S
_SKEW_S = 300  # how far a peer's clock may be behind the authority's


class Authority:
    """One federation's authority, with everything it ever gave out."""

    __slots__ = (
        "_invitations",
        "_issued",
        "_key",
        "_next_serial",
        "_revocations",
        "_tls",
        "federation",
    )

    def __init__(
        self,
        federation: bytes,
        key: IdentityKey,
        tls: TlsAuthority,
        revocations: RevocationList,
        next_serial: int = 1,
        issued: Sequence[Issued] = (),
        invitations: Sequence[Invitation] = (),
    ) -> None:
        self.federation = federation
        self._key = key
        self._tls = tls
        self._revocations = revocations
        self._next_serial = next_serial
        self._issued = list(issued)
        self._invitations = {one.token_id: one for one in invitations}

    @classmethod
    def create(cls, federation: bytes, entropy: Entropy, now: float) -> Authority:
        """Make a new authority; every key comes from `entropy`.

        Raises:
            ParameterError: `federation` does not have 16 bytes.
        """
        if len(federation) != ID_BYTES:
            raise ParameterError(f"a federation's id has {ID_BYTES} bytes, not {len(federation)}")
        key = IdentityKey.generate(entropy)
        start = int(now) - _SKEW_S
        tls = TlsAuthority.create(federation, entropy, start, start + _ROOT_LIFE_S)
        first = RevocationList.issue(key, federation, 1, int(now), int(now) + LIFE_S, ())
        return cls(federation, key, tls, first)

    @property
    def public_key(self) -> bytes:
        """The Ed25519 key that parties pin."""
        return self._key.public

    @property
    def tls_roots(self) -> bytes:
        """The TLS root, PEM."""
        return self._tls.root_pem

    @property
    def tls_hash(self) -> bytes:
        """SHA-256 of the TLS root, which tokens pin."""
        return certificate_hash(self._tls.root_pem)

    @property
    def revocations(self) -> RevocationList:
        """The newest revocation list."""
        return self._revocations

    @property
    def issued(self) -> tuple[Issued, ...]:
        """Every certificate given out, oldest first."""
        return tuple(self._issued)

    @property
    def invitations(self) -> tuple[Invitation, ...]:
        """What is remembered of every token made, oldest first."""
        return tuple(self._invitations.values())

    def issue(
        self,
        role: Role,
        name: str,
        entropy: Entropy,
        now: float,
        hosts: Sequence[str] = (),
        life_s: int = LIFE_S,
    ) -> Identity:
        """Make a party's keys here and certify them: for development federations.

        The party's private keys were then known to the authority. Real devices make their own and
        enrol with a token. Issue aggregators first: an identity
        lists those that exist.

        Args:
            role: of the certificate.
            name: what people call the party; unused by any other live party.
            entropy: source of all its keys, P-256 included.
            now: seconds since 1970.
            hosts: DNS names and IP addresses of an aggregator, besides loopback.
            life_s: life of the certificates, seconds.

        Raises:
            ParameterError: the name is taken, or a host is no name.
        """
        signing, kem = IdentityKey.generate(entropy), AgreementKey.generate(entropy)
        tls_key = make_key(entropy)
        one = self.certify(role, name, signing.public, kem.public, now, hosts, life_s)
        chain = self.tls_leaf(one, public_key_of(tls_key), entropy)
        return Identity(
            signing=signing,
            kem=kem,
            certificate=one.certificate,
            authority_key=self.public_key,
            aggregators=self.aggregators(now),
            revocations=self._revocations,
            tls=TlsMaterial(chain_pem=chain, key_pem=tls_key, roots_pem=self.tls_roots),
        )

    def certify(
        self,
        role: Role,
        name: str,
        ik: bytes,
        kem: bytes,
        now: float,
        hosts: Sequence[str] = (),
        life_s: int = LIFE_S,
    ) -> Issued:
        """Sign and record a certificate for keys that the party made; see `issue` for the rest."""
        check_name(name)
        check_hosts(hosts)
        party = device_id(self.federation, ik)
        if any(one.name == name and one.certificate.id != party for one in self.live(now)):
            raise ParameterError(f"the name {name!r} is taken; choose another or revoke its holder")
        certificate = Certificate(
            federation=self.federation,
            role=role,
            id=party,
            ik=ik,
            kem=kem,
            serial=self._next_serial,
            not_before=int(now) - _SKEW_S,
            not_after=int(now) + life_s,
            issuer_key_id=authority_key_id(self.public_key),
        ).sign(self._key)
        self._next_serial += 1
        names = tuple(dict.fromkeys((*LOOPBACK, *hosts))) if role == Role.AGGREGATOR else ()
        one = Issued(name=name, hosts=names, certificate=certificate)
        self._issued.append(one)
        return one

    def tls_leaf(
        self, one: Issued, public_key: ec.EllipticCurvePublicKey, entropy: Entropy
    ) -> bytes:
        """Return a TLS leaf as PEM for a party just certified, valid as long as its certificate."""
        held = one.certificate
        return self._tls.issue(
            held.id, public_key, entropy, held.not_before, held.not_after, one.hosts
        )

    def host_leaf(
        self,
        hosts: Sequence[str],
        key: ec.EllipticCurvePublicKey,
        entropy: Entropy,
        now: float,
        seat: bytes = b"",
    ) -> bytes:
        """Return a TLS leaf for a broker under these names, or for a seat there; for no party."""
        held = (int(now) - _SKEW_S, int(now) + LIFE_S)
        return self._tls.issue(seat or self.federation, key, entropy, *held, hosts)

    def live(self, now: float) -> Iterator[Issued]:
        """Yield what was given out and is neither expired nor revoked."""
        revoked = set(self._revocations.serials)
        for one in self._issued:
            if one.certificate.serial not in revoked and now <= one.certificate.not_after:
                yield one

    def aggregators(self, now: float) -> tuple[Certificate, ...]:
        """Return the newest live certificate of each aggregator."""
        newest = {
            one.certificate.id: one.certificate
            for one in self.live(now)
            if one.certificate.role == Role.AGGREGATOR
        }
        return tuple(newest.values())

    def revoke(self, serial: int, now: float) -> RevocationList:
        """Revoke the party that certificate `serial` was given to; return the new list.

        Raises:
            ParameterError: no certificate has this serial.
        """
        parties = {o.certificate.id for o in self._issued if o.certificate.serial == serial}
        if not parties:
            raise ParameterError(f"no certificate has the serial {serial}; list them first")
        serials = {o.certificate.serial for o in self._issued if o.certificate.id in parties}
        return self.refresh(now, serials)

    def refresh(self, now: float, revoked: Collection[int] = ()) -> RevocationList:
        """Sign the next revocation list, with `revoked` added; due before the last one is stale."""
        last = self._revocations
        self._revocations = RevocationList.issue(
            self._key,
            self.federation,
            last.number + 1,
            int(now),
            int(now) + LIFE_S,
            {*last.serials, *revoked},
        )
        return self._revocations

    def invite(
        self,
        role: Role,
        name: str,
        endpoints: Sequence[str],
        entropy: Entropy,
        now: float,
        terms: InvitationTerms | None = None,
    ) -> Token:
        """Make a token that lets parties enrol as `role` (5.3).

        It is returned once: only a hash of its secret is kept.

        Args:
            role: of the certificates that it gives.
            name: of the party that enrols with it.
            endpoints: where the party sends its request.
            entropy: source of the token's id and secret.
            now: seconds since 1970.
            terms: how often and how long it serves, and who approves; once and automatically by
                default.

        Raises:
            ParameterError: an endpoint, a name or a host is none.
        """
        terms = terms or InvitationTerms()
        check_hosts(terms.hosts)
        check_name(name)
        token = Token(
            token_id=entropy.draw(ID_BYTES),
            secret=Secret(entropy.draw(32), "token"),
            federation=self.federation,
            authority_hash=authority_key_id(self.public_key),
            tls_hash=self.tls_hash,
            endpoints=tuple(endpoints),
            expiry=int(now) + terms.life_s,
        )
        self._invitations[token.token_id] = Invitation(
            token_id=token.token_id,
            token_key=token.token_key,
            expiry=token.expiry,
            role=role,
            name=name,
            hosts=terms.hosts,
            uses=terms.uses,
            by_hand=terms.by_hand,
        )
        return token

    def invitation(self, token_id: bytes) -> Invitation | None:
        """Return what is remembered of the token of this id, or None."""
        return self._invitations.get(token_id)

    def withdraw(self, name: str) -> int:
        """End every token that was made for `name` and is unspent; return how many there were."""
        found = [one for one in self.invitations if one.name == name and not one.spent]
        for one in found:
            self._invitations[one.token_id] = replace(one, expiry=0)
        return len(found)

    def forget_tokens(self, before: float) -> None:
        """Forget tokens that expired before `before`: their requests get no reply any more."""
        kept = {i: one for i, one in self._invitations.items() if one.expiry >= before}
        self._invitations = kept

    def answer(
        self,
        one: Issued,
        reply: EnrolReply,
        request_hash: bytes,
        nonce: bytes,
        invitation: Invitation | None,
    ) -> bytes:
        """Seal `reply` to a request and record it with the certificate `one` and the token."""
        key = None if invitation is None else invitation.token_key
        sealed = reply.seal(nonce, key, self._key).encode()
        done = replace(one, request_hash=request_hash, reply=sealed)
        self._issued[self._issued.index(one)] = done
        if invitation is not None:
            used = replace(invitation, used_by=(*invitation.used_by, request_hash))
            self._invitations[invitation.token_id] = used
        return sealed

    def sign_policy(self, body: bytes) -> bytes:
        """Sign a fleet's policy for its devices (docs/protocol.md 17.37); 64 bytes."""
        return self._key.sign("sa2/v1/fleet-policy", body)

    def save(self, path: Path | str) -> None:
        """Write everything to `path`, mode 0600, atomically; ParameterError when it cannot."""
        write_private(
            Path(path),
            {
                "format": FORMAT,
                "federation": self.federation.hex(),
                "key": self._key.secret().reveal().hex(),
                "tls_root": self._tls.root_pem.decode(),
                "tls_key": self._tls.key_pem.reveal().decode(),
                "next_serial": self._next_serial,
                "revocations": self._revocations.encode().hex(),
                "issued": [one.fields() for one in self._issued],
                "invitations": [one.fields() for one in self.invitations],
            },
        )

    @classmethod
    def load(cls, path: Path | str) -> Authority:
        """Read what `save` wrote; ParameterError on anything else, or when others may read it."""
        file = read_private(Path(path))
        if file.text("format") != FORMAT:
            raise file.broken(f"it is not a {FORMAT} file")
        try:
            authority = cls(
                federation=file.raw("federation", ID_BYTES),
                key=IdentityKey.from_secret(Secret(file.raw("key", 32))),
                tls=TlsAuthority(
                    root_pem=file.text("tls_root").encode(),
                    key_pem=Secret(file.text("tls_key").encode(), "TLS private key"),
                ),
                next_serial=file.integer("next_serial"),
                revocations=RevocationList.decode(file.raw("revocations")),
                issued=[read_issued(one) for one in file.documents("issued")],
                invitations=[read_invitation(one) for one in file.documents("invitations")],
            )
        except ParameterError:
            raise
        except CryptoError as error:
            raise file.broken(str(error)) from None
        file.end()
        return authority
