"""The OPRF lock: RFC 9497, mode VOPRF, ristretto255-SHA512, with shares and coefficients of a threshold key.

In: scalars as whole numbers, elements as points. Out: points, proofs of 64 bytes, tokens of 64 bytes.
"""

import hashlib
import itertools
import math
import struct
from fractions import Fraction

import curve
from hashes import expand_message, hmac_sha512

CONTEXT = b"OPRFV1-\x01-ristretto255-SHA512"
HALF = pow(2, -1, curve.ORDER)


def framed(*parts):
    """Every part behind its length in two bytes."""
    return b"".join(struct.pack(">H", len(part)) + part for part in parts)


def hash_to_group(data):
    """HashToGroup."""
    return curve.from_uniform(expand_message(data, b"HashToGroup-" + CONTEXT, 64))


def hash_to_scalar(data):
    """HashToScalar."""
    return curve.wide_scalar(expand_message(data, b"HashToScalar-" + CONTEXT, 64))


def finalize(data, element):
    """Finalize without the blind: the token."""
    return hashlib.sha512(framed(data, curve.encode(element)) + b"Finalize").digest()


def weighted(public, blinded, evaluated):
    """ComputeComposites without the key: both weighted sums."""
    seed = hashlib.sha512(framed(curve.encode(public), b"Seed-" + CONTEXT)).digest()
    m = z = curve.IDENTITY
    for n, (one, other) in enumerate(zip(blinded, evaluated)):
        text = framed(seed) + struct.pack(">H", n) + framed(curve.encode(one), curve.encode(other))
        weight = hash_to_scalar(text + b"Composite")
        m = curve.add(m, curve.multiply(weight, one))
        z = curve.add(z, curve.multiply(weight, other))
    return m, z


def challenge(public, m, z, t2, t3):
    """The challenge of a proof."""
    return hash_to_scalar(framed(*(curve.encode(point) for point in (public, m, z, t2, t3))) + b"Challenge")


def prove(share, public, blinded, evaluated, nonce=None):
    """GenerateProof, with the nonce that the protocol derives unless one is given."""
    m, z = weighted(public, blinded, evaluated)
    if nonce is None:
        text = b"HEDUI1/proof-nonce\0" + curve.encode(m) + curve.encode(z)
        nonce = curve.wide_scalar(hmac_sha512(curve.scalar_bytes(share), text))
    c = challenge(public, m, z, curve.multiply(nonce, curve.BASE), curve.multiply(nonce, m))
    return curve.scalar_bytes(c) + curve.scalar_bytes(nonce - c * share)


def verify(public, blinded, evaluated, proof):
    """VerifyProof."""
    c, s = (int.from_bytes(half, "little") for half in (proof[:32], proof[32:]))
    if len(proof) != 64 or c >= curve.ORDER or s >= curve.ORDER or len(blinded) != len(evaluated):
        return False
    m, z = weighted(public, blinded, evaluated)
    t2 = curve.add(curve.multiply(s, curve.BASE), curve.multiply(c, public))
    t3 = curve.add(curve.multiply(s, m), curve.multiply(c, z))
    return challenge(public, m, z, t2, t3) == c


def lagrange(indices):
    """The coefficients at 0 of a set of indices, as fractions in lowest terms."""
    return [math.prod((Fraction(j, j - i) for j in indices if j != i), start=Fraction(1)) for i in indices]


def denominator(custodians, needed):
    """D: the least common multiple over all sets."""
    sets = itertools.combinations(range(1, custodians + 1), needed)
    return math.lcm(*(value.denominator for indices in sets for value in lagrange(indices)))


def coefficients(custodians, needed, indices):
    """The whole numbers D·λ of a set."""
    common = denominator(custodians, needed)
    return [int(common * value) for value in lagrange(indices)]


def blind_scalar(key, data):
    """r of an input."""
    return curve.wide_scalar(hmac_sha512(key, b"HEDUI1/blind\0" + data))


def blind(key, data):
    """B of an input."""
    masked = curve.add(hash_to_group(data), curve.multiply(blind_scalar(key, data), curve.BASE))
    return curve.double(masked)


def finalise(key, data, whole, evaluated, group):
    """The token from the answers of a set of custodians."""
    total = curve.multiply(-blind_scalar(key, data), curve.multiply(HALF, group))
    for number, element in zip(whole, evaluated):
        total = curve.add(total, curve.multiply(number, element))
    return finalize(data, curve.double(total))
