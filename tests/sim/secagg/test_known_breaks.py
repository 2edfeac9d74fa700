"""Classes of defects that secure aggregation has been broken by elsewhere, each tried here.

Every test names the defect, drives both ends where there are two, and fails where this
implementation would have it. n = 10, a = 1, t = q = 6, A_min = 9, u_min = 8 unless said otherwise.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import dreamshare_crypto
from dreamshare_crypto.encoding import Params
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.prg import expand
from dreamshare_crypto.secagg.epoch_messages import PeerKeys, Roster, Shares
from dreamshare_crypto.secagg.events import Received, RoundAbandoned, Stage, Summed
from dreamshare_crypto.secagg.masking import self_mask_key, signed_pair_masks
from dreamshare_crypto.secagg.phases import Live
from dreamshare_crypto.secagg.schedule import pair_key
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import Suite
from dreamshare_crypto.transcript import encode_bitmap
from tests.sim.secagg.attacks import ask, show
from tests.sim.secagg.federation import make_terms, payload_of, spec_terms
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.hostile import PAYLOAD, Hostile, dropped, ready_cohort

SUITES = tuple(Suite)
CRYPTO = Path(dreamshare_crypto.__file__).parent


@pytest.fixture
def hostile() -> Hostile:
    return ready_cohort()


# ---- masks ---------------------------------------------------------------------------------------


def fold(key: bytes) -> int:
    """XOR of the key's eight 32-bit words."""
    return int(np.bitwise_xor.reduce(np.frombuffer(key, np.uint32)))


