"""graphs.json and the package: permutations, the finder's rows, whole rings (2.7, 4.6 to 4.9)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from dreamshare_crypto.finder import Expected, find_committee, find_degree, find_seeders
from dreamshare_crypto.graph import Claims, derive_parameters
from dreamshare_crypto.ring import permutation, regular_graph
from tests.vectors.player import load

GRAPHS = load("graphs")
MILLION = 10**6


@pytest.mark.parametrize("case", GRAPHS["permutations"], ids=lambda c: f"{c['label']}-{c['n']}")
def test_permutations(case: dict[str, Any]) -> None:
    drawn = permutation(case["label"], bytes.fromhex(case["seed"]), case["n"])
    assert list(drawn) == case["permutation"]


@pytest.mark.parametrize("case", GRAPHS["rows"], ids=lambda c: f"{c['n']}-{c['delta_ppm']}")
def test_finder(case: dict[str, Any]) -> None:
    gamma, delta = (Fraction(case[key], MILLION) for key in ("gamma_ppm", "delta_ppm"))
    expected = Expected(case["n"], gamma, delta, case["sigma"], case["eta"])
    whole = case["conditions"] == "i-iv"
    degree = find_degree(expected, adaptive=whole)
    assert (degree.k, degree.t) == (case["k"], case["t"])
    if whole:
        chosen = find_committee(expected)
        assert (chosen.size, chosen.quorum) == (case["K"], case["q"])
        assert find_seeders(expected) == case["m"]


@pytest.mark.parametrize("case", GRAPHS["graphs"], ids=lambda c: str(c["n"]))
def test_rings(case: dict[str, Any]) -> None:
    derived = derive_parameters(case["n"], Claims(2, 1, 50_000, 100_000, 64, 20, 900_000, 0, 3))
    assert derived.encode().hex() == case["derived"]
    assert derived.u_min == case["u_min"]
    seed = bytes.fromhex(case["graph_seed"])
    graph = regular_graph(case["n"], derived.k, derived.committee, seed)
    assert list(graph.ring) == case["ring"]
    assert list(graph.neighbours(0)) == case["neighbours_of_0"]
    assert sorted(graph.witnesses) == case["witnesses"]
