"""Entropy: seeded streams repeat, do not depend on how they are cut, and forks are independent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare_crypto.entropy import Entropy, SeededEntropy, SystemEntropy
from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.kdf import hash_parts


def test_stream_is_the_documented_one() -> None:
    blocks = [hash_parts("sa2/v1/seeded", b"s", i.to_bytes(8, "little")) for i in range(2)]
    assert SeededEntropy(b"s").draw(64) == blocks[0] + blocks[1]


@given(st.lists(st.integers(0, 70), max_size=8))
def test_cuts_do_not_matter(cuts: list[int]) -> None:
    source = SeededEntropy(b"seed")
    assert b"".join(source.draw(n) for n in cuts) == SeededEntropy(b"seed").draw(sum(cuts))


def test_forks_differ_by_label_and_not_by_position() -> None:
    source = SeededEntropy(b"seed")
    early = source.fork("a").draw(32)
    assert source.draw(32) not in {early, source.fork("b").draw(32)}
    assert source.fork("a").draw(32) == early != source.fork("b").draw(32)
    assert SeededEntropy(b"other").fork("a").draw(32) != early


def test_system_entropy_gives_what_is_asked() -> None:
    source: Entropy = SystemEntropy()
    assert len(source.draw(0)) == 0
    assert len(source.draw(48)) == 48
    assert source.draw(32) != source.draw(32)


def test_negative_draws_are_refused() -> None:
    with pytest.raises(ParameterError):
        SeededEntropy(b"").draw(-1)
