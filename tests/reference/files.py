"""Which files of vectors there are, and their text (scripts/vectors writes them).

    python -c "from tests.reference.files import text; print(text('session-n3-suite1.json'))"

A file of profile K takes about a minute; `SLOW` names them, and the suite only spot-checks those.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

from tests.reference import (
    params_vectors,
    part_vectors,
    party_vectors,
    refused_offers,
    refused_rosters,
    refused_starts,
    refused_survivors,
)
from tests.reference.cast import Recipe
from tests.reference.finder import Claims
from tests.reference.refused import BASE, Case, Stage
from tests.reference.refused_modes import BOUNDED_BASE, K_BASE, bounded_cases, k_cases
from tests.reference.session_vectors import Json, session_vector

PROVENANCE: dict[str, Json] = {
    "protocol": "SA-2 version 1, docs/protocol.md",
    "made by": "scripts/vectors from tests/reference, which shares no code with the package",
    "format": "docs/implementers.md",
    "licence": "Apache-2.0",
}

TWO_GONE = Claims(50_000, 100_000, 64, 20, 700_000, 3)
DROPS = (("shares", (3,)), ("vector", (5,)), ("answer", (7,)))

RECIPES = (
    Recipe("n3-suite1", "three devices, nobody drops out: A_min = u_min = 3 (4.4)", 3, R=2),
    Recipe("n3-suite2", "the same with suite 2", 3, suite=2, R=2, rounds=(0, 1)),
    Recipe(
        "n10-dropped-suite1",
        "one device deals no shares, one sends no vector, one answers nothing; then without them",
        10,
        rounds=(0, 2),
        claims=TWO_GONE,
        absent=DROPS,
        full=(0, 3, 5, 7, 9),
    ),
    Recipe(
        "n10-dropped-suite2",
        "the same with suite 2",
        10,
        suite=2,
        rounds=(0, 2),
        claims=TWO_GONE,
        absent=DROPS,
        full=(0, 3, 5, 7, 9),
    ),
    Recipe(
        "n10-late",
        "the vectors of devices 2 and 8 come after U_r is fixed; both are in the next round",
        10,
        rounds=(0, 1),
        late=(2, 8),
        absent=(("agree", (6,)),),
        full=(0, 2, 6),
    ),
    BOUNDED_BASE,
    K_BASE,
)

SLOW = frozenset({"session-n129-profile-k.json", "refused-profile-k.json"})


@cache
def _played(recipe: Recipe) -> tuple[dict[str, Json], Stage]:
    """Each session is computed once: some are slow."""
    vector, setup, rounds = session_vector(recipe)
    return vector, Stage(setup, tuple(rounds))


def _refused() -> dict[str, Json]:
    stage = _played(BASE)[1]
    makers = (
        refused_offers.offer_cases,
        refused_rosters.roster_cases,
        refused_rosters.peer_key_cases,
        refused_rosters.box_cases,
        refused_starts.start_cases,
        refused_survivors.survivor_cases,
        refused_survivors.agree_cases,
        refused_survivors.result_cases,
    )
    return {
        "about": "messages that device 0 must refuse, and the code of section 10 for each",
        "cases": [case.json() for make in makers for case in make(stage)],
    }


def _refused_in(recipe: Recipe, make: Callable[[Stage], list[Case]]) -> dict[str, Json]:
    return {
        "about": f"messages that device 0 of session-{recipe.name} must refuse, with their codes",
        "cases": [case.json() for case in make(_played(recipe)[1])],
    }


def _session(recipe: Recipe) -> Callable[[], dict[str, Json]]:
    return lambda: _played(recipe)[0]


FILES: dict[str, Callable[[], dict[str, Json]]] = {
    "lanes.json": part_vectors.lane_vectors,
    "params.json": params_vectors.params_vectors,
    "graphs.json": part_vectors.graph_vectors,
    "envelopes.json": party_vectors.envelope_vectors,
    "enrolment.json": party_vectors.enrolment_vectors,
    "refused.json": _refused,
    "refused-bounded.json": lambda: _refused_in(BOUNDED_BASE, bounded_cases),
    "refused-profile-k.json": lambda: _refused_in(K_BASE, k_cases),
    **{f"session-{recipe.name}.json": _session(recipe) for recipe in (*RECIPES, BASE)},
}


def text(name: str) -> str:
    """The whole file, as it is committed."""
    return _dump({"provenance": PROVENANCE, **FILES[name]()}, "") + "\n"


def _dump(value: Json, indent: str) -> str:
    """JSON with a line for each field, lists of plain values on one line."""
    inner = indent + " "
    if isinstance(value, dict) and value:
        lines = [f"{inner}{json.dumps(k)}: {_dump(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        lines = [inner + _dump(item, inner) for item in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    return json.dumps(value)
