"""A session as JSON: docs/implementers.md says what each field is.

Bytes are lower-case hexadecimal, floats are Python's shortest repr, keys of mappings are roster
indices. Of devices that a recipe does not list in `full`, long values are left out or hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypeAlias

from tests.reference.cast import NOW, Cast, Recipe, make_cast
from tests.reference.curve import ed25519_public, x25519_public
from tests.reference.device import PAIR, SELF, box_nonce
from tests.reference.lanes import words_bytes
from tests.reference.rounds import Round, run_round
from tests.reference.setup import SetUp, set_up
from tests.reference.values import bitmap, element, evaluate

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json]"

MASK_BYTES = 64


def hexed(values: Mapping[int, bytes]) -> Json:
    return {str(k): v.hex() for k, v in sorted(values.items())}


def digests(values: Mapping[int, bytes]) -> Json:
    """SHA-256 of each: for what would make a file large."""
    return {str(k): hashlib.sha256(v).hexdigest() for k, v in sorted(values.items())}


def session_vector(recipe: Recipe) -> tuple[dict[str, Json], SetUp, list[Round]]:
    """Run the recipe and write it down."""
    cast = make_cast(recipe)
    setup = set_up(cast)
    rounds = [run_round(setup, r) for r in recipe.rounds]
    full = recipe.full or tuple(range(recipe.n))
    return (
        {
            "name": recipe.name,
            "about": recipe.about,
            "now": NOW,
            "parties": _parties(cast, full),
            "offer": _offer(cast),
            "set_up": _set_up(setup, full),
            "rounds": [_round(setup, run, full) for run in rounds],
        },
        setup,
        rounds,
    )


def _parties(cast: Cast, full: tuple[int, ...]) -> Json:
    devices: list[Json] = []
    for i in full:
        party, draws = cast.devices[i].party, cast.draws[i]
        devices.append(
            {
                "index": i,
                "id": party.id.hex(),
                "ik_secret": party.ik_secret.hex(),
                "kem_secret": party.kem_secret.hex(),
                "certificate": cast.certificates[i].hex(),
                "draws": {
                    "rounding_key": draws[0].hex(),
                    "epoch_seed": draws[1].hex(),
                    "seed_wrap_key": draws[2].hex(),
                    "chain_0": draws[3].hex(),
                },
            }
        )
    return {
        "authority_secret": cast.authority.hex(),
        "authority_key": ed25519_public(cast.authority).hex(),
        "aggregator": {
            "id": cast.aggregator.id.hex(),
            "ik_secret": cast.aggregator.ik_secret.hex(),
            "kem_secret": cast.aggregator.kem_secret.hex(),
            "certificate": cast.aggregator_certificate.hex(),
        },
        "revocations": cast.revocations.hex(),
        "devices": devices,
    }


def _offer(cast: Cast) -> Json:
    o, c = cast.offer, cast.offer.claims
    return {
        "suite": o.suite,
        "profile": o.profile,
        "mode": o.mode,
        "federation": o.federation.hex(),
        "task": o.task.hex(),
        "epoch": o.epoch,
        "R": o.R,
        "not_before": o.not_before,
        "life_s": o.life_s,
        "gamma_ppm": c.gamma_ppm,
        "delta_ppm": c.delta_ppm,
        "sigma": c.sigma,
        "eta": c.eta,
        "A_min_ppm": c.A_min_ppm,
        "d_ppm": c.d_ppm,
        "least_cohort": c.least_cohort,
        "n_max": o.n_max,
        "template": [
            {"algorithm": t.algorithm, "step": t.step, "params": t.params.encoded().hex()}
            for t in o.templates
        ],
        "deadlines": list(o.deadlines),
        "bytes": cast.offer_bytes.hex(),
        "ho": cast.ho.hex(),
    }


def _set_up(setup: SetUp, full: tuple[int, ...]) -> Json:
    session, d = setup.session, setup.session.derived
    return {
        "n": session.n,
        "ids": [session.id(i).hex() for i in range(session.n)],
        "advertise": hexed({i: setup.advertise[i] for i in full}),
        "advertise_sha256": digests(dict(enumerate(setup.advertise))),
        "roster": setup.roster.hex(),
        "rd": session.rd.hex(),
        "seeders": list(setup.seeders),
        "reveal": hexed({i: v for i, v in setup.reveals.items() if i in full}),
        "seed": setup.seed.hex(),
        "graph_seed": session.graph_seed.hex(),
        "derived": {
            "a": d.a,
            "t": d.t,
            "k": d.k,
            "q": d.q,
            "K": d.K,
            "m": d.m,
            "A_min": d.A_min,
            "u_min": d.u_min,
            "d": d.d,
            "bytes": d.encoded().hex(),
        },
        "ring": list(session.graph.ring),
        "witnesses": [*sorted(session.graph.witnesses)],
        "sid": session.sid.hex(),
        "devices": {str(i): _dealing(setup, i) for i in full},
        "shares_sha256": digests(setup.shares),
        "peer_keys": hexed({i: setup.peer_keys[i] for i in full}),
        "deliver": hexed({i: v for i, v in setup.deliver.items() if i in full}),
        "ready": hexed({i: v for i, v in setup.ready.items() if i in full}),
        "ready_sha256": digests(setup.ready),
    }


def _dealing(setup: SetUp, i: int) -> Json:
    cast, session = setup.cast, setup.session
    device, ho, rounds = cast.devices[i], cast.ho, range(cast.offer.R)
    near = sorted(session.graph.neighbours[i])
    boxes: dict[str, Json] = {}
    for j in near[:2] if i in setup.boxes else []:
        key = device.box_key(session, i, j)
        plain = b"".join(element(evaluate(p, j + 1)) for p in setup.polynomials[i])
        boxes[str(j)] = {
            "key": key.hex(),
            "nonce": box_nonce(key, session.sid, plain).hex(),
            "plain": plain.hex(),
            "box": setup.boxes[i][j].hex(),
        }
    return {
        "neighbours": list(near),
        "box_sk": device.box_sk(ho).hex(),
        "nonce": device.nonce(ho).hex(),
        "nonce_com": device.nonce_com(ho).hex(),
        "p": [element(device.secret(ho, PAIR, r)).hex() for r in rounds],
        "s": [element(device.secret(ho, SELF, r)).hex() for r in rounds],
        "sk": [device.round_sk(ho, r).hex() for r in rounds],
        "pk": [pk.hex() for pk in setup.pks[i]],
        "com": [com.hex() for com in setup.coms[i]],
        "box_pk": x25519_public(device.box_sk(ho)).hex(),
        "first_coefficients": [
            [element(c).hex() for c in polynomial[1:3]] for polynomial in setup.polynomials[i]
        ],
        "boxes": boxes,
        "shares": setup.shares[i].hex() if i in setup.shares else "",
    }


def _round(setup: SetUp, run: Round, full: tuple[int, ...]) -> Json:
    n = setup.session.n
    return {
        "r": run.r,
        "A_r": bitmap(run.active, n).hex(),
        "Hb": run.payload[0].hex(),
        "Hb_without_draw": run.payload[1].hex(),
        "draw": run.payload[2],
        "params": run.params.encoded().hex(),
        "Hp": run.params.hash().hex(),
        "rctx": run.rctx.hex(),
        "start": run.start.hex(),
        "devices": {str(i): _vector(setup, run, i) for i in full if i in run.words},
        "inputs_sha256": digests(run.inputs),
        "U_r": bitmap(run.U, n).hex(),
        "survivors": run.survivors.hex(),
        "agree": hexed({i: m for i, m in run.agrees.items() if i in full}),
        "agree_set": run.agree_set.hex(),
        "response": hexed({i: m for i, m in run.responses.items() if i in full}),
        "responses_sha256": digests(run.responses),
        "reconstructed": {
            "s": hexed({j: element(v) for j, v in run.s.items()}),
            "p": hexed({j: element(v) for j, v in run.p.items()}),
            "sk": hexed(run.sks),
        },
        "sum_words": words_bytes(run.total).hex(),
        "sums": [list(field) for field in run.sums],
        "weight_sum": run.weight_sum,
        "result": run.result.hex(),
    }


def _vector(setup: SetUp, run: Round, i: int) -> Json:
    suite = setup.session.suite
    x, weight = run.updates[i]
    first = setup.session.graph.neighbours[i] & set(run.pair_keys[i])
    shown = sorted(first)[:3] if len(first) > 12 else sorted(first)
    return {
        "x": [list(field) for field in x],
        "weight": weight,
        "words": words_bytes(run.words[i]).hex(),
        "self_key": run.self_keys[i].hex(),
        "self_mask": suite.stream(run.self_keys[i], MASK_BYTES).hex(),
        "pairs": {
            str(j): {
                "sign": 1 if i < j else -1,
                "key": run.pair_keys[i][j].hex(),
                "mask": suite.stream(run.pair_keys[i][j], MASK_BYTES).hex(),
            }
            for j in shown
        },
        "y": words_bytes(run.y[i]).hex(),
        "masked_input": run.inputs[i].hex(),
    }
