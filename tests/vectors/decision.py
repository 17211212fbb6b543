"""The rule that makes an outcome of two records' keys.

In: the `in` objects of the scenario decisions; bit n - 1 of a bitmap is key number n. Out: their `out` objects.
"""

import tomllib


def keys(terms):
    """The match keys in their order, likeness behind them."""
    return terms["match_key"] + ([terms["likeness"]] if "likeness" in terms else [])


def decide(case):
    """The outcome of a pair whose keys agree and differ as said."""
    terms = tomllib.loads(case["effective"])
    rule, all_keys = terms["decision"], keys(terms)
    contradicting = rule["contradicting"] or [key["name"] for key in all_keys if key["class"] == "B"]
    agreeing = [key for n, key in enumerate(all_keys) if case["agree"] >> n & 1]
    differing = [key for n, key in enumerate(all_keys) if case["differ"] >> n & 1]
    return {"outcome": outcome(rule, set(contradicting), agreeing, differing)}


def count_families(agreeing):
    """Families of the class-B keys; one whose name joins several with + counts as these."""
    named = [key.get("family", key["name"]) for key in agreeing if key["class"] == "B"]
    return len({family for name in named for family in name.split("+")})


def outcome(rule, contradicting, agreeing, differing):
    """Class A first, then the families of class B."""
    families = count_families(agreeing)
    if any(key["class"] == "A" for key in agreeing):
        against = {key["name"] for key in differing} & contradicting
        for_it = {key["name"] for key in agreeing} & contradicting
        return "identity-conflict" if against and not for_it else "match"
    enough = families >= rule["families_to_match"]
    if any(key["class"] == "A" for key in differing):
        if 0 < rule["families_to_match_against_a"] <= families:
            return "match"
        return "review" if enough or families and rule["review_one_family_against_a"] else None
    if enough:
        return "match"
    class_c = any(key["class"] == "C" for key in agreeing)
    return "review" if families and rule["review_one_family"] or class_c and rule["review_class_c"] else None


def differing_keys(case):
    """Keys that both records have and that do not agree; likeness of a block only where the block's key agrees."""
    terms = tomllib.loads(case["effective"])
    differ = case["left"] & case["right"] & ~case["agree"]
    likeness = terms.get("likeness")
    if likeness is not None and likeness["scope"] == "block":
        place = [key["name"] for key in terms["match_key"]].index(likeness["block"])
        if not case["agree"] >> place & 1:
            differ &= ~(1 << len(terms["match_key"]))
    return {"differ": differ}


OPERATIONS = {"decisions": {"decide": decide, "differing": differing_keys}}
