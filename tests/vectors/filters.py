"""Filters of candidate pairs, of records and of blocks.

In: the `in` objects of the scenario filters. Out: their `out` objects. A filter is a whole number whose bit j is the
filter's bit j, and is written little-endian.
"""

import struct

from refusal import h
from hashes import blake3


def numbered(tokens):
    """A token that was there before gets its number."""
    seen, out = {}, []
    for token in tokens:
        seen[token] = seen.get(token, 0) + 1
        out.append(token if seen[token] == 1 else f"{token}#{seen[token]}")
    return out


def tokens(case):
    """Tokens of a normalised value."""
    value, kind = case["value"], case["kind"]
    if kind == "whole":
        return {"tokens": [value]}
    if kind == "digits":
        digits = [character for character in value if character.isdigit()]
        return {"tokens": numbered(f"{place}:{digit}" for place, digit in enumerate(digits))}
    padded = f"_{value}_"
    return {"tokens": numbered(padded[n:n + 2] for n in range(len(padded) - 1))}


def together(case):
    """Tokens of two fields in one filter."""
    one, other = case["one"], case["other"]
    return {"tokens": sorted(one + [token + "#" if token in one else token for token in other])}


def positions(key, head, token, count, size):
    """The first positions of a token."""
    stream = blake3(head + token.encode(), 2 * count, h(key))
    return [place % size for place in struct.unpack(f"<{count}H", stream)]


def whole(data):
    """Bits of bytes, little-endian."""
    return int.from_bytes(data, "little")


def written(bits, size):
    """A filter in hexadecimal."""
    return {"filter": bits.to_bytes(size // 8, "little").hex()}


def pair(case):
    """A masked filter of a candidate pair."""
    number, size, count = bytes([case["number"]]), case["bits"], len(case["tokens"])
    bits = 0
    for n, token in enumerate(case["tokens"]):
        share = case["positions"] // count + (n < case["positions"] % count)
        for place in positions(case["key"], b"\0" + number, token, share, size):
            bits |= 1 << place
    return written(bits ^ whole(blake3(b"\1" + number, size // 8, h(case["key"]))), size)


def record(case):
    """A record filter, hardened."""
    size, bits = case["bits"], 0
    for field in case["fields"]:
        first, width = field["section"] or (0, size)
        for token in field["tokens"]:
            for place in positions(case["key"], b"\2" + bytes([field["number"]]), token, field["positions"], width):
                bits |= 1 << first + place
    for hardener in case["harden"]:
        if hardener == "xor-fold":
            size //= 2
            bits = (bits ^ bits >> size) & (1 << size) - 1
        elif hardener == "balance":
            bits |= (bits ^ (1 << size) - 1) << size
            size *= 2
        else:
            raise KeyError(hardener)
    return written(bits, size)


def block(case):
    """A record filter of a block."""
    size, key = case["bits"], h(case["key"])
    rows = [whole(blake3(b"\3" + bytes([field["number"]]) + token.encode(), size // 4, key))
            for field in case["fields"] for token in field["tokens"]]
    tie = whole(blake3(b"\4", size // 4, key))
    majority = 0
    for place in range(2 * size):
        ones = 2 * sum(row >> place & 1 for row in rows)
        bit = ones > len(rows) if ones != len(rows) else tie >> place & 1
        majority |= int(bit) << place
    return written((majority ^ majority >> size) & (1 << size) - 1, size)


def similarity(case):
    """Similarity of two filters of a pair by their distance."""
    size = case["bits"]
    expected = size * (1 - (1 - 1 / size) ** case["positions"])
    return {"similarity": round(1 - case["distance"] / (2 * expected), 6)}


OPERATIONS = {"filters": {"tokens": tokens, "together": together, "pair": pair, "record": record, "block": block,
                          "similarity": similarity}}
