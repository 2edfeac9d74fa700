"""What a device refuses in peer keys and boxes: tests 39, 40, 43 and 59 of section 16."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.keys import AgreementKey
from dreamshare_crypto.secagg.epoch_messages import Advertise, Deliver, PeerKeys, Roster
from dreamshare_crypto.secagg.events import Arrived, EndReason, EpochOver, Refuse, Send, Stage
from dreamshare_crypto.secagg.masking import Peer, pair_mask_key
from dreamshare_crypto.secagg.phases import Idle, Ready, Rostered, Shared
from tests.sim.secagg.federation import make_terms
from tests.sim.secagg.harness import Cohort

ROUNDS = 4


def at_stage(stage: Stage, n: int = 5, cohort: Cohort | None = None) -> Cohort:
    """Return a cohort with the messages of `stage` ready and not given to anybody."""
    cohort = Cohort(n) if cohort is None else cohort
    cohort.start()
    while cohort.down and not any(s is stage for _, s, _ in cohort.down):
        while cohort.down:
            cohort.give(*cohort.down.pop(0))
        while cohort.up:
            number, s, body = cohort.up.pop(0)
            cohort.arrive(number, s, body)
    for number, s, body in [m for m in cohort.down if m[1] is not stage]:
        cohort.give(number, s, body)
    cohort.down = [m for m in cohort.down if m[1] is stage]
    return cohort


def for_device(cohort: Cohort, number: int = 0) -> bytes:
    return next(body for n, _, body in cohort.down if n == number)


def ends_epoch(cohort: Cohort, stage: Stage, body: bytes, code: str) -> None:
    party = cohort.parties[0]
    effects = cohort.give(0, stage, body)
    assert [type(e) for e in effects if isinstance(e, Refuse | Send)] == [Refuse]
    assert party.refusals() == [code]
    assert EpochOver(EndReason.REFUSED) in effects
    assert isinstance(party.client.phase, Idle)


def is_dropped(cohort: Cohort, stage: Stage, body: bytes, code: str) -> None:
    client = cohort.parties[0].client
    before = client.phase
    assert cohort.give(0, stage, body) == ()
    assert client.phase is before
    assert client.counts == {RefusalCode(code): 1}


# ---- peer keys -----------------------------------------------------------------------------------


@pytest.fixture
def rostered() -> Cohort:
    cohort = at_stage(Stage.PEER_KEYS)
    assert isinstance(cohort.parties[0].client.phase, Rostered)
    return cohort


def peer_keys(cohort: Cohort) -> PeerKeys:
    return PeerKeys.decode(for_device(cohort), 4, ROUNDS)


def test_peer_keys_of_other_roster(rostered: Cohort) -> None:
    other = replace(peer_keys(rostered), roster_digest=bytes(32))
    is_dropped(rostered, Stage.PEER_KEYS, other.encode(), "M2")


def test_peer_keys_short(rostered: Cohort) -> None:
    is_dropped(rostered, Stage.PEER_KEYS, for_device(rostered)[:-32], "M1")


def test_peer_keys_swapped(rostered: Cohort) -> None:
    """Each list must hash to what its owner signed: two lists in each other's place do not."""
    keys = peer_keys(rostered).keys
    swapped = PeerKeys(peer_keys(rostered).roster_digest, (keys[1], keys[0], *keys[2:]))
    ends_epoch(rostered, Stage.PEER_KEYS, swapped.encode(), "G2")
    assert rostered.parties[0].sent(Stage.SHARES) == []


class Copier:
    """Device 1 publishes a round key that is not its own, or a weak one, and signs for it."""

    def __init__(self, key: bytes | None, at: int = 2) -> None:
        self.cohort = Cohort(5)
        cohort = self.cohort
        cohort.start()
        while cohort.down:
            cohort.give(*cohort.down.pop(0))
        bodies = {number: body for number, _, body in cohort.up}
        victim = Advertise.decode(bodies[0], ROUNDS)
        liar = Advertise.decode(bodies[1], ROUNDS)
        keys = list(liar.keys)
        keys[at] = victim.keys[at] if key is None else key
        signing = cohort.parties[1].identity.signing
        self.lie = replace(liar, keys=tuple(keys)).sign(signing).encode()
        self.bodies = bodies | {1: self.lie}

    def served(self) -> Cohort:
        """Return the cohort after the aggregator took every advertisement in order."""
        self.cohort.up.clear()
        for number, body in sorted(self.bodies.items()):
            party = self.cohort.parties[number]
            self.cohort.serve(Arrived(party.id, Stage.ADVERTISE, body))
        return self.cohort