@pytest.mark.parametrize("suite", SUITES)
def test_seed_folded_to_32_bits(suite: Suite) -> None:
    """A seed cut or folded to a machine word: every one of its 256 bits must change the mask."""
    key = bytes(range(32))
    streams = {expand(Secret(key), 64, suite)}
    for bit in range(256):
        changed = bytearray(key)
        changed[bit // 8] ^= 1 << (bit % 8)
        streams.add(expand(Secret(bytes(changed)), 64, suite))
    assert len(streams) == 257
    twin = bytearray(key)
    twin[0] ^= 0x55
    twin[4] ^= 0x55
    assert fold(bytes(twin)) == fold(key)
    assert expand(Secret(bytes(twin)), 64, suite) not in {expand(Secret(key), 64, suite)}


def test_every_bit_of_a_device_secret_counts() -> None:
    """The same for s, from which the key of the own mask comes (section 3)."""
    s, context = bytes(range(32)), bytes(32)
    keys = set()
    for bit in range(256):
        changed = bytearray(s)
        changed[bit // 8] ^= 1 << (bit % 8)
        keys.add(self_mask_key(Secret(bytes(changed)), context, bytes(16)).reveal())
    assert len(keys) == 256


@pytest.mark.parametrize("suite", SUITES)
def test_masks_are_uniform(suite: Suite) -> None:
    """A generator that never gives the top residue, or prefers some: 2^20 words of one key.

    16-bit lanes: 2^22 draws over 65,536 values, 64 expected of each, so each occurs (that one is
    missing has probability e^-64), the top one too. Chi-square with 65,535 degrees of freedom has
    mean 65,535 and deviation sqrt(2 * 65,535) = 362; 5 deviations are allowed, the key is fixed.
    """
    lanes = np.frombuffer(expand(Secret(b"k" * 32), 2**23, suite), "<u2")
    counts = np.bincount(lanes, minlength=2**16)
    assert counts.min() > 0
    assert counts[0xFFFF] > 0
    expected = lanes.size / 2**16
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert abs(chi_square - 65_535) < 5 * 362


def test_masked_words_use_all_64_bits(hostile: Hostile) -> None:
    """Masks narrower than the word: every bit of every word of the vectors gets masked.

    10 devices, 4 rounds; that a bit of 3 words is the same in all 40 has probability 192 * 2^-39.
    """
    vectors = []
    for r in range(4):
        payload = payload_of(f"round {r}")
        start = hostile.start(r, payload=payload)
        for number in range(10):
            hostile.give_start(number, start, payload)
            vectors.append(np.frombuffer(hostile.vector(number).vector, "<u8"))
    assert (np.bitwise_or.reduce(vectors) == np.uint64(2**64 - 1)).all()
    assert (np.bitwise_and.reduce(vectors) == 0).all()


def test_one_shared_key_for_all(hostile: Hostile) -> None:
    """One key for the whole cohort: every pair has its own, in each round another."""
    context = hostile.start().context()
    session, keys = hostile.session, set()
    for r in (0, 1):
        for low, high in combinations(range(10), 2):
            secrets = hostile.secrets_of(low, r)
            own = pair_key(secrets.p, session.offer_hash, session.ids[low], r)
            peers = (session.peer(high, r),)
            ((key, _),) = signed_pair_masks(own, session.ids[low], peers, context)
            keys.add(key.reveal())
        keys |= {
            self_mask_key(hostile.secrets_of(i, r).s, context, session.ids[i]).reveal()
            for i in range(10)
        }
    assert len(keys) == 2 * (45 + 10)


def test_key_used_in_two_rounds() -> None:
    """Fixed pair secrets without a round in them: one input, two rounds, two unrelated vectors."""
    hostile = ready_cohort()
    starts = [hostile.start(r, payload=payload_of(f"round {r}")) for r in (0, 1)]
    vectors = []
    for r, start in enumerate(starts):
        hostile.give_start(0, start, payload_of(f"round {r}"))
        vectors.append(np.frombuffer(hostile.vector(0).vector, "<u8"))
    inputs = [hostile.cohort.parties[0].vectors[r][0] for r in (0, 1)]
    assert (np.abs(inputs[0] - inputs[1]) < 0.01).all()
    difference = vectors[0] - vectors[1]
    assert (np.minimum(difference, ~difference) > 2**48).all()


# ---- who gets which share ------------------------------------------------------------------------


def test_alive_and_dead_at_once(hostile: Hostile) -> None:
    """A request that lists a device as alive and as dead: it cannot be written down (M1)."""
    start = hostile.start()
    hostile.give_start(0, start)
    shown = hostile.survivors(start, range(9))
    dead = encode_bitmap([0, 9], 10)
    body = shown.statement() + dead
    signed = body + hostile.key.sign(type(shown).LABEL, body)
    dropped(hostile, Stage.SURVIVORS, signed, "M1")
    assert hostile.shares_sent() == 0


def test_both_kinds_in_turn(hostile: Hostile) -> None:
    """First as alive, then as dead: the second request is evidence against who asks (U4)."""
    start = hostile.start()
    for number in range(10):
        hostile.give_start(number, start)
    ask(hostile, show(hostile, start, range(10), range(10)))
    ask(hostile, show(hostile, start, range(1, 10), range(1, 10)))
    assert [len(p.sent(Stage.UNMASK_RESPONSE)) for p in hostile.cohort.parties] == [1] * 10
    assert [p.refusals() for p in hostile.cohort.parties[1:]] == [["U4"]] * 9
    assert all(p.evidence() for p in hostile.cohort.parties[1:])


def test_unmask_before_the_vector(hostile: Hostile) -> None:
    """A request that comes before the device's vector left opens nothing (U1)."""
    start = hostile.start()
    party = hostile.cohort.parties[0]
    party.handle(Received(Stage.ROUND_START, start.encode(), PAYLOAD), hostile.cohort.now)
    shown = hostile.survivors(start, range(10))
    dropped(hostile, Stage.SURVIVORS, shown.encode(), "U1")
    dropped(hostile, Stage.AGREE_SET, hostile.agree_set(shown, range(6)).encode(), "U1")
    assert hostile.shares_sent() == 0


def test_resurrection(hostile: Hostile) -> None:
    """A device that was dead in a round comes back in its survivors: refused (U2)."""
    start = hostile.start(active=range(9))
    hostile.give_start(0, start)
    hostile.give(0, hostile.survivors(start, range(10)))
    assert hostile.cohort.parties[0].refusals() == ["U2"]


def test_duplicates_towards_the_threshold(hostile: Hostile) -> None:
    """One signer, or one answer, counted t times: neither end is fooled."""
    start = hostile.start()
    hostile.give_start(0, start)
    shown = hostile.survivors(start, range(10))
    hostile.give(0, shown)
    hostile.give(0, hostile.agree_set(shown, [1] * 6))
    assert hostile.cohort.parties[0].refusals() == ["Q1"]
    assert hostile.shares_sent() == 0
    bits = encode_bitmap([1, 1, 1], 10)
    assert bits == encode_bitmap([1], 10)  # a bitmap cannot count anybody twice

    cohort = Cohort(10, spec_terms())
    cohort.set_up()
    cohort.open()
    answers: list[tuple[int, bytes]] = []
    for _ in range(20):
        while cohort.down:
            cohort.give(*cohort.down.pop(0))
        while cohort.up:
            number, stage, body = cohort.up.pop(0)
            if stage is Stage.UNMASK_RESPONSE:
                answers.append((number, body))
            else:
                cohort.arrive(number, stage, body)
    assert len(answers) == 10
    for _ in range(6):
        cohort.arrive(*(answers[0][0], Stage.UNMASK_RESPONSE, answers[0][1]))
    assert cohort.outcome() is None
    for number, body in answers[1:]:
        cohort.arrive(number, Stage.UNMASK_RESPONSE, body)
    assert isinstance(cohort.outcome(), Summed)


def test_drop_before_sharing() -> None:
    """A device that vanishes before its shares are dealt: the rest goes on, with an exact sum."""
    cohort = Cohort(10)
    cohort.set_up(lambda number, stage: (number, stage) != (3, Stage.SHARES))
    assert cohort.parties[3].id not in cohort.server.members
    ended = cohort.run_round()
    assert isinstance(ended, Summed)
    rest = [i for i in range(10) if i != 3]
    np.testing.assert_allclose(ended.sums[0], cohort.expected_sum(0, rest), atol=1e-9)


def test_shares_in_the_aggregators_hands() -> None:
    """Shares that pass through the aggregator in clear: no message of the set-up holds one."""
    cohort = Cohort(5)
    sent: list[bytes] = []
    take = cohort.arrive

    def noting(number: int, stage: Stage, body: bytes):
        sent.append(body)
        return take(number, stage, body)

    cohort.arrive = noting  # type: ignore[method-assign]
    cohort.set_up()
    said = b"".join(sent)
    for party in cohort.parties:
        phase = party.client.phase
        assert isinstance(phase, Live)
        for r in range(cohort.terms.rounds):
            secrets = phase.member.vault.open(r)
            held = {share for pair in secrets.shares.values() for share in pair} - {b""}
            assert len(held) == 9  # two of each other dealer, and the own s-share
            for secret in (secrets.p.reveal(), secrets.s.reveal(), *held):
                assert secret not in said


def test_nonces_are_never_used_twice() -> None:
    """One nonce under one key for two boxes: over two epochs every box has its own."""
    cohort = Cohort(5, make_terms(rounds=1))
    cohort.set_up()
    cohort.server = cohort.new_server(epoch=2)
    cohort.set_up()
    boxes = []
    for party in cohort.parties:
        bodies = party.sent(Stage.SHARES)
        assert len(bodies) == 2
        boxes += [box for body in bodies for _, box in Shares.decode(body, 1).boxes]
    assert len(boxes) == 2 * 5 * 4
    assert len({box[:12] for box in boxes}) == len(boxes)
    assert len(set(boxes)) == len(boxes)


# ---- keys that nobody signed ---------------------------------------------------------------------


def in_the_middle(cohort: Cohort, stage: Stage) -> None:
    """Let the aggregator put keys of its own in the place of device 1's."""
    cohort.start()
    while not cohort.parties[0].refusals() and cohort.down:
        for number, s, body in cohort.down[:]:
            if s is stage is Stage.ROSTER and number == 0:
                roster = Roster.decode(body)
                other = replace(roster.entries[1], box_pk=(9).to_bytes(32, "little"))
                entries = (roster.entries[0], other, *roster.entries[2:])
                body = replace(roster, entries=entries).sign(cohort.aggregator.signing).encode()
            if s is stage is Stage.PEER_KEYS and number == 0:
                keys = PeerKeys.decode(body, 4, cohort.terms.rounds)
                mine = (9).to_bytes(32, "little") + keys.keys[0][32:]
                body = replace(keys, keys=(mine, *keys.keys[1:])).encode()
            cohort.give(number, s, body)
        cohort.down.clear()
        ups, cohort.up = cohort.up, []
        for number, s, body in ups:
            cohort.arrive(number, s, body)


@pytest.mark.parametrize(("stage", "code"), [(Stage.ROSTER, "R1"), (Stage.PEER_KEYS, "G2")])
def test_man_in_the_middle(stage: Stage, code: str) -> None:
    """Public keys that go through the aggregator unsigned: an exchanged one is noticed."""
    cohort = Cohort(5)
    in_the_middle(cohort, stage)
    assert cohort.parties[0].refusals() == [code]
    assert cohort.parties[0].sent(Stage.SHARES) == []


# ---- what else an answer shows -------------------------------------------------------------------


class Inputs(Cohort):
    """A cohort with given inputs."""

    value = 0.0
    weight = 1.0

    def update_of(
        self, number: int, round_: int, params: Params
    ) -> tuple[tuple[np.ndarray, ...], float]:
        return tuple(np.full(f.dims, self.value) for f in params.fields), self.weight


def said_in_a_round(value: float, weight: float) -> Sequence[tuple[int, Stage, bytes]]:
    cohort = Inputs(10, spec_terms())
    cohort.value, cohort.weight = value, weight
    cohort.set_up()
    said: list[tuple[int, Stage, bytes]] = []
    take = cohort.arrive

    def noting(number: int, stage: Stage, body: bytes):
        said.append((number, stage, body))
        return take(number, stage, body)

    cohort.arrive = noting  # type: ignore[method-assign]
    assert isinstance(cohort.run_round(payload=PAYLOAD), Summed)
    return said


@pytest.mark.parametrize(
    ("value", "weight"),
    [
        pytest.param(0.25, 0.5, id="weight_in_clear"),
        pytest.param(1.0, 1.0, id="clip_saturation"),  # every coordinate at the clip
        pytest.param(5.0, 1.0, id="beyond_the_clip"),
    ],
)
def test_only_the_masked_vector_depends_on_the_input(value: float, weight: float) -> None:
    """Weights beside the vector, or a bit that says 'clipped': the same entropy, other inputs."""
    plain, other = said_in_a_round(0.25, 1.0), said_in_a_round(value, weight)
    assert len(plain) == len(other)
    for (number, stage, body), (number_2, stage_2, body_2) in zip(plain, other, strict=True):
        assert (number, stage, len(body)) == (number_2, stage_2, len(body_2))
        if stage is Stage.MASKED_INPUT:
            assert body[:68] == body_2[:68]  # sid, r, rctx
            assert body != body_2
        else:
            assert body == body_2


def test_a_round_with_too_few_is_given_up() -> None:
    """A sum that is published although fewer answered than the threshold: nothing comes out."""
    cohort = Cohort(10, spec_terms())
    cohort.set_up()
    ended = cohort.run_round(lambda n, stage: n < 5 or stage is not Stage.UNMASK_RESPONSE)
    assert isinstance(ended, RoundAbandoned)


# ---- where randomness comes from -----------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(CRYPTO.rglob("*.py")), ids=lambda p: p.stem)
def test_no_statistical_generator(path: Path) -> None:
    """Keys or masks from a statistical generator: the room imports none, and one system source."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names):
                imported |= {alias.name for alias in names}
            case ast.ImportFrom(module=str() as module, names=names):
                imported |= {module, *(f"{module}.{alias.name}" for alias in names)}
            case ast.Attribute(ast.Name("np" | "numpy"), "random"):
                imported.add("numpy.random")
            case ast.Attribute(ast.Name("os"), "urandom"):
                imported.add("os.urandom")
    banned = {"random", "numpy.random", "secrets", "uuid"}
    assert not imported & banned
    assert "os.urandom" not in imported or path.name == "entropy.py"


def test_entropy_decides_everything(hostile: Hostile) -> None:
    """Randomness that nobody can repeat or replace: two cohorts of one seed say the same bytes."""
    one, other = said_in_a_round(0.5, 1.0), said_in_a_round(0.5, 1.0)
    assert one == other
    assert hostile.cohort.parties[0].client.counts.get(RefusalCode.M1) is None
