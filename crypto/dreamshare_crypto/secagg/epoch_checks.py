"""What a device refuses while an epoch is set up: rows O, R, G and D of docs/protocol.md 10.

Rules:
- one function a row or part of a row, so that a reader finds the row and a test can take it out;
- a check looks and raises, and changes nothing; the functions that call several are at the end of
  each section and fix the order;
- a message that somebody else may have made up is refused without consequence (M2) before anything
  in it is believed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from dreamshare_crypto.certificates import Role, authority_key_id
from dreamshare_crypto.encoding import Params
from dreamshare_crypto.errors import AuthenticationError, MalformedError, RefusalCode
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.graph import Mode, Profile, largest_roster
from dreamshare_crypto.keys import check_public
from dreamshare_crypto.noise import sensitivity
from dreamshare_crypto.parallel import SIGNATURES_A_THREAD, each
from dreamshare_crypto.secagg.epoch_messages import (
    KEY_BYTES,
    Deliver,
    PeerKeys,
    Roster,
    RosterEntry,
    keys_hash,
)
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.secagg.refusals import Contradicted, EpochRefused, Ignored
from dreamshare_crypto.secagg.schedule import nonce_commitment
from dreamshare_crypto.secagg.seed_messages import Reveal, Seed
from dreamshare_crypto.secagg.session import Session

CLOCK_SKEW_S = 300
"""How far ahead of the device's clock an epoch may begin or a deadline exceed its maximum."""
MOST_GRAPHS, DAY_S = 8, 86_400
"""How many rosters of profile K a device takes part in within how many seconds (6.3)."""

# ---- offer ---------------------------------------------------------------------------------------


def check_offer_addressed(offer: EpochOffer, federation: bytes, task: bytes) -> None:
    """M2: the offer is for this federation and this task."""
    if (offer.federation, offer.task) != (federation, task):
        raise AuthenticationError("the offer is for another federation or task")


def check_offer_authority(offer: EpochOffer, authority_key: bytes, now: float) -> None:
    """O3: the pinned authority certified the aggregator, for this federation and this role."""
    if offer.authority_key_id != authority_key_id(authority_key):
        raise EpochRefused(RefusalCode.O3, "the offer names another authority than the pinned one")
    certificate = offer.aggregator
    try:
        certificate.verify(authority_key, now)
    except AuthenticationError as error:
        raise EpochRefused(RefusalCode.O3, f"aggregator: {error}") from None
    if (certificate.federation, certificate.role) != (offer.federation, Role.AGGREGATOR):
        raise EpochRefused(RefusalCode.O3, "the offer's certificate is not an aggregator's here")


def check_offer_revocations(
    offer: EpochOffer, authority_key: bytes, least_number: int, grace_s: float, now: float
) -> None:
    """O3: the authority's list, not stale, none older than seen; the aggregator is not on it."""
    revocations = offer.revocations
    try:
        revocations.verify(authority_key, now, grace_s)
        revocations.check(offer.aggregator)
    except AuthenticationError as error:
        raise EpochRefused(RefusalCode.O3, f"revocation: {error}") from None
    if revocations.federation != offer.federation:
        raise EpochRefused(RefusalCode.O3, "the revocation list is another federation's")
    if revocations.number < least_number:
        raise EpochRefused(
            RefusalCode.O3, f"revocation list {revocations.number} is older than {least_number}"
        )


def check_offer_version(offer: EpochOffer, floor: Floor, seen: int) -> None:
    """O1: a version that the device speaks, no lower than what was offered before (14.6)."""
    if offer.version not in floor.versions or offer.min_version > offer.version:
        raise EpochRefused(RefusalCode.O1, f"version {offer.version} is not spoken here")
    aggregator = offer.aggregator.id
    if offer.version < seen and aggregator not in floor.version_resets:
        raise EpochRefused(
            RefusalCode.O1,
            f"version {offer.version} after version {seen}; where the step back is meant, the "
            f"device's operator resets the versions of aggregator {aggregator.hex()}",
        )


