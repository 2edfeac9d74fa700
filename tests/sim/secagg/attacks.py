"""What a hostile aggregator does with what it got: sorts shares, opens secrets, takes masks off.

Rules:
- an attack is a script that drives honest machines and ends in something it can show: a vector, a
  sum over a smaller crowd, a share of each kind. Tests run it as the product is, where it fails,
  and with a check taken out, where it must succeed: so the script stays sharp;
- only what was sent, and what colluders hold, is used to open anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from dreamshare_crypto.encoding import decode_sum, words_from_bytes
from dreamshare_crypto.prg import apply_masks
from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.secagg.masking import self_mask_key, signed_pair_masks
from dreamshare_crypto.secagg.round_messages import RoundStart
from dreamshare_crypto.secagg.schedule import pair_key
from dreamshare_crypto.secagg.survivor_messages import Survivors
from dreamshare_crypto.secret import Secret
from tests.sim.secagg.hostile import Hostile

Shares = dict[tuple[int, int], bytes]
"""(dealer, holder) -> share of one kind."""


def collect(
    hostile: Hostile, start: RoundStart, shown: Mapping[int, Survivors]
) -> tuple[Shares, Shares]:
    """Sort every share that honest devices sent: of p where their set lacks the dealer, else s."""
    p_shares: Shares = {}
    s_shares: Shares = {}
    for holder, survivors in shown.items():
        if not hostile.cohort.parties[holder].sent(Stage.UNMASK_RESPONSE):
            continue
        for dealer, share in hostile.shares_in(holder, start).items():
            kind = s_shares if dealer in survivors.survivors else p_shares
            kind[dealer, holder] = share
    return p_shares, s_shares


def collude(hostile: Hostile, shares: tuple[Shares, Shares], colluders: Iterable[int]) -> None:
    """Add every share that the colluders hold, of both kinds."""
    p_shares, s_shares = shares
    for holder in colluders:
        for dealer, (p_share, s_share) in hostile.secrets_of(holder, 0).shares.items():
            p_shares[dealer, holder], s_shares[dealer, holder] = p_share, s_share


def opened(hostile: Hostile, shares: Shares, dealer: int) -> Secret | None:
    """Return a dealer's secret where the shares of it suffice."""
    return hostile.reconstruct({holder: s for (d, holder), s in shares.items() if d == dealer})


def nothing(*_: object) -> None:
    """The check that is not there."""


def start_all(hostile: Hostile, start: RoundStart) -> None:
    for number in sorted(start.active):
        hostile.give_start(number, start)


def show(
    hostile: Hostile, start: RoundStart, chosen: Iterable[int], to: Iterable[int]
) -> dict[int, Survivors]:
    """Show one set of survivors to some devices; return it by device."""
    survivors = hostile.survivors(start, chosen)
    holders = list(to)
    for number in holders:
        hostile.give(number, survivors)
    return dict.fromkeys(holders, survivors)


def ask(hostile: Hostile, shown: Mapping[int, Survivors], colluders: Iterable[int] = ()) -> None:
    """Hand each device a quorum made of real signatures under its set, and the colluders' own."""
    q = hostile.session.derived.q
    for number, survivors in shown.items():
        signed = {i: hostile.agreements(i, survivors) for i in shown}
        quorum = {i: signature for i, signature in signed.items() if signature is not None}
        quorum |= {i: hostile.agree(i, survivors) for i in colluders}
        chosen = tuple(sorted((i, s) for i, s in quorum.items() if i in survivors.survivors))[:q]
        request = hostile.agree_set(survivors, ())
        hostile.give(number, type(request)(request.session, request.round, chosen))


def open_sum(
    hostile: Hostile,
    start: RoundStart,
    members: Iterable[int],
    secret_of: Callable[[int, bool], Secret | None],
) -> NDArray[np.float64]:
    """Take every mask off the sum of some devices' vectors.

    Args:
        members: whose vectors are summed.
        secret_of: (device, alive) -> its s where alive, its p where it is not in the sum.

    Raises:
        RangeError: a mask is left.
        AssertionError: a secret is missing.
    """
    session, context, r = hostile.session, start.context(), start.round
    chosen = sorted(members)
    words = words_from_bytes(hostile.vector(chosen[0]).vector)
    for number in chosen[1:]:
        words += words_from_bytes(hostile.vector(number).vector)
    masks: list[tuple[Secret, int]] = []
    for number in chosen:
        s = secret_of(number, True)
        assert s is not None
        masks.append((self_mask_key(s, context, session.ids[number]), -1))
    for number in sorted(start.active - set(chosen)):
        p = secret_of(number, False)
        assert p is not None
        own = pair_key(p, session.offer_hash, session.ids[number], r)
        peers = tuple(session.peer(i, r) for i in chosen)
        masks += signed_pair_masks(own, session.ids[number], peers, context)
    apply_masks(words, masks, session.suite)
    sums, _ = decode_sum(start.params, words, len(chosen))
    return sums[0]


def bare_by_both_kinds(
    hostile: Hostile, target: int, start: RoundStart, s: Secret, p: Secret
) -> NDArray[np.float64]:
    """Take every mask off one vector with the device's own two secrets."""
    session, context, r = hostile.session, start.context(), start.round
    words = words_from_bytes(hostile.vector(target).vector)
    own = pair_key(p, session.offer_hash, session.ids[target], r)
    peers = tuple(session.peer(i, r) for i in sorted(start.active - {target}))
    masks = [(self_mask_key(s, context, session.ids[target]), -1)]
    pairs = signed_pair_masks(own, session.ids[target], peers, context)
    masks += [(key, -sign) for key, sign in pairs]
    apply_masks(words, masks, session.suite)
    sums, _ = decode_sum(start.params, words, 1)
    return sums[0]


# ---- 25 ------------------------------------------------------------------------------------------


def outsider_rctx(hostile: Hostile, lonely_set: list[int]) -> tuple[RoundStart, RoundStart]:
    """n = 6, a = 1, q = 4, device 5 colludes. Device 0 is shown `lonely_set`, the others all."""
    lonely = hostile.start(active=lonely_set)
    common = hostile.start()
    hostile.give_start(0, lonely)
    shown = hostile.survivors(common, [0, 2, 3, 4, 5])
    for number in (2, 3, 4):
        hostile.give_start(number, common)
        hostile.give(number, shown)
        assert hostile.agreements(number, shown) is not None
    for number in (2, 3, 4):
        hostile.give(number, hostile.agree_set(shown, [2, 3, 4, 5]))
    return lonely, common


def bare_vector_of_0(hostile: Hostile, lonely: RoundStart, common: RoundStart) -> np.ndarray:
    """Do what the aggregator and device 5 can do with the answers of 2, 3 and 4."""
    shown = hostile.survivors(common, [0, 2, 3, 4, 5])
    p_shares, s_shares = collect(hostile, common, dict.fromkeys((2, 3, 4), shown))
    known = hostile.secrets_of(5, 0)
    collude(hostile, (p_shares, s_shares), [5])
    s, p_1 = opened(hostile, s_shares, 0), opened(hostile, p_shares, 1)
    assert s is not None
    assert p_1 is not None
    assert opened(hostile, p_shares, 2) is None  # device 2 survived
    pairs = {1: p_1, 5: known.p}
    return hostile.unmask_one(0, lonely, s, pairs)
