"""All pairs with Dice >= t by anonlink (Apache-2.0, PyPI), one thread: the peer of `hedui-bench similarity`.

usage: similarity.py A.bin B.bin ROWS THRESHOLD...   raw 1024-bit filters, 128 bytes each
Prints one JSON list: threshold, gpairs_per_second, hits, rows.
"""
import json
import sys
import time

from anonlink import candidate_generation, similarities
from bitarray import bitarray


def load(path, rows):
    raw = open(path, "rb").read(rows * 128)
    filters = []
    for at in range(0, len(raw), 128):
        bits = bitarray(endian="little")
        bits.frombytes(raw[at : at + 128])
        filters.append(bits)
    return filters


a, b, rows = load(sys.argv[1], int(sys.argv[3])), load(sys.argv[2], int(sys.argv[3])), int(sys.argv[3])
figures = []
for threshold in sys.argv[4:]:
    start = time.perf_counter()
    found = candidate_generation.find_candidate_pairs(
        (a, b), similarities.dice_coefficient_accelerated, float(threshold)
    )
    seconds = time.perf_counter() - start
    figures.append(
        {
            "threshold": threshold,
            "gpairs_per_second": rows * rows / seconds / 1e9,
            "hits": len(found[0]),
            "rows": rows,
        }
    )
print(json.dumps(figures))
