"""A device's way into an epoch: offer, roster, peer keys, boxes (docs/protocol.md section 6 and 8).

Rules:
- each function takes the phase that its row of the state table names and returns the next one with
  its effects; a refusal is raised and leaves the phase as it was;
- records go before the messages that they cover, in the order of the effects (9.1);
- the seed lives from EPOCH to SESSION; when it goes, boxes that were dealt go with it.
"""

from __future__ import annotations

from dataclasses import replace

from dreamshare_crypto.aead import NONCE_BYTES, seal
from dreamshare_crypto.errors import AuthenticationError, Refused
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.secagg import epoch_checks
from dreamshare_crypto.secagg.dealing import deal, open_boxes, round_secrets
from dreamshare_crypto.secagg.device import Device, Step, end_epoch
from dreamshare_crypto.secagg.epoch_messages import Advertise, Deliver, PeerKeys, Ready, Roster
from dreamshare_crypto.secagg.events import (
    EndReason,
    Forget,
    Keep,
    Persist,
    Send,
    SessionReady,
    Stage,
)
from dreamshare_crypto.secagg.graph_records import DrawnRecord, SeededRecord
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.secagg.phases import (
    Advertised,
    Membership,
    Phase,
    Rostered,
    Shared,
    advertise_of,
    offer_of,
)
from dreamshare_crypto.secagg.phases import Ready as ReadyPhase
from dreamshare_crypto.secagg.records import (
    ROUNDING_SLOT,
    SEED_SLOT,
    EpochRecord,
    RosterRecord,
    SeedErasedRecord,
    SessionRecord,
    SidRecord,
)
from dreamshare_crypto.secagg.refusals import EpochRefused
from dreamshare_crypto.secagg.schedule import SEED_BYTES, EpochKeys, graph_seed
from dreamshare_crypto.secagg.seed_messages import Reveal, Seed
from dreamshare_crypto.secagg.session import Session
from dreamshare_crypto.secagg.vault import CHAIN_BYTES, CHAIN_SLOT, Vault
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import OUTSIDE

_ONCE = bytes(NONCE_BYTES)  # each wrapping key seals one seed


def take_offer(device: Device, phase: Phase, body: bytes, now: float) -> Step:
    """Any phase, EpochOffer: rows O; a new epoch replaces the one that is running (6.1)."""
    offer = EpochOffer.decode(body)
    current = offer_of(phase)
    if current == offer:
        return Step(phase, (Send(Stage.ADVERTISE, advertise_of(phase)),))
    _check_offer(device, offer, current, now)
    keys = EpochKeys(
        seed=Secret(device.entropy.draw(SEED_BYTES), "epoch seed"),
        offer_hash=offer.digest(),
        device=device.identity.id,
    )
    wrap = Secret(device.entropy.draw(SEED_BYTES), "seed wrapping key")
    advertise = make_advertise(device, offer, keys).encode()
    sealed = seal(wrap, _ONCE, keys.seed.reveal(), keys.offer_hash, OUTSIDE)
    device.memory.note_offer(offer)
    return Step(
        Advertised(offer, keys.offer_hash, keys, advertise),
        (
            *end_epoch(current, EndReason.REPLACED),
            Keep(ROUNDING_SLOT, device.rounding),
            Keep(SEED_SLOT, wrap),
            Persist(EpochRecord(offer, sealed, advertise).record()),
            Send(Stage.ADVERTISE, advertise),
        ),
    )


def _check_offer(device: Device, offer: EpochOffer, current: EpochOffer | None, now: float) -> None:
    identity, floor, memory = device.identity, device.floor, device.memory
    epoch_checks.check_offer_addressed(offer, identity.federation, device.task)
    epoch_checks.check_offer_authority(offer, identity.authority_key, now)
    offer.verify(offer.aggregator.ik)
    known = max(memory.revocation_number(offer.federation), identity.revocations.number)
    grace = floor.revocation_grace_s
    epoch_checks.check_offer_revocations(offer, identity.authority_key, known, grace, now)
    highest = memory.highest_epoch(offer.federation, offer.task)
    epoch_checks.check_offer_epoch(offer, current, highest)
    epoch_checks.check_offer_version(offer, floor, memory.highest_version(offer.aggregator.id))
    epoch_checks.check_offer_kind(offer, floor)
    epoch_checks.check_offer_life(offer, floor, now)
    epoch_checks.check_offer_thresholds(offer, floor)
    epoch_checks.check_offer_template(offer, floor)


