"""Vectors of what parties do outside rounds: sealed bodies, certificates, enrolment (5, 14)."""

from __future__ import annotations

from tests.reference import certificates, envelope
from tests.reference.cast import FEDERATION, NOW, TASK, YEAR_S
from tests.reference.certificates import DEVICE, Party
from tests.reference.curve import ed25519_public, x25519_public
from tests.reference.session_vectors import Json
from tests.reference.suites import Suite
from tests.reference.values import Entropy, H


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
