"""ChaCha20 and Poly1305 (RFC 8439): suite 2."""

from __future__ import annotations

import struct

_QUARTERS = (
    (0, 4, 8, 12),
    (1, 5, 9, 13),
    (2, 6, 10, 14),
    (3, 7, 11, 15),
    (0, 5, 10, 15),
    (1, 6, 11, 12),
    (2, 7, 8, 13),
    (3, 4, 9, 14),
)


def _left(value: int, by: int) -> int:
    return (value << by | value >> 32 - by) & 0xFFFFFFFF


def chacha20_block(key: bytes, counter: int, nonce: bytes) -> bytes:
    """RFC 8439 section 2.3."""
    start = [
        *(0x61707865, 0x3320646E, 0x79622D32, 0x6B206574),
        *struct.unpack("<8I", key),
        counter,
        *struct.unpack("<3I", nonce),
    ]
    s = list(start)
    for _ in range(10):
        for a, b, c, d in _QUARTERS:
            s[a] = s[a] + s[b] & 0xFFFFFFFF
            s[d] = _left(s[d] ^ s[a], 16)
            s[c] = s[c] + s[d] & 0xFFFFFFFF
            s[b] = _left(s[b] ^ s[c], 12)
            s[a] = s[a] + s[b] & 0xFFFFFFFF
            s[d] = _left(s[d] ^ s[a], 8)
            s[c] = s[c] + s[d] & 0xFFFFFFFF
            s[b] = _left(s[b] ^ s[c], 7)
    return struct.pack("<16I", *((x + y) & 0xFFFFFFFF for x, y in zip(s, start, strict=True)))


def chacha20(key: bytes, counter: int, nonce: bytes, size: int) -> bytes:
    """The keystream from the given block on."""
    blocks = (chacha20_block(key, counter + i, nonce) for i in range((size + 63) // 64))
    return b"".join(blocks)[:size]


def poly1305(key: bytes, data: bytes) -> bytes:
    """RFC 8439 section 2.5."""
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(data), 16):
        total = (total + int.from_bytes(data[i : i + 16] + b"\1", "little")) * r % (2**130 - 5)
    total += int.from_bytes(key[16:], "little")
    return (total % 2**128).to_bytes(16, "little")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def chacha20_poly1305_seal(key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
    """Ciphertext and tag, one behind the other (section 2.8)."""
    stream = chacha20(key, 1, nonce, len(plain))
    sealed = bytes(a ^ b for a, b in zip(plain, stream, strict=True))
    lengths = struct.pack("<QQ", len(aad), len(sealed))
    one_time = chacha20(key, 0, nonce, 32)
    return sealed + poly1305(one_time, _padded(aad) + _padded(sealed) + lengths)
