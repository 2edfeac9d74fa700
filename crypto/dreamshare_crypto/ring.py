"""Who is whose neighbour: permutations, the ring of profile K, its witnesses and seeders.

Rules:
- a permutation is a function of a label and 32 public bytes (docs/protocol.md 2.7); each purpose
  has its own label;
- profile C is the graph in which everybody is everybody's neighbour: who asks a graph does not ask
  which of the two it is;
- holding is mutual: the devices that hold shares of a device are those whose shares it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.kdf import hash_parts

RING_LABEL = "sa2/v1/ring"
WITNESS_LABEL = "sa2/v1/witness"
SEEDERS_LABEL = "sa2/v1/seeders"
_WORDS = 2**32


@lru_cache(maxsize=8)
def permutation(label: str, seed: bytes, n: int) -> tuple[int, ...]:
    """Return 0..n-1 in the order that the 32 bytes of `seed` give (2.7).

    Raises:
        ParameterError: n is not in 1..2^32-1.
    """
    if not 1 <= n < _WORDS:
        raise ParameterError(f"a permutation of {n} places")
    words = _words(label, seed)
    places = list(range(n))
    for i in range(n - 1, 0, -1):
        j = _uniform(words, i + 1)
        places[i], places[j] = places[j], places[i]
    return tuple(places)


def _words(label: str, seed: bytes) -> Iterator[int]:
    """Yield the 32-bit words of H(label, seed, u64 0), H(label, seed, u64 1), and so on."""
    block = 0
    while True:
        raw = hash_parts(label, seed, block.to_bytes(8, "little"))
        for at in range(0, len(raw), 4):
            yield int.from_bytes(raw[at : at + 4], "little")
        block += 1


def _uniform(words: Iterator[int], count: int) -> int:
    """Return a uniform integer in 0..count-1; words in the incomplete last part are rejected."""
    limit = _WORDS // count * count
    return next(word for word in words if word < limit) % count


def seeders(roster_digest: bytes, n: int, m: int) -> tuple[int, ...]:
    """Return the roster indices of the `m` seeders, in seeder order (4.9)."""
    return permutation(SEEDERS_LABEL, roster_digest, n)[:m]


@dataclass(frozen=True, slots=True)
class CompleteGraph:
    """Profile C: all `n` devices are neighbours and witnesses, and hold shares of themselves."""

    n: int

    @property
    def witnesses(self) -> frozenset[int]:
        """Who signs survivors (7.4)."""
        return frozenset(range(self.n))

    def neighbours(self, index: int) -> tuple[int, ...]:
        """Return N(i), ascending: with whom a device has masks and exchanges boxes."""
        return (*range(index), *range(index + 1, self.n))

    def holders(self, index: int) -> tuple[int, ...]:
        """Return who holds shares of a device, ascending; whose shares it holds is the same."""
        return tuple(range(self.n))


@dataclass(frozen=True, slots=True)
class RegularGraph:
    """Profile K: neighbours are the `reach` places on either side of a ring, and all holders.

    Attributes:
        ring: roster indices in the order of their places.
        places: the place of each roster index.
        reach: k/2.
        witnesses: who signs survivors (4.8).
    """

    ring: tuple[int, ...]
    places: tuple[int, ...]
    reach: int
    witnesses: frozenset[int]

    def neighbours(self, index: int) -> tuple[int, ...]:
        """Return N(i), ascending: with whom a device has masks and exchanges boxes."""
        n, place = len(self.ring), self.places[index]
        sides = (*range(place - self.reach, place), *range(place + 1, place + self.reach + 1))
        return tuple(sorted(self.ring[side % n] for side in sides))

    def holders(self, index: int) -> tuple[int, ...]:
        """Return who holds shares of a device, ascending; whose shares it holds is the same."""
        return self.neighbours(index)


ShareGraph = CompleteGraph | RegularGraph
"""Who shares secrets with whom: what is asked of it does not depend on the profile."""


@lru_cache(maxsize=4)
def regular_graph(n: int, k: int, committee: int, seed: bytes) -> RegularGraph:
    """Return the graph of profile K that `seed` (graph_seed, 32 bytes) gives (4.8, 6.3).

    Raises:
        ParameterError: k is odd or not in 2..n-1, or the committee not in 1..n.
    """
    if k % 2 or not 2 <= k < n or not 1 <= committee <= n:
        raise ParameterError(f"no ring of {n} has {k} neighbours each and {committee} witnesses")
    ring = permutation(RING_LABEL, seed, n)
    places = sorted(range(n), key=ring.__getitem__)
    witnesses = frozenset(permutation(WITNESS_LABEL, seed, n)[:committee])
    return RegularGraph(ring, tuple(places), k // 2, witnesses)
