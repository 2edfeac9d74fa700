"""AES-256 in counter mode and GCM (FIPS 197, SP 800-38A, SP 800-38D): suite 1."""

from __future__ import annotations


def _double(value: int) -> int:
    return (value << 1 ^ 0x11B) & 0xFF if value & 0x80 else value << 1


def _sbox() -> bytes:
    """FIPS 197 section 5.1.1: inverse in GF(2^8), then the affine map."""
    table = bytearray(256)
    p = q = 1
    while True:
        p = p ^ _double(p)  # times 3
        q ^= q << 1  # divided by 3
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        x = q ^ _turn(q, 1) ^ _turn(q, 2) ^ _turn(q, 3) ^ _turn(q, 4)
        table[p] = x ^ 0x63
        if p == 1:
            break
    table[0] = 0x63
    return bytes(table)


def _turn(value: int, by: int) -> int:
    return (value << by | value >> 8 - by) & 0xFF


SBOX = _sbox()
# Column of MixColumns for the byte s: (2s, s, s, 3s), as one big-endian word.
_MIX = [_double(s) << 24 | s << 16 | s << 8 | (_double(s) ^ s) for s in SBOX]


def _round_keys(key: bytes) -> list[int]:
    """FIPS 197 section 5.2 for a key of 32 bytes: 60 words."""
    words = [int.from_bytes(key[i : i + 4], "big") for i in range(0, 32, 4)]
    constant = 1
    for i in range(8, 60):
        word = words[-1]
        if i % 8 == 0:
            word = _substitute((word << 8 | word >> 24) & 0xFFFFFFFF) ^ constant << 24
            constant = _double(constant)
        elif i % 8 == 4:
            word = _substitute(word)
        words.append(words[i - 8] ^ word)
    return words


def _substitute(word: int) -> int:
    return int.from_bytes(bytes(SBOX[b] for b in word.to_bytes(4, "big")), "big")


def _rotate(word: int, bits: int) -> int:
    return (word >> bits | word << 32 - bits) & 0xFFFFFFFF


def _encrypt(words: list[int], block: bytes) -> bytes:
    state = [int.from_bytes(block[4 * c : 4 * c + 4], "big") ^ words[c] for c in range(4)]
    for i in range(1, 15):
        rows = [
            (
                state[c] >> 24,
                state[(c + 1) % 4] >> 16 & 255,
                state[(c + 2) % 4] >> 8 & 255,
                state[(c + 3) % 4] & 255,
            )
            for c in range(4)
        ]
        if i < 14:
            state = [
                _MIX[a] ^ _rotate(_MIX[b], 8) ^ _rotate(_MIX[c], 16) ^ _rotate(_MIX[d], 24)
                for a, b, c, d in rows
            ]
        else:
            state = [SBOX[a] << 24 | SBOX[b] << 16 | SBOX[c] << 8 | SBOX[d] for a, b, c, d in rows]
        state = [state[c] ^ words[4 * i + c] for c in range(4)]
    return b"".join(word.to_bytes(4, "big") for word in state)


def aes256_block(key: bytes, block: bytes) -> bytes:
    return _encrypt(_round_keys(key), block)


def aes256_ctr(key: bytes, initial: bytes, size: int) -> bytes:
    """The keystream from the 16-byte counter block on: a big-endian 128-bit counter."""
    words, counter = _round_keys(key), int.from_bytes(initial, "big")
    blocks = []
    for i in range((size + 15) // 16):
        blocks.append(_encrypt(words, ((counter + i) % 2**128).to_bytes(16, "big")))
    return b"".join(blocks)[:size]


def _ghash(h: int, data: bytes) -> int:
    """SP 800-38D section 6.4; bits count from the left."""
    total = 0
    for i in range(0, len(data), 16):
        total ^= int.from_bytes(data[i : i + 16], "big")
        product, v = 0, h
        for bit in range(127, -1, -1):
            if total >> bit & 1:
                product ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        total = product
    return total


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def _tag(key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
    h = int.from_bytes(aes256_block(key, bytes(16)), "big")
    lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(sealed)).to_bytes(8, "big")
    s = _ghash(h, _padded(aad) + _padded(sealed) + lengths)
    mask = aes256_block(key, nonce + b"\0\0\0\1")
    return (s ^ int.from_bytes(mask, "big")).to_bytes(16, "big")


def aes256_gcm_seal(key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
    """Ciphertext and tag, one behind the other; nonce of 12 bytes."""
    stream = aes256_ctr(key, nonce + b"\0\0\0\2", len(plain))
    sealed = bytes(a ^ b for a, b in zip(plain, stream, strict=True))
    return sealed + _tag(key, nonce, sealed, aad)
