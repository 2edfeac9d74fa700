"""Wycheproof's cases through our wrappers; tests/vectors/wycheproof/README.md says which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dreamshare_crypto.aead import open_box, seal
from dreamshare_crypto.errors import AuthenticationError, MalformedError, ParameterError
from dreamshare_crypto.kdf import hkdf
from dreamshare_crypto.keys import AgreementKey, verify_bytes
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import Suite

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "wycheproof"

COUNTS = {"x25519": 518, "ed25519": 151, "aes_gcm": 66, "chacha20_poly1305": 316, "hkdf_sha256": 86}

NOT_CANONICAL = [
    66,
    67,
    68,
    74,
    75,
    76,
    77,
    78,
    79,
    80,
    81,
    82,
    83,
    84,
    85,
    86,
    87,
    88,
    89,
    90,
    91,
    92,
    93,
    94,
    95,
    96,
    97,
    98,
    99,
]
"""X25519 cases with a value of at least P or its top bit set: `acceptable` there, M1 here (2.5)."""

LOW_ORDER = [32, 33, 63, 64, 65, 69, 70, 71, 72, 73, 117, 118, 154, 165, 166]
"""X25519 cases with a canonical value of low order, whose shared secret is zero."""


def cases(name: str) -> list[dict[str, Any]]:
    return json.loads((FOLDER / f"{name}.json").read_text())["tests"]


def of(case: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(case[name])


def test_the_choice_is_what_the_readme_says() -> None:
    assert {name: len(cases(name)) for name in COUNTS} == COUNTS
    readme = (FOLDER / "README.md").read_text()
    for name, count in COUNTS.items():
        file = json.loads((FOLDER / f"{name}.json").read_text())
        assert file["commit"] in readme
        assert f"`{name}.json`" in readme and f"| {count} of " in readme
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000


def test_x25519() -> None:
    """One process over all: a case takes 50 microseconds."""
    refused = []
    for case in cases("x25519"):
        own = AgreementKey.from_secret(Secret(of(case, "private")))
        try:
            assert own.exchange(of(case, "public")).reveal() == of(case, "shared"), case["tcId"]
        except MalformedError:
            assert case["result"] == "acceptable", case["tcId"]
            refused.append(case["tcId"])
    assert refused == sorted(NOT_CANONICAL + LOW_ORDER)
    zero = {case["tcId"] for case in cases("x25519") if "ZeroSharedSecret" in case["flags"]}
    assert zero <= set(refused)


@pytest.mark.parametrize("result", ["valid", "invalid"])
def test_ed25519(result: str) -> None:
    for case in cases("ed25519"):
        if case["result"] != result:
            continue
        given = of(case, "pk"), of(case, "msg"), of(case, "sig")
        if result == "valid":
            verify_bytes(*given)
        else:
            with pytest.raises(AuthenticationError):
                verify_bytes(*given)


@pytest.mark.parametrize(
    ("name", "suite"), [("aes_gcm", Suite.AES), ("chacha20_poly1305", Suite.CHACHA)]
)
@pytest.mark.parametrize("result", ["valid", "invalid"])
def test_aead(name: str, suite: Suite, result: str) -> None:
    for case in cases(name):
        if case["result"] != result:
            continue
        key, nonce, aad = Secret(of(case, "key")), of(case, "iv"), of(case, "aad")
        box = of(case, "ct") + of(case, "tag")
        if result == "valid":
            assert seal(key, nonce, of(case, "msg"), aad, suite) == box, case["tcId"]
            assert open_box(key, nonce, box, aad, suite) == of(case, "msg"), case["tcId"]
        else:
            with pytest.raises(AuthenticationError):
                open_box(key, nonce, box, aad, suite)


def test_hkdf_sha256() -> None:
    for case in cases("hkdf_sha256"):
        given = of(case, "ikm"), of(case, "salt"), case["size"], of(case, "info")
        if case["result"] == "valid":
            assert hkdf(*given) == of(case, "okm"), case["tcId"]
        else:
            with pytest.raises(ParameterError):
                hkdf(*given)