def make_advertise(device: Device, offer: EpochOffer, keys: EpochKeys) -> Advertise:
    """Return the signed answer to an offer: a function of the seed, so always the same bytes."""
    return Advertise(
        offer_hash=keys.offer_hash,
        certificate=device.identity.certificate,
        box_pk=keys.box_key().public,
        keys=tuple(keys.pair_key(r).public for r in range(offer.rounds)),
        commitments=tuple(keys.commitment(r) for r in range(offer.rounds)),
        nonce_commitment=keys.nonce_commitment(),
    ).sign(device.identity.signing)


def take_roster(device: Device, phase: Advertised, body: bytes, now: float) -> Step:
    """ADVERTISED, Roster: rows R, every entry (6.2); a seeder reveals its nonce (6.3)."""
    roster = device.once.rosters.of((body,), lambda: Roster.decode(body))
    roster.verify(phase.offer.aggregator.ik)
    epoch_checks.check_roster_addressed(roster, phase.offer_hash)
    own = Advertise.decode(phase.advertise, phase.offer.rounds).entry()
    epoch_checks.check_roster_own(roster, own)
    _check_roster(device, phase, roster, now)
    session = _session(device, phase, roster)
    persisted: list[Persist] = []
    if session.regular:
        epoch_checks.check_graph_draws(session, device.memory, now)
        device.memory.note_graph(session.roster_digest, now)
        drawn = DrawnRecord(session.offer.epoch, session.roster_digest, int(now))
        persisted = [Persist(drawn.record(), sync=False)]
    record = RosterRecord(phase.offer.epoch, session.roster_digest, body)
    rostered = make_rostered(device, session, phase.keys, phase.advertise)
    reveal = () if rostered.reveal is None else (Send(Stage.REVEAL, rostered.reveal),)
    return Step(rostered, (*persisted, Persist(record.record()), *reveal))


def _check_roster(device: Device, phase: Advertised, roster: Roster, now: float) -> None:
    """Rows R1 and R2. What another device of the process found holds where it is still the time."""
    key = device.identity.authority_key

    def check() -> range:
        return epoch_checks.check_roster(
            roster, phase.offer, phase.offer_hash, key, now, device.threads
        )

    if int(now) not in device.once.proven.of((roster.digest(), phase.offer_hash, key), check):
        check()


def _session(device: Device, phase: Advertised, roster: Roster) -> Session:
    try:
        return device.once.sessions.of(
            (phase.offer_hash, roster.digest()), lambda: Session.of(phase.offer, roster)
        )
    except Refused as error:
        raise EpochRefused(error.code, str(error)) from None


def make_rostered(device: Device, session: Session, keys: EpochKeys, advertise: bytes) -> Rostered:
    """Return the phase of an accepted roster; a seeder's nonce is a function of its seed (6.3)."""
    own = session.index_of[device.identity.id]
    if own not in session.seeders:
        return Rostered(session, own, keys, advertise)
    reveal = Reveal(session.offer_hash, session.roster_digest, keys.nonce())
    return Rostered(session, own, keys, advertise, reveal.sign(device.identity.signing).encode())


def take_roster_again(session: Session, phase: Phase, body: bytes) -> Step:
    """Later phases, Roster: the same one changes nothing, another one is evidence (R3)."""
    roster = Roster.decode(body)
    roster.verify(session.offer.aggregator.ik)
    epoch_checks.check_roster_addressed(roster, session.offer_hash)
    epoch_checks.check_roster_second(session.roster, roster)
    if isinstance(phase, Rostered) and phase.reveal is not None:
        return Step(phase, (Send(Stage.REVEAL, phase.reveal),))
    return Step(phase)


def take_seed(device: Device, phase: Rostered, body: bytes) -> Step:
    """ROSTERED, Seed (profile K): row G1; the graph is fixed (6.3)."""
    session = phase.session
    if session.settled:
        return take_seed_again(session, phase, body)
    seed = Seed.decode(body)
    epoch_checks.check_seed_addressed(seed, session)
    seed.verify(session.offer.aggregator.ik)

    def settle() -> Session:
        epoch_checks.check_seed(seed, session)
        nonces = [nonce for _, nonce, _ in seed.reveals]
        return session.with_seed(graph_seed(session.roster_digest, nonces))

    settled = device.once.sessions.of((session.offer_hash, session.roster_digest, body), settle)
    record = SeededRecord(session.offer.epoch, settled.seed)
    return Step(replace(phase, session=settled), (Persist(record.record(), sync=False),))