def check_offer_kind(offer: EpochOffer, floor: Floor) -> None:
    """O1: suite, profile and mode that the device's operator allows."""
    if offer.suite not in floor.suites:
        raise EpochRefused(RefusalCode.O1, f"suite {offer.suite} is not allowed")
    if offer.profile not in floor.profiles:
        raise EpochRefused(RefusalCode.O1, f"profile {offer.profile} is not allowed")
    if offer.mode not in floor.modes:
        raise EpochRefused(RefusalCode.O1, f"mode {offer.mode} is not allowed")
    if offer.mode == Mode.BOUNDED and offer.profile != Profile.COMPLETE:
        raise EpochRefused(RefusalCode.O1, "bounded mode needs the complete graph of profile C")
    if offer.mode == Mode.AGREED and offer.d_ppm:
        raise EpochRefused(RefusalCode.O1, "agreed mode with a bound on dropouts")


def check_offer_life(offer: EpochOffer, floor: Floor, now: float) -> None:
    """O1: rounds and life within the floor, and the epoch is now (4.11)."""
    if not 1 <= offer.rounds <= floor.max_rounds:
        raise EpochRefused(RefusalCode.O1, f"{offer.rounds} rounds; at most {floor.max_rounds}")
    if not 1 <= offer.life_s <= floor.max_life_s:
        raise EpochRefused(
            RefusalCode.O1, f"a life of {offer.life_s} s; at most {floor.max_life_s}"
        )
    if offer.not_before > now + CLOCK_SKEW_S:
        raise EpochRefused(RefusalCode.O1, "the epoch begins in the future; check the clocks")
    if now >= offer.ends:
        raise EpochRefused(RefusalCode.O1, "the epoch is over")


def check_offer_thresholds(offer: EpochOffer, floor: Floor) -> None:
    """O1: claims no weaker than the floor's (4.1, 4.12)."""
    if offer.gamma_ppm < floor.gamma_ppm:
        raise EpochRefused(RefusalCode.O1, f"gamma {offer.gamma_ppm} ppm; {floor.gamma_ppm} asked")
    if offer.sigma < floor.sigma:
        raise EpochRefused(RefusalCode.O1, f"sigma {offer.sigma} bits; {floor.sigma} asked")
    if offer.least_cohort < floor.least_cohort:
        raise EpochRefused(
            RefusalCode.O1, f"a cohort of {offer.least_cohort}; {floor.least_cohort} asked"
        )
    largest = largest_roster(offer.profile)
    if not offer.least_cohort <= offer.n_max <= largest:
        raise EpochRefused(
            RefusalCode.O1,
            f"n_max {offer.n_max}; a roster of profile {offer.profile} takes {largest}",
        )


def check_offer_template(offer: EpochOffer, floor: Floor) -> None:
    """O1: every step's encoding is within the floor, its noise included."""
    if not offer.template:
        raise EpochRefused(RefusalCode.O1, "the offer's template has no step")
    for step in offer.template:
        fault = _encoding_fault(step.params, offer, floor)
        if fault:
            raise EpochRefused(RefusalCode.O1, f"step {step.step!r}: {fault}")


def _encoding_fault(params: Params, offer: EpochOffer, floor: Floor) -> str:
    if params.mode != offer.mode or params.d:
        return "its mode is not the offer's, or it names dropouts"
    if params.n_max != offer.n_max:
        return f"its n_max {params.n_max} is not the offer's {offer.n_max}"
    noise = sensitivity(params).multiplier
    if noise < floor.min_noise:
        return f"noise of {noise:.3g} times what one device can do; {floor.min_noise:.3g} is asked"
    if not noise and math.isfinite(floor.epsilon):
        return "it has no noise, and this device has a privacy budget"
    if params.words > floor.max_vector_words:
        return f"a vector of {params.words} words; at most {floor.max_vector_words}"
    for field in params.fields:
        if not floor.min_bits <= field.bits <= floor.max_bits:
            return f"{field.bits} bits; {floor.min_bits} to {floor.max_bits} are allowed"
        if field.clip > floor.max_clip:
            return f"a clip of {field.clip}; at most {floor.max_clip}"
    return ""


