"""Vectors of single parts: lanes, graphs, envelopes, enrolment; and that the files are current."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dreamshare_crypto.certificates import Certificate, RevocationList, authority_key_id
from dreamshare_crypto.encoding import Params, decode_sum, encode_vector, words_to_bytes
from dreamshare_crypto.enrolment_messages import EnrolReply, EnrolRequest
from dreamshare_crypto.envelope import (
    Header,
    open_broadcast,
    open_sealed,
    sign_frame,
)
from dreamshare_crypto.errors import AuthenticationError, MalformedError
from dreamshare_crypto.graph import Claims, derive_parameters
from dreamshare_crypto.kdf import derive
from dreamshare_crypto.keys import AgreementKey, IdentityKey
from dreamshare_crypto.prg import Stream
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import Suite
from tests.reference.cast import make_cast
from tests.reference.curve import x25519_public
from tests.reference.files import FILES, SLOW, text
from tests.reference.finder import derive as derive_reference
from tests.reference.graph import draw_graph, seeders_of
from tests.reference.refused_modes import K_BASE
from tests.vectors.player import FOLDER, load

LANES = load("lanes")["cases"]


def test_every_file_has_a_source_and_every_source_a_file() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == set(FILES)


@pytest.mark.parametrize("name", sorted(set(FILES) - SLOW))
def test_the_reference_still_gives_the_committed_file(name: str) -> None:
    assert text(name) == (FOLDER / name).read_text(), f"scripts/vectors --check {name}"


def test_there_are_enough_good_cases() -> None:
    graphs = load("graphs")
    good = len(LANES) + sum(len(graphs[k]) for k in ("permutations", "rows", "graphs", "complete"))
    good += len(load("envelopes")["cases"]) + len(load("enrolment")["certificates"])
    assert good >= 40
    assert {case["q"] for case in LANES} == set(range(8, 21))


@pytest.mark.parametrize("case", LANES, ids=lambda case: case["name"])
def test_lanes(case: dict[str, Any]) -> None:
    params = Params.decode(bytes.fromhex(case["params"]))
    assert params.hash().hex() == case["Hp"]
    total = np.zeros(params.words, dtype=np.uint64)
    for device in case["devices"]:
        key = derive(
            Secret(bytes.fromhex(device["rounding_key"]), "rounding key"),
            bytes.fromhex(case["task"]),
            32,
            "sa2/v1/rounding",
            bytes.fromhex(device["Hb"]),
        )
        x = np.array(device["x"], dtype=np.float64)
        words = encode_vector(params, (x,), device["weight"], Stream(key, Suite(case["suite"])))
        assert words_to_bytes(words).hex() == device["words"]
        total += words
    assert words_to_bytes(total).hex() == case["sum_words"]
    sums, weight = decode_sum(params, total, len(case["devices"]))
    # The order of the last operations is open (12.3): equal to a few units in the last place.
    np.testing.assert_allclose(sums[0], case["sums"], rtol=1e-14, atol=1e-14)
    assert weight * 65_535 == pytest.approx(case["weight_sum"])


@pytest.mark.parametrize("case", load("params")["good"], ids=lambda case: case["name"])
def test_params(case: dict[str, Any]) -> None:
    raw = bytes.fromhex(case["bytes"])
    params = Params.decode(raw)
    assert params.encode() == raw
    assert params.hash().hex() == case["Hp"]
    assert [(f.dims, f.bits, f.lanes, f.lane_bits, f.clip) for f in params.fields] == [
        (f["dims"], f["q"], f["L"], f["b"], f["C"]) for f in case["fields"]
    ]
    assert (params.mode, params.n_max, params.a_min, params.u_min, params.d) == tuple(
        case[key] for key in ("mode", "n_max", "A_min", "u_min", "d")
    )
    noise = (params.noise_variance, params.noise_scale, params.tail)
    assert noise == (case["variance"], case["scale"], case["T"])
    assert (params.l2_clip, params.weight_cap) == (case["l2_clip"], case["W"])
    assert params.round_nonce.hex() == case["round_nonce"]


@pytest.mark.parametrize("case", load("params")["bad"], ids=lambda case: case["name"])
def test_params_that_cannot_be_read(case: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        Params.decode(bytes.fromhex(case["bytes"]))


def test_a_sample_of_profile_k_is_what_the_reference_gives() -> None:
    """The whole file takes the reference a minute: keys, one advertisement, graph and seeders."""
    file = load("session-n129-profile-k")
    cast, set_up = make_cast(K_BASE), file["set_up"]
    assert cast.offer_bytes.hex() == file["offer"]["bytes"]
    assert [device.id.hex() for device in cast.devices] == set_up["ids"]
    device, own = cast.devices[64], set_up["devices"]["64"]
    assert device.nonce_com(cast.ho).hex() == own["nonce_com"]
    assert device.com(cast.ho, 0).hex() == own["com"][0]
    assert x25519_public(device.round_sk(cast.ho, 0)).hex() == own["pk"][0]
    derived = derive_reference(129, 2, K_BASE.claims)
    assert derived.encoded().hex() == set_up["derived"]["bytes"]
    graph = draw_graph(129, 2, derived, bytes.fromhex(set_up["graph_seed"]))
    assert list(graph.ring) == set_up["ring"]
    assert sorted(graph.witnesses) == set_up["witnesses"]
    assert sorted(graph.neighbours[64]) == own["neighbours"]
    assert seeders_of(bytes.fromhex(set_up["rd"]), 129, derived.m) == set_up["seeders"]


@pytest.mark.parametrize("case", load("graphs")["complete"], ids=lambda case: str(case["n"]))
def test_parameters_of_complete_graphs(case: dict[str, Any]) -> None:
    derived = derive_parameters(case["n"], Claims(1, 1, 50_000, 100_000, 64, 20, 900_000, 0, 3))
    assert derived.encode().hex() == case["derived"]
    assert (derived.a, derived.t, derived.q) == (case["a"], case["t"], case["q"])
    assert (derived.a_min, derived.u_min) == (case["A_min"], case["u_min"])


ENVELOPES = load("envelopes")


@pytest.mark.parametrize("case", ENVELOPES["cases"], ids=lambda case: case["name"])
def test_envelopes(case: dict[str, Any]) -> None:
    raw, travelling = bytes.fromhex(case["header"]), bytes.fromhex(case["travelling"])
    header = Header.decode(raw)
    assert header.encode() == raw
    key = IdentityKey.from_secret(Secret(bytes.fromhex(ENVELOPES["sender_ik_secret"]), "ik"))
    assert sign_frame(key, header, travelling).signature.hex() == case["signature"]
    match case["name"]:
        case "sealed-to-one":
            secret = Secret(bytes.fromhex(ENVELOPES["receiver_kem_secret"]), "kem")
            body = open_sealed(AgreementKey.from_secret(secret), header, travelling)
        case "sealed-to-all":
            group = Secret(bytes.fromhex(ENVELOPES["group_key"]), "group key")
            body = open_broadcast(group, header, travelling)
        case _:
            body = travelling
    assert body.hex() == case["body"]


ENROLMENT = load("enrolment")


def of(name: str) -> bytes:
    return bytes.fromhex(ENROLMENT[name])


def test_certificates_of_every_role() -> None:
    authority = IdentityKey.from_secret(Secret(of("authority_secret"), "authority"))
    assert authority_key_id(authority.public) == of("authority_key_id")
    for case in ENROLMENT["certificates"]:
        raw = bytes.fromhex(case["bytes"])
        certificate = Certificate.decode(raw)
        certificate.verify(authority.public, ENROLMENT["not_before"])
        assert certificate.encode() == raw
        assert (certificate.role, certificate.serial) == (case["role"], case["serial"])
        assert certificate.id.hex() == case["id"]
    listed = ENROLMENT["revocations"]
    revocations = RevocationList.decode(bytes.fromhex(listed["bytes"]))
    revocations.verify(authority.public, listed["this_update"])
    assert revocations.encode().hex() == listed["bytes"]
    assert sorted(revocations.serials) == listed["serials"]


def test_enrolment_messages() -> None:
    token_key, nonce = Secret(of("token_key"), "token key"), of("device_nonce")
    for name, key in (("request", token_key), ("renewal", None)):
        request = EnrolRequest.decode(of(name))
        request.verify(key)
        assert request.encode() == of(name)
        assert request.fingerprint().replace(" ", "").replace("-", "") == ENROLMENT["fingerprint"]
    for name, key in (("reply", token_key), ("renewal_reply", None)):
        reply = EnrolReply.decode(of(name))
        reply.verify(nonce, key)
        assert reply.encode() == of(name)


@pytest.mark.parametrize("name", ["request", "renewal"])
@pytest.mark.parametrize("at", range(0, 300, 23))
def test_a_changed_request_is_refused(name: str, at: int) -> None:
    raw = bytearray(of(name))
    if at < len(raw):
        raw[at] ^= 1
        key = Secret(of("token_key"), "token key") if name == "request" else None
        with pytest.raises((AuthenticationError, MalformedError)):
            EnrolRequest.decode(bytes(raw)).verify(key)