def take_seed_again(session: Session, phase: Phase, body: bytes) -> Step:
    """Later phases, Seed: there is one seed only, for every nonce was committed to."""
    epoch_checks.check_seed_addressed(Seed.decode(body), session)
    return Step(phase)


def take_peer_keys(device: Device, phase: Rostered, body: bytes) -> Step:
    """ROSTERED, PeerKeys: rows G; deal every round's shares (6.4, 6.5)."""
    epoch_checks.check_settled(phase.session)
    session = with_peer_keys(phase.session, phase.own, phase.advertise, body)
    epoch_checks.check_peer_keys(session)
    record = SidRecord(session.offer.epoch, session.sid, body)
    shared = make_shared(device, phase, session, body)
    return Step(shared, (Persist(record.record()), Send(Stage.SHARES, shared.shares)))


def with_peer_keys(session: Session, own: int, advertise: bytes, body: bytes) -> Session:
    """Return the session with the round keys of a PeerKeys message, not checked yet."""
    rounds = session.offer.rounds
    peer_keys = PeerKeys.decode(body, len(session.graph.neighbours(own)), rounds)
    epoch_checks.check_peer_keys_addressed(peer_keys, session)
    own_keys = b"".join(Advertise.decode(advertise, rounds).keys)
    return session.with_peer_keys(peer_keys, own, own_keys)


def make_shared(device: Device, phase: Rostered, session: Session, body: bytes) -> Shared:
    """Return the phase in which the shares are dealt: a function of (seed, sid)."""
    dealt = deal(session, phase.own, phase.keys)
    return Shared(
        session=session,
        own=phase.own,
        keys=phase.keys,
        advertise=phase.advertise,
        shown=hash_parts("sa2/v1/shown", body),
        shares=dealt.shares.sign(device.identity.signing).encode(),
        held=dealt.own,
    )


def take_peer_keys_again(phase: Shared, body: bytes) -> Step:
    """SHARED, PeerKeys: the same ones are answered with the same shares."""
    if hash_parts("sa2/v1/shown", body) != phase.shown:
        raise AuthenticationError("other peer keys after the shares were dealt")
    return Step(phase, (Send(Stage.SHARES, phase.shares),))


def take_boxes(device: Device, phase: Shared, body: bytes) -> Step:
    """SHARED, Deliver: row D; keep the good shares, destroy the seed, say Ready (6.6, 9.3, 9.4)."""
    session = phase.session
    deliver = Deliver.decode(body, session.offer.rounds)
    epoch_checks.check_deliver_addressed(deliver, session)
    deliver.verify(session.offer.aggregator.ik)
    epoch_checks.check_deliver_dealers(deliver, session, phase.own)
    held = open_boxes(session, phase.own, phase.keys, deliver)
    if phase.held:
        held[phase.own] = phase.held
    epoch_checks.check_deliver_enough(frozenset(held), session)
    good = frozenset((*held, phase.own))
    chain = Secret(device.entropy.draw(CHAIN_BYTES), "chain")
    vault = Vault.create(session.sid, chain, round_secrets(session, phase.keys, held))
    ready = Ready(session.sid, session.n, good).sign(device.identity.signing).encode()
    delivered = hash_parts("sa2/v1/shown", body)
    record = SessionRecord(session.sid, session.n, phase.own + 1, vault.sealed, delivered, ready)
    member = Membership(session, phase.own, vault, phase.advertise, delivered, ready)
    return Step(
        ReadyPhase(member),
        (
            Keep(CHAIN_SLOT, vault.slot()),
            Persist(record.record()),
            *erase_seed(session.offer.epoch),
            Send(Stage.READY, ready),
            SessionReady(session.sid, session.ids, session.derived.crowd, session.derived.a),
        ),
    )


def erase_seed(epoch: int) -> tuple[Forget | Persist, ...]:
    """Return the effects that destroy the seed and say that it is gone (9.4)."""
    return (Forget(SEED_SLOT), Persist(SeedErasedRecord(epoch).record()))


def take_boxes_again(member: Membership, phase: Phase, body: bytes) -> Step:
    """Later phases, Deliver: the same boxes are answered with the same Ready."""
    if hash_parts("sa2/v1/shown", body) != member.delivered:
        raise AuthenticationError("other boxes after the session was ready")
    return Step(phase, (Send(Stage.READY, member.ready),))
