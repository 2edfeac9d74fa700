"""Hash and derivation: RFC 5869 answers, unambiguous parts, labels of ours only."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.kdf import derive, hash_parts, hkdf, lp
from dreamshare_crypto.keys import Secret

RFC_5869 = [  # appendix A.1, A.2, A.3
    (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c6"
        "5e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    (
        "0b" * 22,
        "",
        "",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]


@pytest.mark.parametrize(("ikm", "salt", "info", "okm"), RFC_5869)
def test_rfc_5869(ikm: str, salt: str, info: str, okm: str) -> None:
    key, salt_bytes, length = bytes.fromhex(ikm), bytes.fromhex(salt), len(okm) // 2
    assert hkdf(key, salt_bytes, length, bytes.fromhex(info)).hex() == okm
    ours = derive(key, salt_bytes, length, "sa2/v1/test", bytes.fromhex(info))
    labelled = lp(b"sa2/v1/test", bytes.fromhex(info))  # our labels are part of info
    assert ours.reveal() == hkdf(key, salt_bytes, length, labelled)
    assert derive(Secret(key), salt_bytes, length, "sa2/v1/test", bytes.fromhex(info)) == ours


def test_lp_is_a_u64_length_before_each_part() -> None:
    assert lp(b"", b"ab") == bytes(8) + b"\x02" + bytes(7) + b"ab"


def test_hash_is_sha256_of_the_prefixed_parts() -> None:
    assert hash_parts("sa2/v1/x", b"ab") == hashlib.sha256(lp(b"sa2/v1/x", b"ab")).digest()


@given(st.lists(st.binary(max_size=9), max_size=5), st.lists(st.binary(max_size=9), max_size=5))
def test_no_two_lists_of_parts_collide(one: list[bytes], other: list[bytes]) -> None:
    assert (lp(*one) == lp(*other)) == (one == other)


@pytest.mark.parametrize("label", ["", "sa2/v2/x", "x", "sa2/v1/schl\u00fcssel"])
def test_labels_are_ascii_and_ours(label: str) -> None:
    with pytest.raises(ParameterError, match="label"):
        hash_parts(label)
    with pytest.raises(ParameterError, match="label"):
        derive(b"key", b"", 32, label)


@pytest.mark.parametrize("length", [-1, 0, 255 * 32 + 1])
def test_lengths_outside_hkdf_are_refused(length: int) -> None:
    with pytest.raises(ParameterError, match="bytes"):
        derive(b"key", b"", length, "sa2/v1/x")


def test_label_salt_and_parts_all_matter() -> None:
    keys = [
        derive(b"key", b"salt", 32, "sa2/v1/x", b"a"),
        derive(b"kez", b"salt", 32, "sa2/v1/x", b"a"),
        derive(b"key", b"sals", 32, "sa2/v1/x", b"a"),
        derive(b"key", b"salt", 32, "sa2/v1/y", b"a"),
        derive(b"key", b"salt", 32, "sa2/v1/x", b"b"),
        derive(b"key", b"salt", 32, "sa2/v1/x", b"a", b""),
    ]
    assert len({key.reveal() for key in keys}) == len(keys)
