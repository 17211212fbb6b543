"""Symmetric primitives that the standard library does not have, and short names for those that it has.

In and out: byte strings. HKDF-SHA256 (RFC 5869), expand_message_xmd (RFC 9380), ChaCha20-Poly1305 (RFC 8439) and
BLAKE3 with key and extendable output.
"""

import hashlib
import hmac
import struct

WORD = 0xFFFFFFFF


def sha256(data):
    """SHA-256."""
    return hashlib.sha256(data).digest()


def hmac_sha512(key, data):
    """HMAC-SHA512."""
    return hmac.digest(key, data, "sha512")


def extract(salt, ikm):
    """HKDF-Extract."""
    return hmac.digest(salt or bytes(32), ikm, "sha256")


def expand(prk, info, length):
    """HKDF-Expand."""
    out, block = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out += block
    return out[:length]


def expand_message(message, dst, length):
    """expand_message_xmd with SHA-512."""
    dst += bytes([len(dst)])
    start = hashlib.sha512(bytes(128) + message + struct.pack(">H", length) + b"\0" + dst).digest()
    out, block = b"", bytes(64)
    for counter in range(1, -(-length // 64) + 1):
        mixed = bytes(a ^ b for a, b in zip(start, block))
        block = hashlib.sha512(mixed + bytes([counter]) + dst).digest()
        out += block
    return out[:length]


# ChaCha20-Poly1305


def quarter(s, a, b, c, d):
    """A quarter round on a list of words."""
    s[a] = s[a] + s[b] & WORD
    x = s[d] ^ s[a]
    s[d] = (x << 16 | x >> 16) & WORD
    s[c] = s[c] + s[d] & WORD
    x = s[b] ^ s[c]
    s[b] = (x << 12 | x >> 20) & WORD
    s[a] = s[a] + s[b] & WORD
    x = s[d] ^ s[a]
    s[d] = (x << 8 | x >> 24) & WORD
    s[c] = s[c] + s[d] & WORD
    x = s[b] ^ s[c]
    s[b] = (x << 7 | x >> 25) & WORD


CHACHA_ROUND = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]


def chacha_block(key, counter, nonce):
    """64 bytes of key stream."""
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574,
             *struct.unpack("<8I", key), counter, *struct.unpack("<3I", nonce)]
    state = list(start)
    for _ in range(10):
        for places in CHACHA_ROUND:
            quarter(state, *places)
    return struct.pack("<16I", *(a + b & WORD for a, b in zip(state, start)))


def chacha(key, counter, nonce, data):
    """ChaCha20 of the data."""
    stream = b"".join(chacha_block(key, counter + n, nonce) for n in range(-(-len(data) // 64)))
    mixed = int.from_bytes(data, "little") ^ int.from_bytes(stream[:len(data)], "little")
    return mixed.to_bytes(len(data), "little")


def poly1305(key, data):
    """The authenticator."""
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for start in range(0, len(data), 16):
        total = (total + int.from_bytes(data[start:start + 16] + b"\1", "little")) * r % (2**130 - 5)
    return (total + int.from_bytes(key[16:], "little") & (1 << 128) - 1).to_bytes(16, "little")


def aead_tag(key, nonce, aad, sealed):
    """The tag over associated data and ciphertext."""
    text = aad + bytes(-len(aad) % 16) + sealed + bytes(-len(sealed) % 16)
    return poly1305(chacha_block(key, 0, nonce)[:32], text + struct.pack("<QQ", len(aad), len(sealed)))


def aead_seal(key, nonce, aad, plain):
    """ChaCha20-Poly1305: ciphertext and tag; only the self-test needs it."""
    sealed = chacha(key, 1, nonce, plain)
    return sealed + aead_tag(key, nonce, aad, sealed)


def aead_open(key, nonce, aad, data):
    """The plain text, or None if the tag is another."""
    if len(data) < 16 or aead_tag(key, nonce, aad, data[:-16]) != data[-16:]:
        return None
    return chacha(key, 1, nonce, data[:-16])


# BLAKE3

BLAKE3_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
BLAKE3_ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT, KEYED = 1, 2, 4, 8, 16


def blake3_mix(s, places, m, n):
    """The mixing function on four words and two words of the message."""
    a, b, c, d = places
    s[a] = s[a] + s[b] + m & WORD
    x = s[d] ^ s[a]
    s[d] = (x >> 16 | x << 16) & WORD
    s[c] = s[c] + s[d] & WORD
    x = s[b] ^ s[c]
    s[b] = (x >> 12 | x << 20) & WORD
    s[a] = s[a] + s[b] + n & WORD
    x = s[d] ^ s[a]
    s[d] = (x >> 8 | x << 24) & WORD
    s[c] = s[c] + s[d] & WORD
    x = s[b] ^ s[c]
    s[b] = (x >> 7 | x << 25) & WORD


def blake3_compress(chain, block, counter, flags):
    """The 16 words of one compression of a block of at most 64 bytes."""
    words = struct.unpack("<16I", block.ljust(64, b"\0"))
    s = [*chain, *BLAKE3_IV[:4], counter & WORD, counter >> 32, len(block), flags]
    for turn in range(7):
        for n, places in enumerate(CHACHA_ROUND):
            blake3_mix(s, places, words[2 * n], words[2 * n + 1])
        words = [words[place] for place in BLAKE3_ORDER]
    return [s[n] ^ s[n + 8] for n in range(8)] + [s[n + 8] ^ chain[n] for n in range(8)]


def blake3_node(data, key, first_chunk, flags):
    """The last compression, still to be done, of the tree over the data: (chain, block, counter, flags)."""
    if len(data) <= 1024:
        chain = key
        blocks = [data[start:start + 64] for start in range(0, len(data), 64)] or [b""]
        for n, block in enumerate(blocks):
            here = flags | (CHUNK_START if n == 0 else 0)
            if n == len(blocks) - 1:
                return chain, block, first_chunk, here | CHUNK_END
            chain = blake3_compress(chain, block, first_chunk, here)[:8]
    left = 1 << ((len(data) - 1) // 1024).bit_length() - 1
    halves = (data[:left * 1024], first_chunk), (data[left * 1024:], first_chunk + left)
    chains = [blake3_compress(*blake3_node(part, key, at, flags))[:8] for part, at in halves]
    block = b"".join(struct.pack("<8I", *chain) for chain in chains)
    return key, block, 0, flags | PARENT


def blake3(data, length=32, key=None):
    """BLAKE3, with a key of 32 bytes if there is one, and as many bytes as asked for."""
    words = struct.unpack("<8I", key) if key is not None else BLAKE3_IV
    chain, block, _, flags = blake3_node(data, words, 0, KEYED if key is not None else 0)
    out = b""
    for counter in range(-(-length // 64)):
        out += struct.pack("<16I", *blake3_compress(chain, block, counter, flags | ROOT))
    return out[:length]