def check_offer_epoch(offer: EpochOffer, current: EpochOffer | None, highest: int) -> None:
    """O2: a newer epoch than any seen for the task; a second offer of one epoch is evidence."""
    one_signer = current is not None and offer.aggregator.id == current.aggregator.id
    if current is not None and one_signer and offer.epoch == current.epoch:
        raise Contradicted(
            RefusalCode.O2, "two offers of one epoch", current.encode(), offer.encode()
        )
    if offer.epoch <= highest:
        raise EpochRefused(RefusalCode.O2, f"epoch {offer.epoch} after epoch {highest}")


# ---- roster --------------------------------------------------------------------------------------


def check_roster_size(roster: Roster, offer: EpochOffer) -> None:
    """R2: a roster of at least the least cohort and at most n_max."""
    n = len(roster.entries)
    if not max(3, offer.least_cohort) <= n <= offer.n_max:
        raise EpochRefused(
            RefusalCode.R2, f"a roster of {n}; {offer.least_cohort} to {offer.n_max} were offered"
        )


def check_roster_unique(roster: Roster) -> None:
    """R2: sorted by id, and no id, ik, box_pk or round key list twice."""
    ids = [entry.id for entry in roster.entries]
    if any(a >= b for a, b in pairwise(ids)):
        raise EpochRefused(RefusalCode.R2, "the roster is not sorted by id, or repeats one")
    for name, values in (
        ("ik", [entry.certificate.ik for entry in roster.entries]),
        ("box key", [entry.box_pk for entry in roster.entries]),
        ("list of round keys", [entry.keys_hash for entry in roster.entries]),
    ):
        if len(set(values)) != len(values):
            raise EpochRefused(RefusalCode.R2, f"two roster entries have one {name}")


def check_roster_own(roster: Roster, own: RosterEntry) -> None:
    """R2: the own entry is there, byte for byte."""
    if own not in roster.entries:
        raise EpochRefused(RefusalCode.R2, "the own roster entry is missing or altered")


def check_roster_entry(
    entry: RosterEntry, offer: EpochOffer, offer_hash: bytes, authority_key: bytes, now: float
) -> None:
    """R1: a certified, valid, unrevoked device of this federation signed this for this offer."""
    certificate = entry.certificate
    try:
        certificate.verify(authority_key, now)
        offer.revocations.check(certificate)
        entry.verify(offer_hash)
        check_public(entry.box_pk)
    except (AuthenticationError, MalformedError) as error:
        raise EpochRefused(RefusalCode.R1, f"roster entry: {error}") from None
    if (certificate.federation, certificate.role) != (offer.federation, Role.DEVICE):
        raise EpochRefused(RefusalCode.R1, "a roster entry is not a device of this federation")


def check_roster_addressed(roster: Roster, offer_hash: bytes) -> None:
    """M2: the roster names this offer; a late one of an earlier epoch changes nothing (17.26)."""
    if roster.offer_hash != offer_hash:
        raise AuthenticationError("the roster belongs to another offer")


def check_roster(
    roster: Roster,
    offer: EpochOffer,
    offer_hash: bytes,
    authority_key: bytes,
    now: float,
    threads: int = 1,
) -> range:
    """Rows R1 and R2: every entry is looked at, not only one's own neighbours (6.2).

    At most `threads` check signatures, two an entry; the first entry that fails is the one named.

    Returns:
        The seconds within which this result holds: `now` enters as the certificates' validity only.
    """
    check_roster_size(roster, offer)
    check_roster_unique(roster)
    each(
        roster.entries,
        lambda entry: check_roster_entry(entry, offer, offer_hash, authority_key, now),
        threads,
        SIGNATURES_A_THREAD,
    )
    certificates = [entry.certificate for entry in roster.entries]
    since = max(certificate.not_before for certificate in certificates)
    return range(since, min(certificate.not_after for certificate in certificates))


def check_roster_second(first: Roster, second: Roster) -> None:
    """R3: one epoch has one roster; `second` comes after `first` was accepted."""
    if second.digest() != first.digest():
        raise Contradicted(
            RefusalCode.R3, "two rosters of one epoch", first.encode(), second.encode()
        )


