"""Plaintext Splink, and anonlink with clkhash, on the public febrl4 files of `hedui-febrl`: best F1 over all thresholds by
the truth, without and with one-to-one assignment, for the same three sets of fields.

usage: febrl.py FOLDER; FOLDER holds dataset4a.csv and dataset4b.csv; prints one JSON object.
Needs splink 5 (MIT), anonlink and clkhash (Apache-2.0), pandas (BSD-3-Clause) from PyPI in a throw-away environment:
    python3 -m venv v && v/bin/pip install splink anonlink clkhash pandas
"""

import json
import logging
import sys

import pandas as pd

SETS = {
    "eight fields": ["given_name", "surname", "date_of_birth", "street_number", "address_1", "suburb", "postcode", "state"],
    "names, birth date, postcode": ["given_name", "surname", "date_of_birth", "postcode"],
    "names, birth date": ["given_name", "surname", "date_of_birth"],
}


def load(folder, side):
    frame = pd.read_csv(f"{folder}/dataset4{side}.csv", dtype=str, skipinitialspace=True)
    frame.columns = [name.strip() for name in frame.columns]
    frame["number"] = frame["rec_id"].str.split("-").str[1]
    frame["unique_id"] = range(len(frame))
    return frame


def best(pairs, truth):
    """pairs: (score, same) in any order; the best F1 over thresholds, ties taken together."""
    pairs = sorted(pairs, key=lambda pair: -pair[0])
    correct, top = 0, (0.0, None)
    for at, (score, same) in enumerate(pairs):
        correct += same
        if at + 1 < len(pairs) and pairs[at + 1][0] == score:
            continue
        f1 = 2 * correct / (at + 1 + truth)
        top = max(top, (f1, score), key=lambda pair: pair[0])
    return {"f1": round(top[0], 4), "threshold": top[1]}


def one_to_one(scored):
    """scored: (score, left, right, same); the greedy assignment by falling score, as anonlink's solver makes it."""
    left, right, kept = set(), set(), []
    for score, one, other, same in sorted(scored, key=lambda row: (-row[0], row[1], row[2])):
        if one not in left and other not in right:
            left.add(one)
            right.add(other)
            kept.append((score, same))
    return kept


def figures(scored, truth):
    return {"plain": best([(score, same) for score, _, _, same in scored], truth), "one_to_one": best(one_to_one(scored), truth)}


def by_splink(a, b, fields):
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    logging.disable(logging.WARNING)
    comparisons = []
    for field in fields:
        if field in ("given_name", "surname"):
            comparison = cl.JaroWinklerAtThresholds(field, [0.92, 0.8])
            comparisons.append(comparison.configure(term_frequency_adjustments=True))
        elif field == "date_of_birth":
            comparisons.append(cl.DamerauLevenshteinAtThresholds(field, [1, 2]))
        else:
            comparisons.append(cl.LevenshteinAtThresholds(field, [1, 2]))
    rules = [block_on("given_name", "surname"), block_on("date_of_birth"), block_on("surname", "substr(date_of_birth,1,4)"),
             block_on("given_name", "substr(date_of_birth,1,4)"), block_on("surname", "substr(date_of_birth,5,4)"),
             block_on("given_name", "substr(date_of_birth,5,4)"), block_on("substr(surname,1,3)", "substr(given_name,1,3)")]
    if "postcode" in fields:
        rules += [block_on("surname", "postcode"), block_on("given_name", "postcode")]
    settings = SettingsCreator(link_type="link_only", comparisons=comparisons, blocking_rules_to_generate_predictions=rules)
    keep = ["unique_id", *fields]
    api = DuckDBAPI()
    tables = [api.register(frame[keep], dataset_display_name=name) for name, frame in (("a_side", a), ("b_side", b))]
    linker = Linker(tables, settings)
    linker.training.estimate_probability_two_random_records_match(
        [block_on("given_name", "surname", "date_of_birth")], recall=0.35)
    linker.training.estimate_u_using_random_sampling(max_pairs=5e6, seed=1)
    for rule in (block_on("date_of_birth"), block_on("given_name", "surname")):
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    found = linker.inference.predict(threshold_match_weight=-20).as_pandas_dataframe()
    left, right = a["number"].tolist(), b["number"].tolist()
    swap = found["source_dataset_l"].iloc[0] > found["source_dataset_r"].iloc[0]
    scored = []
    for one, other, weight, dataset in zip(found["unique_id_l"], found["unique_id_r"], found["match_weight"], found["source_dataset_l"]):
        one, other = (other, one) if swap else (one, other)
        scored.append((float(weight), int(one), int(other), left[int(one)] == right[int(other)]))
    return figures(scored, len(a))


def by_anonlink(a, b, fields):
    import anonlink
    from clkhash import clk, schema

    def feature(name):
        tokens = {"type": "ngram", "n": 1, "positional": True} if name == "date_of_birth" else {"type": "ngram", "n": 2}
        return {"identifier": name, "format": {"type": "string", "encoding": "utf-8"},
                "hashing": {"comparison": tokens, "strategy": {"bitsPerToken": 10}, "hash": {"type": "blakeHash"}}}

    described = {"version": 3, "clkConfig": {"l": 1024, "kdf": {"type": "HKDF", "hash": "SHA256", "salt": "c2FsdA==",
                 "info": "aW5mbw==", "keySize": 64}}, "features": [feature(name) for name in fields]}
    parsed = schema.from_json_dict(described)
    import io

    def encode(frame):
        text = frame[fields].fillna("").to_csv(index=False)
        return clk.generate_clk_from_csv(io.StringIO(text), "secret", parsed, validate=False, progress_bar=False)

    filters = [encode(a), encode(b)]
    sims, _, (left, right) = anonlink.candidate_generation.find_candidate_pairs(
        filters, anonlink.similarities.dice_coefficient_accelerated, 0.5)
    numbers = a["number"].tolist(), b["number"].tolist()
    scored = [(float(s), int(l), int(r), numbers[0][l] == numbers[1][r]) for s, l, r in zip(sims, left, right)]
    return figures(scored, len(a))


def main():
    a, b = load(sys.argv[1], "a"), load(sys.argv[1], "b")
    out = {}
    for name, fields in SETS.items():
        out[name] = {}
        for peer, run in (("splink", by_splink), ("anonlink", by_anonlink)):
            try:
                out[name][peer] = run(a, b, fields)
            except Exception as error:  # a peer that is missing or changed leaves the other's figures
                out[name][peer] = {"error": f"{type(error).__name__}: {error}"[:300]}
    print(json.dumps(out))


main()
