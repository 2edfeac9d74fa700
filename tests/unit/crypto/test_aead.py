"""Boxes: published answers of both suites, and what must not open."""

from __future__ import annotations

import pytest

from dreamshare_crypto.aead import open_box, seal
from dreamshare_crypto.errors import AuthenticationError, ParameterError
from dreamshare_crypto.keys import Secret
from dreamshare_crypto.suite import Suite

# McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test cases 13, 14 and 16:
# key, nonce, plaintext, associated data, ciphertext and tag.
GCM = [
    ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    (
        "00" * 32,
        "00" * 12,
        "00" * 16,
        "",
        "cea7403d4d606b6e074ec5d3baf39d18" + "d0d1c8a799996bf0265b98b5d48ab919",
    ),
    (
        "feffe9928665731c6d6a8f9467308308" * 2,
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
]


# RFC 8439, 2.8.2.
CHACHA = (
    bytes(range(0x80, 0xA0)).hex(),
    "070000004041424344454647",
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
    b"sunscreen would be it.".hex(),
    "50515253c0c1c2c3c4c5c6c7",
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
    "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
    "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
    "3ff4def08e4b7a9de576d26586cec64b6116"
    "1ae10b594f09e26a7e902ecbd0600691",
)
ANSWERS = [*((Suite.AES, *case) for case in GCM), (Suite.CHACHA, *CHACHA)]


@pytest.mark.parametrize(("suite", "key", "nonce", "plain", "aad", "box"), ANSWERS)
def test_known_answers(suite: Suite, key: str, nonce: str, plain: str, aad: str, box: str) -> None:
    secret = Secret(bytes.fromhex(key))
    given = [bytes.fromhex(text) for text in (nonce, plain, aad)]
    assert seal(secret, given[0], given[1], given[2], suite).hex() == box
    assert open_box(secret, given[0], bytes.fromhex(box), given[2], suite) == given[1]


@pytest.mark.parametrize(
    ("nonce", "plain", "sealed"),
    [
        (  # RFC 8439, 2.3.2: the block of counter 1
            "000000090000004a00000000",
            bytes(64),
            "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
            "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
        ),
        (  # RFC 8439, 2.4.2
            "000000000000004a00000000",
            bytes.fromhex(CHACHA[2]),
            "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b"
            "f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8"
            "07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736"
            "5af90bbf74a35be6b40b8eedf2785e42874d",
        ),
    ],
)
def test_chacha20_inside_the_box(nonce: str, plain: bytes, sealed: str) -> None:
    """The AEAD's stream begins with block 1 (2.8), as the RFC's examples of the cipher do."""
    box = seal(Secret(bytes(range(32))), bytes.fromhex(nonce), plain, b"", Suite.CHACHA)
    assert box[:-16].hex() == sealed


KEY, NONCE = Secret(b"k" * 32, "box key"), b"n" * 12


@pytest.mark.parametrize("suite", tuple(Suite))
@pytest.mark.parametrize(
    ("key", "nonce", "change", "aad"),
    [
        (Secret(b"x" * 32), NONCE, 0, b"aad"),
        (KEY, b"x" * 12, 0, b"aad"),
        (KEY, NONCE, 1, b"aad"),
        (KEY, NONCE, 0, b"aaf"),
    ],
)
def test_nothing_else_opens(
    key: Secret, nonce: bytes, change: int, aad: bytes, suite: Suite
) -> None:
    box = bytearray(seal(KEY, NONCE, b"plain", b"aad", suite))
    box[0] ^= change
    with pytest.raises(AuthenticationError):
        open_box(key, nonce, bytes(box), aad, suite)


def test_one_suite_does_not_open_the_other() -> None:
    for suite, other in ((Suite.AES, Suite.CHACHA), (Suite.CHACHA, Suite.AES)):
        with pytest.raises(AuthenticationError):
            open_box(KEY, NONCE, seal(KEY, NONCE, b"plain", b"", suite), b"", other)


@pytest.mark.parametrize("suite", tuple(Suite))
@pytest.mark.parametrize("length", [0, 4, 15, 16])
def test_truncated_boxes_do_not_open(length: int, suite: Suite) -> None:
    with pytest.raises(AuthenticationError):
        open_box(KEY, NONCE, seal(KEY, NONCE, b"plain", b"", suite)[:length], b"", suite)


@pytest.mark.parametrize("suite", tuple(Suite))
def test_key_and_nonce_lengths(suite: Suite) -> None:
    for key, nonce in [(Secret(b"k" * 16), NONCE), (KEY, b"n" * 8), (KEY, b"n" * 16)]:
        with pytest.raises(ParameterError):
            seal(key, nonce, b"", b"", suite)
        with pytest.raises(ParameterError):
            open_box(key, nonce, bytes(16), b"", suite)
