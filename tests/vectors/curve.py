"""Curve25519 in three dresses: Ed25519, X25519 and the ristretto255 group.

In: byte strings and whole numbers. Out: byte strings, whole numbers and points (extended coordinates X, Y, Z, T);
None where an encoding has no meaning. After RFC 7748, RFC 8032 and RFC 9496. Not constant-time: for checking only.
"""

import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235
IDENTITY = (0, 1, 1, 0)


def add(a, b):
    """Sum of two points."""
    m = (a[1] - a[0]) * (b[1] - b[0]) % P
    n = (a[1] + a[0]) * (b[1] + b[0]) % P
    t = 2 * D * a[3] * b[3] % P
    z = 2 * a[2] * b[2] % P
    e, f, g, h = n - m, z - t, z + t, n + m
    return e * f % P, g * h % P, f * g % P, e * h % P


def double(a):
    """Twice a point."""
    x2, y2, z2 = a[0] * a[0] % P, a[1] * a[1] % P, 2 * a[2] * a[2] % P
    h = x2 + y2
    e = h - (a[0] + a[1]) ** 2 % P
    g = x2 - y2
    f = z2 + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def negative(a):
    """The inverse of a point."""
    return -a[0] % P, a[1], a[2], -a[3] % P


def multiply(scalar, point):
    """A whole number, which may be negative, times a point; windows of four bits."""
    if scalar < 0:
        return multiply(-scalar, negative(point))
    table = [IDENTITY]
    for _ in range(15):
        table.append(add(table[-1], point))
    total = IDENTITY
    for place in range((scalar.bit_length() + 3) // 4 - 1, -1, -1):
        total = double(double(double(double(total))))
        digit = scalar >> 4 * place & 15
        if digit:
            total = add(total, table[digit])
    return total


def equal(a, b):
    """Whether two points of the Edwards curve are the same."""
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def from_affine(x, y):
    """A point from its affine coordinates."""
    return x, y, 1, x * y % P


def sqrt_ratio(u, v):
    """SQRT_RATIO_M1 of RFC 9496: whether u/v is a square, and the non-negative root."""
    r = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    check = v * r * r % P
    flipped = check == -u % P
    if flipped or check == -u * SQRT_M1 % P:
        r = r * SQRT_M1 % P
    return check == u % P or flipped, (P - r if r & 1 else r)


INVSQRT_A_MINUS_D = sqrt_ratio(1, (-1 - D) % P)[1]


# Ed25519


def ed_decode(data):
    """A point of the curve from 32 bytes, or None."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, (number & (1 << 255) - 1) % P
    square, x = sqrt_ratio((y * y - 1) % P, (D * y * y + 1) % P)
    if not square:
        return None
    return from_affine(-x % P if x & 1 != sign else x, y)


def ed_encode(point):
    """The 32 bytes of a point of the curve."""
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = ed_decode(bytes([0x58]) + bytes([0x66]) * 31)


def small_order(point):
    """Whether eight times the point is the identity."""
    return equal(double(double(double(point))), IDENTITY)


def clamp(data):
    """The scalar that 32 bytes stand for in RFC 7748 and RFC 8032."""
    number = int.from_bytes(data, "little")
    return number & (1 << 254) - 8 | 1 << 254


def ed_public(seed):
    """The verification key of a 32-byte seed."""
    return ed_encode(multiply(clamp(hashlib.sha512(seed).digest()[:32]), BASE))


def ed_challenge(r, public, message):
    """The scalar that a signature's equation is about."""
    return int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % ORDER


def ed_sign(seed, message):
    """A signature; only the self-test needs it."""
    wide = hashlib.sha512(seed).digest()
    nonce = int.from_bytes(hashlib.sha512(wide[32:] + message).digest(), "little") % ORDER
    r = ed_encode(multiply(nonce, BASE))
    s = (nonce + ed_challenge(r, ed_public(seed), message) * clamp(wide[:32])) % ORDER
    return r + s.to_bytes(32, "little")


def ed_verify(public, message, signature):
    """Strict verification: canonical s, no point of small order, no cofactor in the equation."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, r = ed_decode(public), ed_decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or r is None or s >= ORDER or small_order(key) or small_order(r):
        return False
    challenge = ed_challenge(signature[:32], public, message)
    return equal(add(multiply(s, BASE), multiply(-challenge, key)), r)


# X25519


def x25519(scalar, u):
    """The Montgomery ladder of RFC 7748 on bytes."""
    k, x1 = clamp(scalar), (int.from_bytes(u, "little") & (1 << 255) - 1) % P
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def x25519_public(secret):
    """The public key of a secret one."""
    return x25519(secret, (9).to_bytes(32, "little"))


def x25519_usable(public):
    """Whether a public key is of no low order: with such a one every shared secret would be zero."""
    return x25519(bytes(31) + b"\x40", public) != bytes(32)


# ristretto255


def decode(data):
    """An element from its 32 bytes, or None if they are not canonical."""
    s = int.from_bytes(data, "little")
    if len(data) != 32 or s >= P or s & 1:
        return None
    ss = s * s % P
    u1, u2 = (1 - ss) % P, (1 + ss) % P
    v = (-D * u1 * u1 - u2 * u2) % P
    square, root = sqrt_ratio(1, v * u2 * u2 % P)
    x = 2 * s * root * u2 % P
    if x & 1:
        x = P - x
    y = u1 * root * root * u2 * v % P
    if not square or x * y % P & 1 or y == 0:
        return None
    return from_affine(x, y)


def encode(point):
    """The canonical 32 bytes of an element."""
    x, y, z, t = point
    u1, u2 = (z + y) * (z - y) % P, x * y % P
    root = sqrt_ratio(1, u1 * u2 * u2 % P)[1]
    den1, den2 = root * u1 % P, root * u2 % P
    z_inverse = den1 * den2 * t % P
    den = den2
    if t * z_inverse % P & 1:
        x, y = y * SQRT_M1 % P, x * SQRT_M1 % P
        den = den1 * INVSQRT_A_MINUS_D % P
    if x * z_inverse % P & 1:
        y = -y % P
    s = den * (z - y) % P
    return (P - s if s & 1 else s).to_bytes(32, "little")


def one_way_map(data):
    """MAP of RFC 9496: a point from 32 bytes."""
    t = (int.from_bytes(data, "little") & (1 << 255) - 1) % P
    r = SQRT_M1 * t * t % P
    u = (r + 1) * (1 - D * D) % P
    v = (-1 - r * D) * (r + D) % P
    square, s = sqrt_ratio(u, v)
    c = P - 1
    if not square:
        s = s * t % P
        s, c = (s if s & 1 else -s % P), r
    n = (c * (r - 1) * (D - 1) ** 2 - v) % P
    w0, w1 = 2 * s * v % P, n * SQRT_AD_MINUS_ONE % P
    w2, w3 = (1 - s * s) % P, (1 + s * s) % P
    return w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P


def from_uniform(data):
    """An element from 64 uniform bytes."""
    return add(one_way_map(data[:32]), one_way_map(data[32:]))


def scalar_bytes(number):
    """A scalar as 32 bytes, little-endian."""
    return (number % ORDER).to_bytes(32, "little")


def wide_scalar(data):
    """A scalar from many bytes, little-endian, reduced."""
    return int.from_bytes(data, "little") % ORDER
