"""Permutations and graphs: docs/protocol.md 2.7, 4.3, 4.8, 6.3."""

from __future__ import annotations

import hashlib
import struct

import pytest

from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.ring import CompleteGraph, permutation, regular_graph, seeders

SEED = bytes(range(32))


def written_out(label: str, seed: bytes, n: int) -> list[int]:
    """2.7 once more, by hand: SHA-256 over length-prefixed parts, 8 little-endian words a block."""

    def block(number: int) -> tuple[int, ...]:
        parts = (label.encode(), seed, struct.pack("<Q", number))
        raw = b"".join(struct.pack("<Q", len(part)) + part for part in parts)
        return struct.unpack("<8I", hashlib.sha256(raw).digest())

    stream = [word for number in range(n // 4 + 8) for word in block(number)]
    places = list(range(n))
    for i in reversed(range(1, n)):
        while stream[0] >= 2**32 // (i + 1) * (i + 1):
            stream.pop(0)
        j = stream.pop(0) % (i + 1)
        places[i], places[j] = places[j], places[i]
    return places


@pytest.mark.parametrize("n", [1, 2, 3, 129, 1000])
def test_permutation_is_that_of_2_7(n: int) -> None:
    for label in ("sa2/v1/ring", "sa2/v1/witness"):
        assert list(permutation(label, SEED, n)) == written_out(label, SEED, n)


def test_words_of_the_incomplete_part_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """For 3 places, 2^32 - 1 = 0 mod 3 has one chance more than it should: that word is skipped."""
    words = iter([2**32 - 1, 5, 2**32 - 1, 0])
    monkeypatch.setattr("dreamshare_crypto.ring._words", lambda label, seed: words)
    # 5 mod 3 = 2 leaves place 2; 2^32 - 1 is in the complete part of 2, odd: place 1 stays
    assert permutation("another label", b"no seed", 3) == (0, 1, 2)


def test_permutations_are_uniform_enough() -> None:
    """6 orders of 3 places over 6000 seeds: 1000 each, standard deviation sqrt(833) = 29."""
    orders = [permutation("sa2/v1/ring", i.to_bytes(32, "little"), 3) for i in range(6000)]
    assert all(abs(orders.count(order) - 1000) < 6 * 29 for order in set(orders))
    assert len(set(orders)) == 6


def test_no_places() -> None:
    with pytest.raises(ParameterError):
        permutation("x", SEED, 0)


@pytest.mark.parametrize(("n", "k"), [(129, 30), (7, 6), (20, 2)])
def test_ring_of_neighbours(n: int, k: int) -> None:
    graph = regular_graph(n, k, 5, SEED)
    ring = written_out("sa2/v1/ring", SEED, n)
    for place, index in enumerate(ring):
        wanted = {ring[(place + d) % n] for d in range(-k // 2, k // 2 + 1)} - {index}
        assert graph.neighbours(index) == tuple(sorted(wanted))
        assert len(wanted) == k
        assert graph.holders(index) == graph.neighbours(index)
        assert all(index in graph.neighbours(other) for other in wanted)
    assert graph.witnesses == set(written_out("sa2/v1/witness", SEED, n)[:5])


def test_complete_graph() -> None:
    graph = CompleteGraph(4)
    assert graph.neighbours(1) == (0, 2, 3)
    assert graph.holders(1) == (0, 1, 2, 3)
    assert graph.witnesses == {0, 1, 2, 3}


def test_seeders_are_the_first_places() -> None:
    assert seeders(SEED, 129, 24) == tuple(written_out("sa2/v1/seeders", SEED, 129)[:24])


@pytest.mark.parametrize(("n", "k", "committee"), [(10, 3, 4), (10, 10, 4), (10, 0, 4), (10, 4, 0)])
def test_graphs_that_make_no_sense(n: int, k: int, committee: int) -> None:
    with pytest.raises(ParameterError):
        regular_graph(n, k, committee, SEED)
