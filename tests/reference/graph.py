"""Uniform integers, permutations and who neighbours whom (2.7, 4.8, 4.9, 6.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tests.reference.finder import PROFILE_K, Derived
from tests.reference.values import H, u64


def _words(label: str, seed: bytes) -> Iterator[int]:
    counter = 0
    while True:
        yield from struct.unpack("<8I", H(label, seed, u64(counter)))
        counter += 1


def uniform(words: Iterator[int], most: int) -> int:
    """A uniform integer in [0, most]; takes words from the stream until one fits."""
    limit = 2**32 // (most + 1) * (most + 1)
    for word in words:
        if word < limit:
            return word % (most + 1)
    raise AssertionError("the stream never ends")


def permutation(label: str, seed: bytes, n: int) -> list[int]:
    """One stream serves all draws of one permutation."""
    words = _words(label, seed)
    places = list(range(n))
    for i in range(n - 1, 0, -1):
        j = uniform(words, i)
        places[i], places[j] = places[j], places[i]
    return places


def seeders_of(rd: bytes, n: int, m: int) -> list[int]:
    """In seeder order: that of the permutation, not of the roster."""
    return permutation("sa2/v1/seeders", rd, n)[:m]


def graph_seed(rd: bytes, nonces: list[bytes]) -> bytes:
    """Nonces in seeder order."""
    return H("sa2/v1/graph", rd, *nonces)


@dataclass(frozen=True, slots=True)
class Graph:
    """n devices; holders[i]: who holds shares of i's secrets; witnesses: who agrees."""

    neighbours: tuple[frozenset[int], ...]
    holders: tuple[frozenset[int], ...]
    witnesses: frozenset[int]
    ring: tuple[int, ...]


def draw_graph(n: int, profile: int, derived: Derived, seed: bytes) -> Graph:
    """Profile C: everybody, oneself among the holders. Profile K: the ring."""
    if profile != PROFILE_K:
        everybody = frozenset(range(n))
        others = tuple(everybody - {i} for i in range(n))
        return Graph(others, (everybody,) * n, everybody, ())
    ring = permutation("sa2/v1/ring", seed, n)
    near: list[frozenset[int]] = [frozenset()] * n
    for place, device in enumerate(ring):
        steps = range(1, derived.k // 2 + 1)
        near[device] = frozenset(ring[(place + s) % n] for s in steps) | frozenset(
            ring[(place - s) % n] for s in steps
        )
    witnesses = frozenset(permutation("sa2/v1/witness", seed, n)[: derived.K])
    return Graph(tuple(near), tuple(near), witnesses, tuple(ring))
