"""The aggregator's way to a session: offer, roster, boxes, Ready (docs/protocol.md section 6).

Rules:
- each stage is an object that is asked for its next one, without clock or sends;
- the aggregator checks what would make honest devices refuse (weak or repeated keys, lists that are
  not whole), because one hostile device must not end everybody's epoch;
- boxes are passed on unread: the aggregator cannot open them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from dreamshare_crypto.certificates import Role
from dreamshare_crypto.errors import AuthenticationError, MalformedError, RefusalCode, Refused
from dreamshare_crypto.graph import MILLION
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.keys import check_public
from dreamshare_crypto.secagg.blame import Blame
from dreamshare_crypto.secagg.epoch_messages import (
    Advertise,
    Deliver,
    PeerKeys,
    Ready,
    Roster,
    Shares,
)
from dreamshare_crypto.secagg.events import KeepEvidence, Send, SessionReady, Stage
from dreamshare_crypto.secagg.mailbox import Mailbox
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.secagg.refusals import Ignored
from dreamshare_crypto.secagg.schedule import graph_seed, nonce_commitment
from dreamshare_crypto.secagg.seed_messages import Reveal, Seed
from dreamshare_crypto.secagg.session import Session


@dataclass(frozen=True, slots=True)
class Cohort:
    """The outcome of a set-up.

    Attributes:
        session: the public facts, with everybody's round keys.
        commitments: com[0..R-1] by roster index.
        good: by roster index of a member, the dealers whose boxes it could read, and itself.
        blame: what the epoch's rounds find out about its members; the one part that grows.
    """

    session: Session
    commitments: tuple[tuple[bytes, ...], ...]
    good: Mapping[int, frozenset[int]]
    blame: Blame

    @property
    def members(self) -> frozenset[int]:
        """Roster indices that can take part in rounds."""
        return frozenset(self.good)

    def ready(self) -> SessionReady:
        """Return who can run the epoch's first round, and what that guarantees."""
        members = sorted(self.reachable(self.members))
        derived, ids = self.session.derived, self.session.ids
        named = tuple(ids[index] for index in members)
        return SessionReady(self.session.sid, named, derived.crowd, derived.a)

    def reachable(self, active: frozenset[int]) -> frozenset[int]:
        """Return those of `active` who would accept a round of all that are returned (S4).

        Whoever has fewer than t active holders would refuse; without it others may have too few.
        """
        graph, t = self.session.graph, self.session.derived.t
        while True:
            kept = frozenset(i for i in active if len(active.intersection(graph.holders(i))) >= t)
            if kept == active:
                return kept
            active = kept


class Advertising:
    """OFFERED: the candidates are asked whether they take part."""

    ACCEPTS: ClassVar[Stage] = Stage.ADVERTISE

    def __init__(self, identity: Identity, offer: EpochOffer, candidates: Iterable[bytes]) -> None:
        self._identity = identity
        self._offer = offer
        self._offer_hash = offer.digest()
        self._keys: set[bytes] = set()
        self.box: Mailbox[Advertise] = Mailbox(RefusalCode.O2, candidates, ())

    @property
    def settled(self) -> bool:
        """Whether nobody is waited for."""
        return not self.box.awaited

    def owed(self, device: bytes) -> tuple[Send, ...]:
        """Return what the device has to be sent in this stage."""
        return (Send(Stage.OFFER, self._offer.encode(), (device,)),)

    def take(self, device: bytes, body: bytes, now: float) -> KeepEvidence | None:
        """Take an Advertise; return evidence when it contradicts the device's first one."""
        advertise = Advertise.decode(body, self._offer.rounds)
        self._check(device, advertise, now)
        if device in self.box:
            return self.box.put(device, advertise)
        keys = {
            advertise.certificate.ik,
            advertise.box_pk,
            *advertise.keys,
            advertise.entry().commitments_hash,
        }
        if keys & self._keys or len(self.box) == self._offer.n_max:
            self.box.leave(device)  # an equal key: the later one stays out (10.2)
            raise Ignored(RefusalCode.R2, "a key or commitment list of another device, or no room")
        for key in (advertise.box_pk, *advertise.keys):
            check_public(key)
        self._keys |= keys
        return self.box.put(device, advertise)

    def _check(self, device: bytes, advertise: Advertise, now: float) -> None:
        certificate = advertise.certificate
        expected = (device, self._offer.federation, Role.DEVICE, self._offer_hash)
        named = (certificate.id, certificate.federation, certificate.role, advertise.offer_hash)
        if named != expected:
            raise AuthenticationError("an advertisement of another device, federation or offer")
        certificate.verify(self._identity.authority_key, now)
        # The others look at it when the roster comes: one that ends before would end their epoch.
        certificate.verify(self._identity.authority_key, now + self._offer.deadlines.setup_s)
        self._offer.revocations.check(certificate)
        advertise.verify(certificate.ik)

    def next(self, gone: Iterable[bytes]) -> Seeding | Sharing | None:
        """Return the stage for those who answered, None when they are too few."""
        members = sorted(self.box.answers.values(), key=lambda member: member.certificate.id)
        if len(members) < max(3, self._offer.least_cohort):
            return None
        entries = tuple(member.entry() for member in members)
        roster = Roster(self._offer_hash, entries).sign(self._identity.signing)
        try:
            session = Session.of(self._offer, roster)
        except Refused:
            return None
        session = session.with_keys({i: b"".join(m.keys) for i, m in enumerate(members)})
        commitments = tuple(member.commitments for member in members)
        following = Seeding if session.regular else Sharing
        return following(self._identity, session, commitments, gone)


