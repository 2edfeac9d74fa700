"""Vectors of single parts: lanes, uniform integers, graphs, the finder's rows, sealing, enrolment."""

from __future__ import annotations

from tests.reference import certificates, envelope
from tests.reference.cast import FEDERATION, NOW, TASK, YEAR_S
from tests.reference.certificates import DEVICE, Party
from tests.reference.curve import ed25519_public, x25519_public
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
    """Each width q = 8..20 in both suites, weights that do not divide evenly, and a sum of three."""
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
        x = [(int.from_bytes(entropy.draw(2), "little") - 32_768) / 30_000 * clip] * 1
        x += [
            (int.from_bytes(entropy.draw(2), "little") - 32_768) / 30_000 * clip
            for _ in range(field.dims - 1)
        ]
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
            "permutation": list[Json](
                permutation(label, H("sa2/v1/seeded", bytes([n % 256])), n)
            ),
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


def envelope_vectors() -> dict[str, Json]:
    """A signed frame, a body for one receiver, a body for all (14.1 to 14.3)."""
    entropy = Entropy(b"envelopes")
    sender, receiver = entropy.draw(32), entropy.draw(32)
    ephemeral, group, salt = entropy.draw(32), entropy.draw(32), entropy.draw(32)
    body = b"a body of some bytes, not a multiple of sixteen"
    cases: list[Json] = []
    overhead = {0: 0, envelope.SEALED: 48, envelope.SEALED | envelope.BROADCAST: 48}
    for flags, extra in overhead.items():
        broadcast = bool(flags & envelope.BROADCAST)
        header = envelope.Header(
            flags,
            FEDERATION,
            TASK,
            H("sa2/v1/sid", b"example"),
            7,
            8,
            3 if broadcast else 0,
            b"sender-id-000001",
            envelope.EVERYBODY if broadcast else b"receiver-id-0002",
            NOW,
            41,
            len(body) + extra,
        ).encoded()
        if broadcast:
            travelling = envelope.sealed_to_all(Suite(1), group, salt, header, body)
        elif flags:
            kem = x25519_public(receiver)
            travelling = envelope.sealed_to_one(Suite(1), ephemeral, kem, header, body)
        else:
            travelling = body
        cases.append(
            {
                "name": {0: "in-clear", 1: "sealed-to-one", 3: "sealed-to-all"}[flags],
                "flags": flags,
                "header": header.hex(),
                "body": body.hex(),
                "travelling": travelling.hex(),
                "signature": envelope.signature(header, travelling, sender).hex(),
            }
        )
    return {
        "about": "14.1 to 14.3; suite 1 (17.20)",
        "sender_ik_secret": sender.hex(),
        "receiver_kem_secret": receiver.hex(),
        "ephemeral_secret": ephemeral.hex(),
        "group_key": group.hex(),
        "salt": salt.hex(),
        "cases": cases,
    }


def enrolment_vectors() -> dict[str, Json]:
    """Certificates of every role, a revocation list, requests and replies (section 5)."""
    entropy = Entropy(b"enrolment")
    authority, token_id, token_key = entropy.draw(32), entropy.draw(16), entropy.draw(32)
    nonce = entropy.draw(16)
    parties = [
        Party(FEDERATION, role, entropy.draw(32), entropy.draw(32), role, NOW, NOW + YEAR_S)
        for role in (1, 2, 3, 4)
    ]
    device = parties[DEVICE - 1]
    certificate = device.certificate(authority)
    aggregators = [parties[1].certificate(authority)]
    revocations = certificates.revocation_list(
        authority, FEDERATION, 9, NOW, NOW + 86_400, (3, 5, 8)
    )
    csr, chain, roots = b"a certification request", b"a chain", b"roots"
    parts = (certificate, chain, aggregators, roots, revocations)
    return {
        "about": "5.1 to 5.7, 17.11, 17.14; TLS material is opaque here",
        "authority_secret": authority.hex(),
        "authority_key_id": certificates.authority_key_id(ed25519_public(authority)).hex(),
        "federation": FEDERATION.hex(),
        "not_before": NOW,
        "not_after": NOW + YEAR_S,
        "certificates": [
            {
                "role": party.role,
                "serial": party.serial,
                "ik_secret": party.ik_secret.hex(),
                "kem_secret": party.kem_secret.hex(),
                "id": party.id.hex(),
                "bytes": party.certificate(authority).hex(),
            }
            for party in parties
        ],
        "revocations": {
            "number": 9,
            "this_update": NOW,
            "next_update": NOW + 86_400,
            "serials": [3, 5, 8],
            "bytes": revocations.hex(),
        },
        "token_id": token_id.hex(),
        "token_key": token_key.hex(),
        "device_nonce": nonce.hex(),
        "tls_csr": csr.hex(),
        "tls_chain": chain.hex(),
        "tls_roots": roots.hex(),
        "request": certificates.enrol_request(token_id, token_key, device, nonce, csr).hex(),
        "renewal": certificates.renewal_request(device, nonce, csr).hex(),
        "reply": certificates.enrol_reply(authority, token_key, nonce, *parts).hex(),
        "renewal_reply": certificates.enrol_reply(authority, b"", nonce, *parts).hex(),
        "fingerprint": certificates.fingerprint(
            FEDERATION, device.ik, x25519_public(device.kem_secret)
        ).hex(),
    }