# ---- seed of the graph ---------------------------------------------------------------------------


def check_graph_draws(session: Session, memory: Memory, now: float) -> None:
    """G1: the aggregator can draw another graph with another roster, but few times a day (15.7)."""
    if memory.other_graphs(session.roster_digest, now - DAY_S) >= MOST_GRAPHS:
        raise EpochRefused(
            RefusalCode.G1, f"{MOST_GRAPHS} random graphs within 24 hours; no further one yet"
        )


def check_seed_addressed(seed: Seed, session: Session) -> None:
    """M2: the nonces come with this roster, and its graph is random."""
    if not session.regular or seed.roster_digest != session.roster_digest:
        raise AuthenticationError("the seed belongs to another roster")


def check_seed(seed: Seed, session: Session) -> None:
    """G1: the nonce of every seeder, in seeder order, each the one it committed to and signed."""
    if tuple(index for index, _, _ in seed.reveals) != session.seeders:
        raise EpochRefused(
            RefusalCode.G1, f"the nonces are not those of the {len(session.seeders)} seeders"
        )
    for index, nonce, signature in seed.reveals:
        entry = session.entry(index)
        if nonce_commitment(nonce, session.offer_hash, entry.id) != entry.nonce_commitment:
            raise EpochRefused(RefusalCode.G1, "a seeder's nonce is not the one it committed to")
        reveal = Reveal(session.offer_hash, session.roster_digest, nonce, signature=signature)
        try:
            reveal.verify(entry.certificate.ik)
        except AuthenticationError as error:
            raise EpochRefused(RefusalCode.G1, f"seeder: {error}") from None


# ---- peer keys -----------------------------------------------------------------------------------


def check_settled(session: Session) -> None:
    """G1 (X): nobody's keys are looked at before the graph says whose neighbours they are."""
    if not session.settled:
        raise Ignored(RefusalCode.G1, "peer keys before the seed of the graph")


def check_peer_keys_addressed(peer_keys: PeerKeys, session: Session) -> None:
    """M2: the keys come with this roster."""
    if peer_keys.roster_digest != session.roster_digest:
        raise AuthenticationError("the peer keys belong to another roster")


def check_peer_keys(session: Session) -> None:
    """G2: each list is what its owner signed; within a round no key is weak or used twice."""
    for index, keys in session.keys.items():
        if keys_hash(keys) != session.entry(index).keys_hash:
            raise EpochRefused(RefusalCode.G2, "a list of round keys is not its owner's")
    for r in range(session.offer.rounds):
        _check_round_keys(
            [keys[KEY_BYTES * r : KEY_BYTES * (r + 1)] for keys in session.keys.values()]
        )


def _check_round_keys(keys: Sequence[bytes]) -> None:
    if len(set(keys)) != len(keys):
        raise EpochRefused(RefusalCode.G2, "two devices have one round key")
    try:
        for key in keys:
            check_public(key)
    except MalformedError as error:
        raise EpochRefused(RefusalCode.G2, f"round key: {error}") from None


# ---- boxes ---------------------------------------------------------------------------------------


def check_deliver_addressed(deliver: Deliver, session: Session) -> None:
    """M2: the boxes come with this session."""
    if deliver.session != session.sid:
        raise AuthenticationError("the boxes belong to another session")


def check_deliver_dealers(deliver: Deliver, session: Session, own: int) -> None:
    """D1 (X): boxes of neighbours only, ascending and none twice."""
    dealers = [index for index, _ in deliver.boxes]
    if any(a >= b for a, b in pairwise(dealers)):
        raise Ignored(RefusalCode.D1, "boxes are not sorted by dealer, or one has two")
    if not set(session.graph.neighbours(own)).issuperset(dealers):
        raise Ignored(RefusalCode.D1, "a box of somebody who is no neighbour")


def check_deliver_enough(held: frozenset[int], session: Session) -> None:
    """D1 (E): the device holds shares of at least t dealers, in profile C its own among them."""
    if len(held) < session.derived.t:
        raise EpochRefused(
            RefusalCode.D1, f"shares of {len(held)} dealers; {session.derived.t} are needed"
        )