class Seeding:
    """ROSTERED in profile K: the seeders reveal what the graph is drawn from (6.3).

    Everybody is shown the roster, and the seeders alone are waited for.
    """

    ACCEPTS: ClassVar[Stage] = Stage.REVEAL

    def __init__(
        self,
        identity: Identity,
        session: Session,
        commitments: tuple[tuple[bytes, ...], ...],
        gone: Iterable[bytes],
    ) -> None:
        self._identity = identity
        self._session = session
        self._commitments = commitments
        self._roster = session.roster.encode()
        seeders = (session.ids[index] for index in session.seeders)
        self.box: Mailbox[Reveal] = Mailbox(RefusalCode.G1, seeders, gone)

    @property
    def told(self) -> frozenset[bytes]:
        """Who is sent what the stage owes."""
        return frozenset(self._session.ids)

    @property
    def settled(self) -> bool:
        """Whether nobody is waited for."""
        return not self.box.awaited

    def owed(self, device: bytes) -> tuple[Send, ...]:
        """Return the roster."""
        return (Send(Stage.ROSTER, self._roster, (device,)),)

    def take(self, device: bytes, body: bytes, now: float) -> KeepEvidence | None:
        """Take a seeder's nonce; one that it did not commit to is none."""
        session, reveal = self._session, Reveal.decode(body)
        expected = (session.offer_hash, session.roster_digest)
        if (reveal.offer_hash, reveal.roster_digest) != expected:
            raise AuthenticationError("a nonce for another offer or roster")
        entry = session.entry(session.index_of[device])
        reveal.verify(entry.certificate.ik)
        if nonce_commitment(reveal.nonce, session.offer_hash, device) != entry.nonce_commitment:
            self.box.leave(device)
            raise Ignored(RefusalCode.G1, "a nonce that the seeder did not commit to")
        return self.box.put(device, reveal)

    def next(self, gone: Iterable[bytes]) -> Sharing | None:
        """Return the stage that knows the graph; None when a nonce is missing (6.3)."""
        session, answers = self._session, self.box.answers
        if len(answers) < len(session.seeders):
            return None
        reveals = [(index, answers[session.ids[index]]) for index in session.seeders]
        listed = tuple((index, reveal.nonce, reveal.signature) for index, reveal in reveals)
        seed = Seed(session.roster_digest, listed).sign(self._identity.signing)
        nonces = [reveal.nonce for _, reveal in reveals]
        settled = session.with_seed(graph_seed(session.roster_digest, nonces))
        return Sharing(self._identity, settled, self._commitments, gone, seed.encode())


