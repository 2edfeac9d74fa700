"""Vectors of single parts: lanes, permutations, graphs, the finder's rows (2.7, 4, 12)."""

from __future__ import annotations

from tests.reference.cast import TASK
from tests.reference.finder import (
    PROFILE_C,
    PROFILE_K,
    Claims,
    committee,
    derive,
    neighbours_and_threshold,
    seeders,
)
from tests.reference.graph import draw_graph, permutation
from tests.reference.lanes import (
    Params,
    decode_sum,
    field_for,
    pack,
    quantise,
    rounding_stream,
    unpack,
    weight_word,
    words_bytes,
)
from tests.reference.session_vectors import Json
from tests.reference.suites import Suite
from tests.reference.values import Entropy, H

ROWS = {
    "one condition less, sigma 40": [
        (n, g, d, 40, 20)
        for n, g, d in (
            (20, 50_000, 100_000),
            (50, 50_000, 100_000),
            (100, 50_000, 100_000),
            (300, 50_000, 100_000),
            (1000, 50_000, 100_000),
            (1000, 50_000, 330_000),
        )
    ],
    "in force": [
        (n, g, d, 64, 20)
        for g, d, sizes in (
            (50_000, 100_000, (129, 200, 300, 500, 1000)),
            (50_000, 50_000, (129, 1000)),
            (100_000, 100_000, (129, 1000)),
        )
        for n in sizes
    ],
}


def lane_vectors() -> dict[str, Json]:
    """Each width q = 8..20 in both suites, uneven weights, and a sum of three."""
    cases: list[Json] = []
    for q in range(8, 21):
        for suite in (1, 2):
            cases.append(_lane_case(q, suite))
    return {"about": "x to words and three devices' words to a sum (12.2, 12.3)", "cases": cases}


def _lane_case(q: int, suite: int) -> Json:
    entropy = Entropy(f"lanes {q} {suite}".encode())
    n_max, clip, cap = 10 * q, 0.75 + q / 16, 3.0
    field = field_for(3 * q - 20, q, clip, n_max)
    params = Params(1, (field,), n_max, 3, 3, 0, 0.0, cap, 0.0, 0.0, 0, entropy.draw(16))
    devices: list[Json] = []
    total = [0] * (field.words + 1)
    for weight in (cap, 1.0, 0.1):
        key, hb = entropy.draw(32), entropy.draw(32)
        drawn = [int.from_bytes(entropy.draw(2), "little") for _ in range(field.dims)]
        x = [(value - 32_768) / 30_000 * clip for value in drawn]
        stream = rounding_stream(Suite(suite), key, TASK, hb, 4 * field.dims)
        levels = quantise(field, x, weight / cap, stream)
        words = [*pack(field, levels), weight_word(weight, cap)]
        total = [a + b for a, b in zip(total, words, strict=True)]
        devices.append(
            {
                "rounding_key": key.hex(),
                "Hb": hb.hex(),
                "stream": stream[:64].hex(),
                "x": list[Json](x),
                "weight": weight,
                "levels": list[Json](levels),
                "words": words_bytes(words).hex(),
            }
        )
    return {
        "name": f"q{q}-suite{suite}",
        "suite": suite,
        "task": TASK.hex(),
        "q": q,
        "L": field.L,
        "b": field.b,
        "params": params.encoded().hex(),
        "Hp": params.hash().hex(),
        "devices": devices,
        "sum_words": words_bytes(total).hex(),
        "sums": list[Json](decode_sum(field, unpack(field, total), 3)),
        "weight_sum": total[-1],
    }


def graph_vectors() -> dict[str, Json]:
    """Permutations, the finder's rows, whole graphs."""
    permutations: list[Json] = [
        {
            "label": label,
            "seed": H("sa2/v1/seeded", bytes([n % 256])).hex(),
            "n": n,
            "permutation": list[Json](permutation(label, H("sa2/v1/seeded", bytes([n % 256])), n)),
        }
        for n in (1, 2, 3, 10, 129, 300)
        for label in ("sa2/v1/ring", "sa2/v1/witness", "sa2/v1/seeders")
    ]
    rows: list[Json] = []
    for kind, sets in ROWS.items():
        for n, gamma, delta, sigma, eta in sets:
            with_cut = kind == "in force"
            found = neighbours_and_threshold(n, gamma, delta, sigma, eta, with_cut=with_cut)
            row: dict[str, Json] = {
                "conditions": "i-iv" if with_cut else "i-iii",
                "n": n,
                "gamma_ppm": gamma,
                "delta_ppm": delta,
                "sigma": sigma,
                "eta": eta,
                "k": found[0] if found else 0,
                "t": found[1] if found else 0,
            }
            if with_cut:
                row["K"], row["q"] = committee(n, gamma, delta, sigma, eta)
                row["m"] = seeders(gamma)
            rows.append(row)
    return {
        "about": "2.7, 4.3 to 4.9 and 6.3",
        "permutations": permutations,
        "rows": rows,
        "graphs": [_graph(n) for n in (129, 150)],
        "complete": [_complete(n) for n in (3, 4, 5, 10, 100, 128)],
    }


def _graph(n: int) -> Json:
    claims = Claims(50_000, 100_000, 64, 20, 900_000, 3)
    derived = derive(n, PROFILE_K, claims)
    seed = H("sa2/v1/seeded", n.to_bytes(2, "little"))
    graph = draw_graph(n, PROFILE_K, derived, seed)
    return {
        "n": n,
        "graph_seed": seed.hex(),
        "derived": derived.encoded().hex(),
        "u_min": derived.u_min,
        "ring": list[Json](graph.ring),
        "neighbours_of_0": list[Json](sorted(graph.neighbours[0])),
        "witnesses": list[Json](sorted(graph.witnesses)),
    }


def _complete(n: int) -> Json:
    derived = derive(n, PROFILE_C, Claims(50_000, 100_000, 64, 20, 900_000, 3))
    return {
        "n": n,
        "a": derived.a,
        "t": derived.t,
        "q": derived.q,
        "A_min": derived.A_min,
        "u_min": derived.u_min,
        "derived": derived.encoded().hex(),
    }