ORDER_EIGHT = (  # of the curve of RFC 7748
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
LOW_ORDER = [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18, *ORDER_EIGHT]
NOT_CANONICAL = [2**255 - 19 + 9, 2**255 + 9]


def test_own_key_echoed_is_left_out() -> None:
    """The honest aggregator leaves the later of two equal advertisements out (10.2)."""
    cohort = Copier(None).served()
    assert cohort.server.counts == {RefusalCode.R2: 1}
    cohort.pump()
    cohort.pass_deadline()
    assert len(cohort.server.members) == 4
    assert cohort.parties[1].id not in cohort.server.members


@pytest.mark.parametrize("value", LOW_ORDER + NOT_CANONICAL)
def test_weak_key_is_left_out(value: int) -> None:
    cohort = Copier(value.to_bytes(32, "little")).served()
    assert cohort.server.counts == {RefusalCode.M1: 1}


def hostile_roster(copier: Copier) -> Cohort:
    """Let a hostile aggregator list the liar's entry and hand out the liar's keys."""
    cohort = copier.served()
    advertisements = {
        cohort.parties[number].id: Advertise.decode(body, ROUNDS)
        for number, body in copier.bodies.items()
    }
    ordered = [advertisements[party.id] for party in cohort.parties]
    roster = Roster(ordered[0].offer_hash, tuple(a.entry() for a in ordered))
    roster = roster.sign(cohort.aggregator.signing)
    cohort.give(0, Stage.ROSTER, roster.encode())
    keys = tuple(b"".join(a.keys) for a in ordered[1:])
    cohort.down = [(0, Stage.PEER_KEYS, PeerKeys(roster.digest(), keys).encode())]
    return cohort


def test_own_key_echoed() -> None:
    cohort = hostile_roster(Copier(None))
    ends_epoch(cohort, Stage.PEER_KEYS, for_device(cohort), "G2")


@pytest.mark.parametrize("value", LOW_ORDER)
def test_low_order_peer_key(value: int) -> None:
    cohort = hostile_roster(Copier(value.to_bytes(32, "little")))
    ends_epoch(cohort, Stage.PEER_KEYS, for_device(cohort), "G2")


@pytest.mark.parametrize("value", NOT_CANONICAL)
def test_noncanonical_peer_key(value: int) -> None:
    cohort = hostile_roster(Copier(value.to_bytes(32, "little")))
    ends_epoch(cohort, Stage.PEER_KEYS, for_device(cohort), "G2")


def test_peer_keys_again(rostered: Cohort) -> None:
    party = rostered.parties[0]
    rostered.give(0, Stage.PEER_KEYS, for_device(rostered))
    (shares,), records = party.sent(Stage.SHARES), len(party.journal.records)
    again = rostered.give(0, Stage.PEER_KEYS, for_device(rostered))
    assert again == (Send(Stage.SHARES, shares),)
    assert len(party.journal.records) == records
    other = replace(peer_keys(rostered), keys=peer_keys(rostered).keys[::-1])
    assert rostered.give(0, Stage.PEER_KEYS, other.encode()) == ()


# ---- boxes ---------------------------------------------------------------------------------------


@pytest.fixture
def shared() -> Cohort:
    cohort = at_stage(Stage.DELIVER)
    assert isinstance(cohort.parties[0].client.phase, Shared)
    return cohort


def deliver(cohort: Cohort, number: int = 0) -> Deliver:
    return Deliver.decode(for_device(cohort, number), ROUNDS)


def with_boxes(cohort: Cohort, boxes: dict[int, bytes] | list[tuple[int, bytes]]) -> bytes:
    pairs = tuple(boxes.items()) if isinstance(boxes, dict) else tuple(boxes)
    return replace(deliver(cohort), boxes=pairs).sign(cohort.aggregator.signing).encode()


def good_after(cohort: Cohort, body: bytes) -> frozenset[int]:
    cohort.give(0, Stage.DELIVER, body)
    phase = cohort.parties[0].client.phase
    assert isinstance(phase, Ready)
    return frozenset(phase.member.vault.open(0).shares)


def test_deliver_one_box_spoilt(shared: Cohort) -> None:
    """n = 5, t = 4: one bad box of four leaves three, and with the own shares that is enough."""
    boxes = dict(deliver(shared).boxes)
    boxes[2] = boxes[2][:-1] + bytes([boxes[2][-1] ^ 1])
    assert good_after(shared, with_boxes(shared, boxes)) == {0, 1, 3, 4}


def test_deliver_foreign_box(shared: Cohort) -> None:
    """The box that dealer 2 made for device 1 does not open at device 0."""
    boxes = dict(deliver(shared).boxes) | {2: dict(deliver(shared, 1).boxes)[2]}
    assert good_after(shared, with_boxes(shared, boxes)) == {0, 1, 3, 4}


def test_deliver_box_of_other_dealer(shared: Cohort) -> None:
    """Two dealers' boxes in each other's place: both are bad, and that is one too many."""
    boxes = dict(deliver(shared).boxes)
    boxes[1], boxes[2] = boxes[2], boxes[1]
    ends_epoch(shared, Stage.DELIVER, with_boxes(shared, boxes), "D1")


def test_deliver_swapped_direction(shared: Cohort) -> None:
    """The box that device 0 made for device 2 comes back as device 2's."""
    boxes = dict(deliver(shared).boxes) | {2: dict(deliver(shared, 2).boxes)[0]}
    assert good_after(shared, with_boxes(shared, boxes)) == {0, 1, 3, 4}


def test_deliver_other_epoch_box(shared: Cohort) -> None:
    """A box of the epoch before, between the same two devices."""
    old = dict(deliver(shared).boxes)[2]
    shared.down.clear()
    shared.server = shared.new_server(epoch=2)
    later = at_stage(Stage.DELIVER, cohort=shared)
    boxes = dict(deliver(later).boxes) | {2: old}
    assert good_after(later, with_boxes(later, boxes)) == {0, 1, 3, 4}


def test_deliver_too_few(shared: Cohort) -> None:
    boxes = dict(list(deliver(shared).boxes)[:2])
    ends_epoch(shared, Stage.DELIVER, with_boxes(shared, boxes), "D1")
    assert shared.parties[0].journal.slots.keys() == {"rounding"}


@pytest.mark.parametrize("fault", ["own", "stranger", "twice", "unsorted"])
def test_deliver_of_no_neighbour(shared: Cohort, fault: str) -> None:
    boxes = list(deliver(shared).boxes)
    match fault:
        case "own":
            boxes.insert(0, (0, boxes[0][1]))
        case "stranger":
            boxes.append((5, boxes[0][1]))
        case "twice":
            boxes.insert(1, boxes[0])
        case "unsorted":
            boxes.reverse()
    is_dropped(shared, Stage.DELIVER, with_boxes(shared, boxes), "D1")


def test_deliver_bad_signature_or_session(shared: Cohort) -> None:
    honest = deliver(shared)
    client = shared.parties[0].client
    for body in (
        honest.sign(shared.parties[1].identity.signing).encode(),
        replace(honest, session=bytes(32)).sign(shared.aggregator.signing).encode(),
    ):
        assert shared.give(0, Stage.DELIVER, body) == ()
    assert client.counts == {RefusalCode.M2: 2}


def test_deliver_again(shared: Cohort) -> None:
    party, body = shared.parties[0], for_device(shared)
    shared.give(0, Stage.DELIVER, body)
    (ready,), records = party.sent(Stage.READY), len(party.journal.records)
    assert shared.give(0, Stage.DELIVER, body) == (Send(Stage.READY, ready),)
    assert len(party.journal.records) == records
    other = with_boxes(shared, dict(list(deliver(shared).boxes)[1:]))
    assert shared.give(0, Stage.DELIVER, other) == ()


def test_seed_is_gone_when_ready(shared: Cohort) -> None:
    """After SEED_ERASED the disk holds neither the seed, nor box_sk, nor the wrapping key (59)."""
    party = shared.parties[0]
    phase = party.client.phase
    assert isinstance(phase, Shared)
    seed, box_sk = phase.keys.seed.reveal(), phase.keys.box_key().secret().reveal()
    wrap = party.journal.slots["seed-wrap"].reveal()
    shared.give(0, Stage.DELIVER, for_device(shared))
    disk = b"".join(record.body for record in party.journal.records)
    disk += b"".join(secret.reveal() for secret in party.journal.slots.values())
    for gone in (seed, box_sk, wrap):
        assert gone not in disk


def test_equal_commitments_are_left_out() -> None:
    """Of two advertisements with one commitment list the later stays out (10.2)."""
    cohort = Cohort(5, make_terms())
    cohort.start()
    while cohort.down:
        cohort.give(*cohort.down.pop(0))
    bodies = {number: body for number, _, body in cohort.up}
    cohort.up.clear()
    first, second = (Advertise.decode(bodies[number], ROUNDS) for number in (0, 1))
    copied = replace(second, commitments=first.commitments)
    bodies[1] = copied.sign(cohort.parties[1].identity.signing).encode()
    for number, body in sorted(bodies.items()):
        cohort.arrive(number, Stage.ADVERTISE, body)
    assert cohort.server.counts == {RefusalCode.R2: 1}


def test_copied_round_key_makes_another_mask() -> None:
    """3.2: with the uniqueness check off, a copied key still does not cancel (50).

    Device 1 publishes device 0's key. Seen from device 2, the pair keys with 0 and with 1 differ,
    because both identities are in the key's info; X25519 alone would give the same secret.
    """
    cohort = Cohort(3)
    entropy = cohort.federation.entropy
    victim, other = AgreementKey.generate(entropy), AgreementKey.generate(entropy)
    context = hash_parts("sa2/v1/round", b"a context")
    ids = [party.id for party in cohort.parties]
    masks = [pair_mask_key(other, ids[2], Peer(ids[i], victim.public), context) for i in (0, 1)]
    assert other.exchange(victim.public) == other.exchange(victim.public)
    assert masks[0] != masks[1]