class Sharing:
    """ROSTERED, in profile K SEEDED: the members deal their shares."""

    ACCEPTS: ClassVar[Stage] = Stage.SHARES

    def __init__(
        self,
        identity: Identity,
        session: Session,
        commitments: tuple[tuple[bytes, ...], ...],
        gone: Iterable[bytes],
        seed: bytes = b"",
    ) -> None:
        self._identity = identity
        self._session = session
        self._commitments = commitments
        self._roster = session.roster.encode()
        self._seed = seed
        self.box: Mailbox[Shares] = Mailbox(RefusalCode.R3, session.ids, gone)

    @property
    def settled(self) -> bool:
        """Whether nobody is waited for."""
        return not self.box.awaited

    @property
    def seeded(self) -> bool:
        """Whether a random graph was seeded for these shares (profile K)."""
        return bool(self._seed)

    def owed(self, device: bytes) -> tuple[Send, ...]:
        """Return the roster, in profile K the seed, and the device's peer keys.

        Who was shown the roster already only says so again; who was away needs it.
        """
        session, to = self._session, (device,)
        around = session.graph.neighbours(session.index_of[device])
        keys = tuple(session.keys[index] for index in around)
        peer_keys = PeerKeys(session.roster_digest, keys).encode()
        seed = (Send(Stage.SEED, self._seed, to),) if self._seed else ()
        return (Send(Stage.ROSTER, self._roster, to), *seed, Send(Stage.PEER_KEYS, peer_keys, to))

    def take(self, device: bytes, body: bytes, now: float) -> KeepEvidence | None:
        """Take a member's Shares; return evidence when they contradict its first ones."""
        session = self._session
        shares = Shares.decode(body, session.offer.rounds)
        own = session.index_of[device]
        if shares.session != session.sid:
            raise AuthenticationError("shares of another session")
        shares.verify(session.entry(own).certificate.ik)
        if tuple(holder for holder, _ in shares.boxes) != session.graph.neighbours(own):
            raise Ignored(RefusalCode.D1, "not one box for each neighbour")
        return self.box.put(device, shares)

    def next(self, gone: Iterable[bytes]) -> Delivering | None:
        """Return the stage for those who dealt, None when they are too few."""
        dealt = self.box.answers
        if len(dealt) < self._session.derived.a_min:
            return None
        index_of = self._session.index_of
        by_index = {index_of[device]: dict(shares.boxes) for device, shares in dealt.items()}
        return Delivering(self._identity, self._session, self._commitments, by_index, gone)

    def handed_out(self, dealers: Collection[bytes]) -> Delivering:
        """Return the stage after this one as it is when every box has arrived already.

        Args:
            dealers: ids of devices that dealt, and answered for the boxes that they got.

        Raises:
            MalformedError: one of them is not in the roster.
        """
        index_of = self._session.index_of
        if not index_of.keys() >= set(dealers):
            raise MalformedError("boxes of a device that is not in the roster")
        by_index: dict[int, dict[int, bytes]] = {index_of[device]: {} for device in dealers}
        return Delivering(self._identity, self._session, self._commitments, by_index, ())


class Delivering:
    """SHARING: the boxes are handed out and the holders say which they can read."""

    ACCEPTS: ClassVar[Stage] = Stage.READY

    def __init__(
        self,
        identity: Identity,
        session: Session,
        commitments: tuple[tuple[bytes, ...], ...],
        dealt: Mapping[int, dict[int, bytes]],
        gone: Iterable[bytes],
    ) -> None:
        self._identity = identity
        self._session = session
        self._commitments = commitments
        self._dealt = dealt
        holders = (session.ids[index] for index in dealt)
        self.box: Mailbox[Ready] = Mailbox(RefusalCode.R3, holders, gone)

    @property
    def settled(self) -> bool:
        """Whether nobody is waited for."""
        return not self.box.awaited

    def owed(self, device: bytes) -> tuple[Send, ...]:
        """Return the boxes for the device."""
        own = self._session.index_of[device]
        dealers = (i for i in self._session.graph.neighbours(own) if i in self._dealt)
        boxes = tuple((i, self._dealt[i][own]) for i in dealers)
        deliver = Deliver(self._session.sid, boxes).sign(self._identity.signing)
        return (Send(Stage.DELIVER, deliver.encode(), (device,)),)

    def take(self, device: bytes, body: bytes, now: float) -> KeepEvidence | None:
        """Take a member's Ready; return evidence when it contradicts its first one."""
        session = self._session
        ready = Ready.decode(body, session.n)
        if ready.session != session.sid:
            raise AuthenticationError("ready in another session")
        ready.verify(session.entry(session.index_of[device]).certificate.ik)
        return self.box.put(device, ready)

    def next(self) -> Cohort | None:
        """Return the cohort: who is ready and can be reconstructed; None when too few (6.7)."""
        session = self._session
        good = {session.index_of[device]: ready.good for device, ready in self.box.answers.items()}
        t, spare = session.derived.t, -(-session.offer.delta_ppm * session.derived.t // MILLION)
        members: dict[int, frozenset[int]] = {}
        for dealer, held in good.items():
            around = session.graph.neighbours(dealer)
            if sum(dealer in good.get(i, ()) for i in around) >= min(t + spare, len(around)):
                members[dealer] = held
        if len(members) < session.derived.a_min:
            return None
        blame = Blame(session.derived.liars)
        return Cohort(session, self._commitments, members, blame)
