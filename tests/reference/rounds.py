"""A round of section 7 with honest parties, from RoundStart to RoundResult."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference import messages
from tests.reference.aggregator import check_pair, check_self, rebuilt, unmasked
from tests.reference.cast import NOW, TASK, round_params
from tests.reference.device import PAIR, SELF, masked
from tests.reference.finder import PROFILE_K
from tests.reference.lanes import (
    AGREED,
    Params,
    decode_sum,
    pack,
    quantise,
    rounding_stream,
    unpack,
    weight_word,
    words_bytes,
)
from tests.reference.session import round_context
from tests.reference.setup import SetUp
from tests.reference.values import H, bitmap, element, evaluate


@dataclass(frozen=True, slots=True)
class Round:
    """One finished round. Mappings are by roster index."""

    r: int
    active: tuple[int, ...]
    payload: tuple[bytes, bytes, int]  # Hb, the hash without the draw, the draw
    params: Params
    rctx: bytes
    start: bytes
    updates: dict[int, tuple[list[list[float]], float]]
    words: dict[int, list[int]]
    self_keys: dict[int, bytes]
    pair_keys: dict[int, dict[int, bytes]]
    y: dict[int, list[int]]
    inputs: dict[int, bytes]
    U: tuple[int, ...]
    survivors: bytes
    agrees: dict[int, bytes]
    agree_set: bytes
    responses: dict[int, bytes]
    s: dict[int, int]
    p: dict[int, int]
    sks: dict[int, bytes]
    total: list[int]
    sums: list[list[float]]
    weight_sum: int
    result: bytes


def update_of(params: Params, index: int, r: int) -> tuple[list[list[float]], float]:
    """A device's update: some coordinates beyond the clip, some tiny, weights from 0 to W."""
    fields = []
    for place, f in enumerate(params.fields):
        steps = [(c * 7_919 + index * 10_473 + r * 311 + place * 17) % 4_093 for c in range(f.dims)]
        fields.append([(step - 2_046) / 1_500 * f.C for step in steps])
    return fields, params.W * (index % 5) / 4


def encode(setup: SetUp, params: Params, index: int, r: int, Hb: bytes) -> list[int]:
    """12.2, 12.3: the fields' words, then the weight's."""
    fields, weight = update_of(params, index, r)
    size = 4 * sum(f.dims for f in params.fields)
    key = setup.cast.devices[index].rounding_key
    stream = rounding_stream(setup.session.suite, key, TASK, Hb, size)
    words, at = [], 0
    for f, x in zip(params.fields, fields, strict=True):
        words += pack(f, quantise(f, x, weight / params.W, stream[at : at + 4 * f.dims]))
        at += 4 * f.dims
    return [*words, weight_word(weight, params.W)]


