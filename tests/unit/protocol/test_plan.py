"""Hb covers what a device computes from, and nothing else (docs/protocol.md 7.1)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.protocol.plan import RoundPlan, signed_fields
from dreamshare.updates import Field
from tests.sim.secagg.federation import make_params

PLAN = RoundPlan(
    "toy/1",
    "sum",
    b'{"a":1}',
    cycle=3,
    draw=1,
    tensors={"x": np.arange(6, dtype=np.float32).reshape(2, 3), "y": np.array([7], np.int64)},
    last_tell=b"t" * 32,
    field_names=("g",),
    field_shapes=((2, 2),),
)


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAN, algorithm="toy/2"),
        replace(PLAN, step="count"),
        replace(PLAN, config=b'{"a":2}'),
        replace(PLAN, cycle=4),
        replace(PLAN, last_tell=b""),
        replace(PLAN, tensors=dict(reversed(PLAN.tensors.items()))),
        replace(PLAN, tensors={**PLAN.tensors, "y": np.array([8], np.int64)}),
        replace(PLAN, tensors={**PLAN.tensors, "y": np.array([[7]], np.int64)}),
        replace(PLAN, tensors={**PLAN.tensors, "y": np.array([7.0])}),
        replace(PLAN, tensors={"x": PLAN.tensors["x"]}),
        replace(PLAN, field_names=("h",)),
        replace(PLAN, field_shapes=((4,),)),
        replace(PLAN, field_names=(), field_shapes=()),
    ],
)
def test_every_part_counts(other: RoundPlan) -> None:
    assert other.payload().hash != PLAN.payload().hash
    assert other.payload().base_hash != PLAN.payload().base_hash


def test_the_draw_counts_in_one_of_the_two_hashes() -> None:
    again = replace(PLAN, draw=2).payload()
    assert again.hash != PLAN.payload().hash
    assert again.base_hash == PLAN.payload().base_hash
    assert again.draw == 2


def test_layout_and_byte_order_do_not_count() -> None:
    """The same values in another memory layout are the same payload."""
    x = PLAN.tensors["x"]
    other = replace(PLAN, tensors={"x": np.asfortranarray(x), "y": PLAN.tensors["y"].astype(">i8")})
    assert other.payload() == PLAN.payload()


def test_the_hash_is_the_documents() -> None:
    """H(label, parts) = SHA-256 over u64 length + bytes of each (2.2), parts as in `RoundPlan`."""
    plan = RoundPlan("toy/1", "sum", b"{}", cycle=2)
    parts = [
        b"sa2/v1/payload",
        b"toy/1",
        b"sum",
        b"{}",
        struct.pack("<I", 2),
        struct.pack("<I", 0),
        b"",
        struct.pack("<I", 0),
        struct.pack("<I", 0),
    ]
    lp = b"".join(struct.pack("<Q", len(part)) + part for part in parts)
    assert plan.payload().hash == hashlib.sha256(lp).digest()


@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.complex64, bool])
def test_other_dtypes_do_not_travel(dtype: type) -> None:
    with pytest.raises(ConfigError, match="cannot travel"):
        RoundPlan("toy/1", "sum", b"{}", tensors={"x": np.zeros(2, dtype)})  # type: ignore[dict-item]


def test_signed_fields() -> None:
    """Names and shapes from the plan, bound and bits from the parameters, sizes from both."""
    params = make_params(dims=(4, 1), clip=0.5)
    plan = replace(PLAN, field_names=("g", "n"), field_shapes=((2, 2), ()))
    assert signed_fields(plan, params) == (Field("g", (2, 2), 0.5, 16), Field("n", (), 0.5, 16))
    assert signed_fields(PLAN, params) is None
    assert signed_fields(replace(plan, field_shapes=((2, 3), ())), params) is None


def test_names_that_no_field_can_have() -> None:
    """They come from the aggregator: such a round is declined, and ends no agent."""
    params = make_params(dims=(4,), clip=0.5)
    for name in ("Gradient", "a b", ""):
        plan = replace(PLAN, field_names=(name,), field_shapes=((4,),))
        assert signed_fields(plan, params) is None
