"""Deals: nothing is held twice, a deal follows its seed, domains look as they are called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.public import domain_of, public_set
from dreamshare_cli.bench.data.pool import Pool
from dreamshare_cli.bench.partitions import Dealt, deal, look_of
from dreamshare_cli.bench.recipe import DataPlan, Partition

IID = Partition("iid", "iid")
SKEWED = Partition("skewed", "dirichlet", alpha=0.1)


def pool(count: int = 400) -> Pool:
    """Return examples that tell who they are in their first pixel."""
    x = np.zeros((count, 1, 2, 2), np.float32)
    x[:, 0, 0, 0] = np.arange(count) / count
    y = np.arange(count, dtype=np.int64) % 4
    return Pool(Batch(x, y), Batch(x[:8], y[:8]), Batch(x[:12], y[:12]), 4, -1.0, 1.0)


def plan(*domains: str, samples: int = 50) -> DataPlan:
    return DataPlan("x:y", samples=samples, domains=domains or ("plain",))  # type: ignore[arg-type]


def held(dealt: Dealt, device: int) -> set[float]:
    data = dealt.data[device]
    seen = next(data.batches(np.random.default_rng(0), len(data))).x_NCHW
    return {float(value) for value in seen[:, 0, 0, 0]}


@pytest.mark.parametrize("partition", [IID, SKEWED], ids=["iid", "dirichlet"])
def test_nothing_is_held_twice_and_everything_dealt_is_pooled(partition: Partition) -> None:
    dealt = deal(pool(), plan(), partition, 4, seed=1)
    parts = [held(dealt, device) for device in range(4)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(dealt.pooled) == 200
    assert min(map(len, parts)) >= 15


def test_a_deal_is_a_function_of_its_seed() -> None:
    one, same, other = (deal(pool(), plan(), SKEWED, 4, seed) for seed in (1, 1, 2))
    assert held(one, 0) == held(same, 0) != held(other, 0)


def test_a_small_alpha_skews_and_iid_does_not() -> None:
    def largest(partition: Partition) -> float:
        shares = [d.class_counts(4) / len(d) for d in deal(pool(), plan(), partition, 4, 0).data]
        return float(np.mean([share.max() for share in shares]))

    assert largest(SKEWED) > 0.6 > 0.4 > largest(IID)


def test_a_partition_may_deal_few() -> None:
    few = Partition("few", "iid", samples=5)
    assert [len(data) for data in deal(pool(), plan(), few, 4, 0).data] == [5] * 4


def test_too_few_examples_are_an_error() -> None:
    with pytest.raises(ConfigError, match="600 training examples are wanted; the data has 400"):
        deal(pool(), plan(samples=150), IID, 4, 0)


def test_public_examples_belong_to_no_device_and_everybody_holds_them() -> None:
    by_domain = Partition("by domain", "domain")
    wanted = replace(plan("plain", "inverted"), public=20)
    dealt = deal(pool(), wanted, by_domain, 4, 0)
    public = dealt.public
    assert public is not None
    assert public.domains_N is not None
    shown = {abs(float(value)) for value in public.x_NCHW[:, 0, 0, 0]}
    own = {abs(value) for device in range(4) for value in held(dealt, device)}
    assert len(shown) == 20
    assert not shown & own
    assert (public.x_NCHW[public.domains_N == 1, 0, 0, 0] <= 0).all()
    assert all(public_set(data, public.digest, 20) is public for data in dealt.data)
    assert [domain_of(data) for data in dealt.data] == [0, 1, 0, 1]


def test_domains_go_round_and_everybody_is_measured_in_all() -> None:
    by_domain = Partition("by domain", "domain")
    dealt = deal(pool(), plan("plain", "inverted"), by_domain, 3, 0)
    assert dealt.domains == ("plain", "inverted", "plain")
    assert dealt.test.keys() == {"plain", "inverted"}
    assert max(held(dealt, 1)) <= 0.0 <= min(held(dealt, 0))
    assert len(dealt.data[0].held_out().x_NCHW) == 16


def test_how_domains_look() -> None:
    x = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], np.float32)
    assert look_of("plain", pool()).shown(x)[0, 0].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert look_of("rotated", pool()).shown(x)[0, 0].tolist() == [[2.0, 4.0], [1.0, 3.0]]
    assert look_of("inverted", pool()).shown(x)[0, 0].tolist() == [[-1.0, -2.0], [-3.0, -4.0]]
    with pytest.raises(ConfigError, match="domain 'mirrored'"):
        look_of("mirrored", pool())


def test_labels_are_kept() -> None:
    dealt = deal(pool(), plan(), IID, 4, 0)
    batch = next(dealt.data[0].batches(np.random.default_rng(0), 50))
    assert batch.y_N is not None
    numbers = np.rint(batch.x_NCHW[:, 0, 0, 0] * 400).astype(int)
    assert (numbers % 4 == batch.y_N).all()