def run_round(setup: SetUp, r: int) -> Round:
    """The recipe says who is missing where; U_r is who sent a vector in time."""
    cast, session, recipe = setup.cast, setup.session, setup.cast.recipe
    n, sid, secret = session.n, session.sid, cast.aggregator.ik_secret
    active = set(setup.members)
    gone = recipe.silent("vector") if r == recipe.rounds[0] else set()
    if r != recipe.rounds[0]:
        active -= recipe.silent("agree")  # who is away for good is left out (13.1)
    A_r = bitmap(active, n)
    name = f"{recipe.name} round {r}".encode()
    base, draw = H("sa2/v1/payload", name), r
    Hb = H("sa2/v1/payload", name, bytes([draw]))
    params = round_params(recipe, r, H("sa2/v1/seeded", b"round nonce", name)[:16])
    rctx = round_context(sid, r, A_r, Hb, params.hash())
    start = messages.round_start(sid, r, A_r, Hb, params.encoded(), NOW + 100, secret)
    pks = {j: setup.pks[j][r] for j in active}

    words = {i: encode(setup, params, i, r, Hb) for i in sorted(active - gone)}
    self_keys = {i: cast.devices[i].self_key(session, r, rctx) for i in words}
    pair_keys: dict[int, dict[int, bytes]] = {i: {} for i in words}
    for i in words:
        for j in sorted(session.graph.neighbours[i] & active):
            known = pair_keys.get(j, {}).get(i)  # the same from either end, and slow to compute
            key = known or cast.devices[i].pair_key(session, r, rctx, j, pks)
            pair_keys[i][j] = key
    y = {i: masked(session, words[i], i, self_keys[i], pair_keys[i]) for i in words}
    iks = [device.party.ik_secret for device in cast.devices]
    inputs = {i: messages.masked_input(sid, r, rctx, words_bytes(y[i]), iks[i]) for i in y}

    U = set(y) - set(recipe.late)
    U_r = bitmap(U, n)
    survivors = messages.survivors(sid, r, rctx, U_r, secret)
    agrees, agree_set = {}, b""
    if recipe.mode == AGREED:
        willing = sorted((U & session.graph.witnesses) - recipe.silent("agree"))
        agrees = {i: messages.agree(sid, r, rctx, U_r, iks[i]) for i in willing}
        quorum = {i: agrees[i][-64:] for i in willing[: session.derived.q]}
        agree_set = messages.agree_set(sid, r, quorum)

    answering = sorted(U - recipe.silent("answer"))
    held = {i: shares_to_show(setup, i, r, active, U) for i in answering}
    responses = {
        i: messages.unmask_response(sid, r, U_r, sorted(held[i]), held[i], iks[i])
        for i in answering
    }
    s, p, sks = _rebuild(setup, r, active, U, held)
    total = unmasked(session, rctx, active, {i: y[i] for i in U}, s, sks, pks)
    if total != [sum(words[i][c] for i in U) % 2**64 for c in range(len(total))]:
        raise ValueError("the masks did not cancel")
    sums, at = [], 0
    for f in params.fields:
        sums.append(decode_sum(f, unpack(f, total[at : at + f.words]), len(U)))
        at += f.words
    result = messages.round_result(sid, r, rctx, U_r, words_bytes(total), total[-1], secret)
    return Round(
        r,
        tuple(sorted(active)),
        (Hb, base, draw),
        params,
        rctx,
        start,
        {i: update_of(params, i, r) for i in words},
        words,
        self_keys,
        pair_keys,
        y,
        inputs,
        tuple(sorted(U)),
        survivors,
        agrees,
        agree_set,
        responses,
        s,
        p,
        sks,
        total,
        sums,
        total[-1],
        result,
    )


def shares_to_show(
    setup: SetUp,
    me: int,
    r: int,
    active: set[int],
    U: set[int],
) -> dict[int, bytes]:
    """7.6: of each neighbour in A_r one share; profile C: of oneself too, which is in U_r."""
    session = setup.session
    near = session.graph.neighbours[me] & active
    if session.offer.profile != PROFILE_K:
        near = near | {me}
    shown = {}
    for j in sorted(near):
        kind = SELF if j in U else PAIR
        shown[j] = element(evaluate(setup.polynomials[j][2 * r + kind], me + 1))
    return shown


def _rebuild(
    setup: SetUp,
    r: int,
    active: set[int],
    U: set[int],
    held: dict[int, dict[int, bytes]],
) -> tuple[dict[int, int], dict[int, int], dict[int, bytes]]:
    """11.1, 11.5: s of U_r; p, and the key it gives, of whom A_r has more."""
    session, t = setup.session, setup.session.derived.t
    found = {
        j: rebuilt(
            {i: int.from_bytes(shown[j], "little") for i, shown in held.items() if j in shown}, t
        )
        for j in sorted(active)
    }
    s = {j: found[j] for j in sorted(U)}
    p = {j: found[j] for j in sorted(active - U)}
    for j, value in s.items():
        check_self(session, j, r, value, setup.coms[j][r])
    sks = {j: check_pair(session, j, r, value, setup.pks[j][r]) for j, value in p.items()}
    return s, p, sks
