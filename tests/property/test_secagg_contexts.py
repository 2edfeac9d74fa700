"""72: masks of two round contexts never cancel, whatever differs between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamshare_crypto.encoding import decode_sum, words_from_bytes
from dreamshare_crypto.errors import RangeError
from dreamshare_crypto.prg import apply_masks
from dreamshare_crypto.secagg.masking import self_mask_key
from dreamshare_crypto.secagg.round_messages import RoundStart
from tests.sim.secagg.federation import make_terms, payload_of
from tests.sim.secagg.hostile import PAYLOAD, Hostile, ready_cohort

OTHER = payload_of("another plan")
DIFFER = ("nothing", "payload", "active", "nonce", "clip")


def second_start(hostile: Hostile, differs: str) -> tuple[RoundStart, bool]:
    """Return a start that differs from `hostile.start()` in one thing, and whether in the plan."""
    params = hostile.params()
    match differs:
        case "payload":
            return hostile.start(payload=OTHER), True
        case "active":
            return hostile.start(active=range(5)), False
        case "nonce":
            return hostile.start(params=hostile.params(round_nonce=b"another nonce 16")), False
        case "clip":
            (field,) = params.fields
            smaller = (replace(field, clip=field.clip / 2),)
            return hostile.start(params=hostile.params(fields=smaller)), False
        case _:
            return hostile.start(), False


@settings(max_examples=25)
@given(st.sampled_from(DIFFER), st.sets(st.integers(0, 4), min_size=1, max_size=4))
def test_two_contexts_never_cancel(differs: str, first: set[int]) -> None:
    """All own masks come off, with the true s of each: the sum decodes in one context only."""
    hostile = ready_cohort(6, make_terms())
    one = hostile.start()
    two, other_plan = second_start(hostile, differs)
    members = sorted(one.active & two.active)
    total = np.zeros(one.params.words, np.uint64)
    masks = []
    for number in members:
        start, plan = (one, PAYLOAD) if number in first else (two, OTHER if other_plan else PAYLOAD)
        secrets = hostile.secrets_of(number, 0)
        hostile.give_start(number, start, plan)
        total += words_from_bytes(hostile.vector(number).vector)
        masks.append((self_mask_key(secrets.s, start.context(), hostile.session.ids[number]), -1))
    apply_masks(total, masks, hostile.session.suite)
    if differs == "nothing":
        sums, _ = decode_sum(one.params, total, len(members))
        truth = hostile.cohort.expected_sum(0, members)
        np.testing.assert_allclose(sums[0], truth, atol=1e-9)
        return
    with pytest.raises(RangeError):
        decode_sum(one.params, total, len(members))
