"""clkhash on the file of `hedui-bench encode`: records a second from CSV in one process, tables empty at the start.

usage: encode.py FILE.csv; prints one JSON object. Needs clkhash (Apache-2.0) from PyPI.
"""

import csv
import json
import sys
import time

from clkhash import clk, schema

PROBLEM = {"type": "string", "encoding": "utf-8"}


def feature(name, tokens, bits):
    return {
        "identifier": name,
        "format": PROBLEM,
        "hashing": {
            "comparison": tokens,
            "strategy": {"bitsPerToken": bits},
            "hash": {"type": "blakeHash"},
        },
    }


BIGRAMS = {"type": "ngram", "n": 2}
SCHEMA = {
    "version": 3,
    "clkConfig": {
        "l": 1024,
        "kdf": {"type": "HKDF", "hash": "SHA256", "salt": "AAAA", "info": "", "keySize": 64},
    },
    "features": [
        feature("given_name", BIGRAMS, 15),
        feature("surname", BIGRAMS, 15),
        feature("dob", {"type": "ngram", "n": 1, "positional": True}, 15),
        feature("sex", {"type": "ngram", "n": 1}, 15),
        feature("address", BIGRAMS, 6),
    ],
}

start = time.perf_counter()
with open(sys.argv[1], newline="", encoding="utf-8") as file:
    rows = list(csv.reader(file))[1:]
filters = clk.generate_clks(
    rows, schema.from_json_dict(SCHEMA), "secret", max_workers=1, validate=False
)
seconds = time.perf_counter() - start
mean = sum(f.count() for f in filters) / len(filters)
print(json.dumps({"records_per_second": len(rows) / seconds, "mean_bits": mean}))
