"""What both ends share once a roster is fixed: identities, hashes, graph (sections 3, 4, 6)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.finder import Derived, derive
from tests.reference.graph import Graph, draw_graph
from tests.reference.messages import Offer, entry_id
from tests.reference.suites import Suite
from tests.reference.values import H, u32


@dataclass(frozen=True, slots=True)
class Session:
    """One sid. Entries are sorted by id, so an entry's place is its device's roster index."""

    offer: Offer
    ho: bytes
    rd: bytes
    graph_seed: bytes
    entries: tuple[bytes, ...]
    derived: Derived
    graph: Graph
    sid: bytes

    @property
    def suite(self) -> Suite:
        return Suite(self.offer.suite)

    @property
    def n(self) -> int:
        return len(self.entries)

    def id(self, index: int) -> bytes:
        return entry_id(self.entries[index])

    def box_pk(self, index: int) -> bytes:
        return self.entries[index][218:250]


def open_session(
    offer: Offer, ho: bytes, roster: bytes, entries: list[bytes], seed: bytes
) -> Session:
    """seed: graph_seed of 6.3 in profile K, empty in profile C."""
    rd = H("sa2/v1/roster", ho, roster)
    ordered = tuple(sorted(entries, key=entry_id))
    derived = derive(len(ordered), offer.profile, offer.claims)
    graph = draw_graph(len(ordered), offer.profile, derived, seed)
    sid = H("sa2/v1/sid", ho, rd, seed, derived.encoded())
    return Session(offer, ho, rd, seed, ordered, derived, graph, sid)


def round_context(sid: bytes, r: int, A_r: bytes, Hb: bytes, Hp: bytes) -> bytes:
    return H("sa2/v1/round", sid, u32(r), A_r, Hb, Hp)
