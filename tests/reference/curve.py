"""X25519 (RFC 7748) and Ed25519 (RFC 8032), as their texts write them down."""

from __future__ import annotations

import hashlib

from tests.reference.values import P

_Point = tuple[int, int, int, int]

BASE_U = (9).to_bytes(32, "little")
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, P - 2, P) % P


def x25519(scalar: bytes, u: bytes) -> bytes:
    """RFC 7748 section 5: clamp, ladder, encode."""
    clamped = bytearray(scalar)
    clamped[0] &= 248
    clamped[31] = (clamped[31] & 127) | 64
    k = int.from_bytes(clamped, "little")
    x1 = int.from_bytes(u, "little") % 2**255 % P
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap != bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3 = (da + cb) ** 2 % P
        z3 = x1 * (da - cb) ** 2 % P
        x2 = aa * bb % P
        z2 = e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def x25519_public(scalar: bytes) -> bytes:
    return x25519(scalar, BASE_U)


def _add(p: _Point, q: _Point) -> _Point:
    """RFC 8032 section 5.1.4, extended coordinates."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * _D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(k: int, p: _Point) -> _Point:
    total: _Point = (0, 1, 1, 0)
    while k:
        if k & 1:
            total = _add(total, p)
        p = _add(p, p)
        k >>= 1
    return total


def _x_of(y: int, sign: int) -> int:
    square = (y * y - 1) * pow(_D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        raise ValueError("not a point")
    return P - x if x & 1 != sign else x


_BASE_Y = 4 * pow(5, P - 2, P) % P
_BASE: _Point = (_x_of(_BASE_Y, 0), _BASE_Y, 1, _x_of(_BASE_Y, 0) * _BASE_Y % P)


def _compress(p: _Point) -> bytes:
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decompress(data: bytes) -> _Point:
    value = int.from_bytes(data, "little")
    y, sign = value % 2**255, value >> 255
    x = _x_of(y, sign)
    return x, y, 1, x * y % P


def _expand(secret: bytes) -> tuple[int, bytes]:
    digest = hashlib.sha512(secret).digest()
    a = int.from_bytes(digest[:32], "little")
    return (a & (1 << 254) - 8) | 1 << 254, digest[32:]


def _challenge(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % _ORDER


def ed25519_public(secret: bytes) -> bytes:
    return _compress(_times(_expand(secret)[0], _BASE))


def ed25519_sign(secret: bytes, message: bytes) -> bytes:
    """RFC 8032 section 5.1.6."""
    a, prefix = _expand(secret)
    public = _compress(_times(a, _BASE))
    r = _challenge(prefix, message)
    point = _compress(_times(r, _BASE))
    s = (r + _challenge(point, public, message) * a) % _ORDER
    return point + s.to_bytes(32, "little")


def ed25519_holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """RFC 8032 section 5.1.7, without cofactor."""
    s = int.from_bytes(signature[32:], "little")
    if s >= _ORDER:
        return False
    k = _challenge(signature[:32], public, message)
    right = _add(_decompress(signature[:32]), _times(k, _decompress(public)))
    return _compress(_times(s, _BASE)) == _compress(right)
