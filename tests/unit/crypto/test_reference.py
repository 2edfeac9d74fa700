"""The reference implementation is its own: nothing of Dreamshare, no numpy, no cryptography."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.reference.chacha import chacha20_block, poly1305
from tests.reference.ciphers import aes256_block, aes256_ctr, aes256_gcm_seal
from tests.reference.curve import ed25519_holds, ed25519_public, ed25519_sign, x25519_public
from tests.reference.finder import committee, neighbours_and_threshold
from tests.reference.values import hkdf

ROWS = [
    (129, 5, 10, 30, 19, 25, 16),
    (200, 5, 10, 42, 27, 35, 23),
    (300, 5, 10, 52, 34, 46, 31),
    (500, 5, 10, 72, 49, 57, 40),
    (1000, 5, 10, 90, 62, 64, 45),
    (129, 5, 5, 20, 14),
    (1000, 5, 5, 62, 46),
    (129, 10, 10, 38, 26),
    (1000, 10, 10, 114, 82),
]

FOLDER = Path(__file__).resolve().parents[2] / "reference"


def imported(path: Path) -> set[str]:
    """Return the top-level packages that a file imports, and tests.* in full."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None
            names = [node.module]
        for name in names:
            found.add(name if name.startswith("tests") else name.split(".")[0])
    return found


def test_reference_shares_no_code_with_the_package() -> None:
    files = sorted(FOLDER.glob("*.py"))
    assert len(files) >= 15
    for path in files:
        for name in imported(path):
            own = name == "tests.reference" or name.startswith("tests.reference.")
            assert own or name in sys.stdlib_module_names, f"{path.name} imports {name}"
            assert name not in {"importlib", "subprocess", "ctypes"}, path.name


def test_files_of_the_reference_are_short() -> None:
    lengths = {p.name: len(p.read_text().splitlines()) for p in FOLDER.glob("*.py")}
    assert max(lengths.values()) <= 250, lengths


def test_primitives_of_the_reference_give_published_answers() -> None:
    """FIPS 197 C.3; SP 800-38A F.5.5; GCM test case 14; RFC 8439 2.3.2, 2.5.2; 7748; 8032; 5869."""
    counting = bytes(range(32))
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert aes256_block(counting, block).hex() == "8ea2b7ca516745bfeafc49904b496089"
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    assert aes256_ctr(key, bytes(range(0xF0, 0x100)), 32).hex() == (
        "0bdf7df1591716335e9a8b15c860c5025a6e699d536119065433863c8f657b94"
    )
    assert aes256_gcm_seal(bytes(32), bytes(12), bytes(16), b"").hex() == (
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
    )
    nonce = bytes.fromhex("000000090000004a00000000")
    assert chacha20_block(counting, 1, nonce).hex().startswith("10f1e7e4d13b5915500fdd1fa32071c4")
    tag_key = bytes.fromhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")
    tag = poly1305(tag_key, b"Cryptographic Forum Research Group")
    assert tag.hex() == "a8061dc1305136c6c22b8baf0c0127a9"
    alice = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    assert x25519_public(alice).hex() == (
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    )
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    signature = ed25519_sign(secret, b"\x72")
    assert signature.hex().startswith("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8f")
    assert ed25519_holds(ed25519_public(secret), b"\x72", signature)
    assert not ed25519_holds(ed25519_public(secret), b"\x73", signature)
    info = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9")
    assert hkdf(b"\x0b" * 22, bytes(range(13)), 42, info).hex().startswith("3cb25f25faacd57a")


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_finder_gives_the_rows_of_the_text(row: tuple[int, ...]) -> None:
    """4.7 and 4.8: n, gamma and delta in per cent, k, t; then K and q where the text has them."""
    n, gamma, delta, k, t, *committee_row = row
    shares = (gamma * 10_000, delta * 10_000)
    assert neighbours_and_threshold(n, *shares, 64, 20) == (k, t)
    if committee_row:
        assert committee(n, *shares, 64, 20) == tuple(committee_row)
