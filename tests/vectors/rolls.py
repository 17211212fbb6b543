"""The roll's commitment: leaves, the signed text, draws, openings.

In: the `in` objects of the scenario roll. Out: their `out` objects, or a Refusal.
"""

import curve
from documents import read_card
from hashes import sha256
from refusal import (AGREEMENT, EPOCH, MALFORMED, SIGNATURE, Refusal, h, is_hex, is_number, labelled, require, u16,
                     u32)
from transparency import climb, leaf


def person_leaf(salt, fields, handles):
    """The leaf of a person."""
    texts = [field.encode() for field in fields]
    written = b"".join(u16(len(text)) + text for text in texts)
    return leaf(labelled(b"roll-leaf", salt, u16(len(texts)), written, u16(len(handles)), *handles))


def read_leaf(case):
    """A person's leaf."""
    return {"leaf": person_leaf(h(case["salt"]), case["fields"], [h(one) for one in case["handles"]]).hex()}


def commitment(case):
    """What a roll's owner has committed to."""
    name, sign, _ = read_card(case["owner"])
    lines = case["text"].split("\n")
    require(len(lines) == 10 and lines[0] == "hedui-roll/1" and lines[7] == "---" and lines[9] == "", MALFORMED, "lines")
    words = [line.split(" ") for line in lines[1:7]]
    require([word[0] for word in words] == ["agreement", "epoch", "snapshot", "persons", "controls", "root"], MALFORMED, "names")
    require(all(len(word) == 2 for word in words), MALFORMED, "values")
    agreement, epoch, snapshot, persons, controls, root = (word[1] for word in words)
    require(is_hex(agreement, 32) and is_hex(root, 32), MALFORMED, "digests")
    require(is_number(epoch, 32) and is_number(persons, 64) and is_number(controls, 64), MALFORMED, "numbers")
    signed = lines[8].split(" ")
    require(len(signed) == 3 and signed[:2] == ["signature", name] and is_hex(signed[2], 64), MALFORMED, "signature")
    require(agreement == case["agreement"], AGREEMENT, "other agreement")
    require(int(epoch) == case["epoch"], EPOCH, "other epoch")
    message = labelled(b"roll-commitment", sha256("".join(line + "\n" for line in lines[:8]).encode()))
    require(curve.ed_verify(sign, message, h(signed[2])), SIGNATURE, "signature of the owner")
    return {"persons": int(persons), "controls": int(controls), "root": root, "snapshot": snapshot}


def draw(case):
    """The places that a reviewer's words draw."""
    found, number = set(), 0
    while len(found) < min(case["count"], case["persons"]):
        digest = sha256(labelled(b"roll-draw", h(case["root"]), u32(number), case["words"].encode()))
        found.add(int.from_bytes(digest[:8], "big") % case["persons"])
        number += 1
    return {"places": sorted(found)}


def opening(case):
    """Whether an opening is the person that was committed to."""
    one = case["opening"]
    require(0 <= one["index"] < case["leaves"], MALFORMED, "no such place")
    hashed = person_leaf(h(one["salt"]), one["fields"], [h(handle) for handle in one["handles"]])
    reached = climb(hashed, one["index"], case["leaves"], [h(text) for text in one["path"]])
    if reached != h(case["root"]):
        raise Refusal(SIGNATURE, "leads to another root")
    return {"holds": True}


OPERATIONS = {"roll": {"leaf": read_leaf, "commitment": commitment, "draw": draw, "opening": opening}}
