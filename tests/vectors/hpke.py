"""HPKE base mode (RFC 9180): X25519-HKDF-SHA256, HKDF-SHA256, ChaCha20-Poly1305.

In: key material, an encapsulated key and info. Out: key pairs and exported secrets; None where the shared secret
would be zero.
"""

import struct

from curve import x25519, x25519_public
from hashes import expand, extract

KEM = b"KEM" + struct.pack(">H", 0x20)
SUITE = b"HPKE" + struct.pack(">HHH", 0x20, 1, 3)


def labeled_extract(suite, salt, label, ikm):
    """LabeledExtract."""
    return extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite, prk, label, info, length):
    """LabeledExpand."""
    return expand(prk, struct.pack(">H", length) + b"HPKE-v1" + suite + label + info, length)


def derive_key_pair(ikm):
    """DeriveKeyPair: secret and public key."""
    secret = labeled_expand(KEM, labeled_extract(KEM, b"", b"dkp_prk", ikm), b"sk", b"", 32)
    return secret, x25519_public(secret)


def decapsulate(enc, secret):
    """Decap: the shared secret, or None."""
    dh = x25519(secret, enc)
    if dh == bytes(32):
        return None
    context = enc + x25519_public(secret)
    return labeled_expand(KEM, labeled_extract(KEM, b"", b"eae_prk", dh), b"shared_secret", context, 32)


def receive_export(enc, secret, info, context, length):
    """SetupBaseR and Export: a secret that sender and receiver share, or None."""
    shared = decapsulate(enc, secret)
    if shared is None:
        return None
    hashes = labeled_extract(SUITE, b"", b"psk_id_hash", b"") + labeled_extract(SUITE, b"", b"info_hash", info)
    prk = labeled_extract(SUITE, shared, b"secret", b"")
    exporter = labeled_expand(SUITE, prk, b"exp", b"\0" + hashes, 32)
    return labeled_expand(SUITE, exporter, b"sec", context, length)
