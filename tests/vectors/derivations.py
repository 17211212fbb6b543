"""Match-key inputs, tokens, tags and keys of a register, and the OPRF lock.

In: the `in` objects of the scenarios match-keys, tokens, tags and oprf. Out: their `out` objects, or a Refusal.
"""

import re

import curve
import voprf
from refusal import ANSWER, UNNAMED, derived, h, labelled, require, u16, u32
from documents import element
from hashes import blake3, hmac_sha512, sha256

# Match keys


def key_input(case):
    """The input of one match key, or null if it is too long."""
    parts = [part.encode() for part in case["parts"]]
    head = [h(case["agreement"]), u32(case["epoch"]), bytes([case["field_version"], case["key"]])]
    text = labelled(b"match-key", *head, *(u16(len(part)) + part for part in parts))
    return {"input": text.hex() if len(text) <= 512 else None}


def check_character(digits):
    """The MOD 11-2 check character of 17 digits."""
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(digits))
    return "0123456789X"[(1 - total) % 11]


def checks(number):
    """Whether 18 characters are 17 digits and their check character."""
    return re.fullmatch(r"[0-9]{17}[0-9X]", number, re.ASCII) is not None and check_character(number[:17]) == number[17]


def one_error_roll(case):
    """Every text that one slip makes of a valid number."""
    number, out = case["number"], set()
    for place in range(17):
        out |= {number[:place] + digit + number[place + 1:] for digit in "0123456789"}
        out.add(number[:place] + number[place + 1] + number[place] + number[place + 2:])
    out |= {number[:17] + character for character in "0123456789X"}
    out.discard(number)
    return {"count": len(out), "digest": sha256("\n".join(sorted(out)).encode()).hex()}


def one_error_register(case):
    """The 18 characters as they stand if their check fails."""
    text = case["text"]
    good = re.fullmatch(r"[0-9X]{18}", text, re.ASCII) is not None and not checks(text)
    return {"value": text if good else None}


# Tokens


def keyed(case):
    """Token of the keyed lock."""
    return {"y": hmac_sha512(h(case["key"]), labelled(b"keyed", h(case["input"]))).hex()}


def oprf_token(case):
    """Token of the OPRF lock from the polynomial's value at 0."""
    secret = int.from_bytes(h(case["secret"]), "little")
    key = 4 * voprf.denominator(case["custodians"], case["needed"]) * secret % curve.ORDER
    data = h(case["input"])
    token = voprf.finalize(data, curve.multiply(key, voprf.hash_to_group(data)))
    return {"group": curve.encode(curve.multiply(key, curve.BASE)).hex(), "y": token.hex()}


# Tags


def tag(case):
    """A tag."""
    return {"tag": derived(case, b"tag", [bytes([case["key"]])], 16, h(case["y"])).hex()}


def kek(case):
    """The key of a payload for one release set."""
    tokens = b"".join(h(token) for token in case["tokens"])
    return {"kek": derived(case, b"kek", [bytes([case["set"]]), h(case["handle"])], 32, tokens).hex()}


def kit_check(case):
    """Check value of a kit."""
    return {"check": derived(case, b"kit-check", length=8).hex()}


def canary_token(case):
    """Token of an invented person."""
    return {"token": derived(case, b"canary", [u16(case["number"]), bytes([case["key"]])], 64).hex()}


def slip_part(case, which, bitmap, length):
    """x(w, b, n)."""
    parts = [bytes([case["side"], which]), u16(bitmap), case["stamp"].encode()]
    return derived(case, b"canary-slip", parts, length)


def canary_slip(case):
    """What a side says of its canaries."""
    mask = int.from_bytes(slip_part(case, 1, 0, 2), "big")
    return {"slip": (u16(case["bitmap"] ^ mask) + slip_part(case, 2, case["bitmap"], 16)).hex()}


def canary_bitmap(case):
    """The bitmap that a slip says, if it is the side's."""
    slip = h(case["slip"])
    require(len(slip) == 18, UNNAMED, "not a slip")
    bitmap = int.from_bytes(slip[:2], "big") ^ int.from_bytes(slip_part(case, 1, 0, 2), "big")
    require(slip_part(case, 2, bitmap, 16) == slip[2:], UNNAMED, "not this side's slip")
    return {"bitmap": bitmap}


def pair_key(case):
    """Key of the filters of a candidate pair, shown by the first 32 bytes of the mask of comparison number 0."""
    parts = [h(case["request"]), h(case["roll"]), h(case["other"])]
    return {"mask": blake3(b"\1\0", 32, derived(case, b"pair-filter", parts)).hex()}


def record_key(case):
    """Key of the record filters of a register."""
    return {"key": derived(case, b"record-filter").hex()}


def block_key(case):
    """Key of the record filters of a block."""
    return {"filter_key": derived(case, b"block-filter", [bytes([case["key"]])], 32, h(case["y"])).hex()}


# OPRF lock


def elements(texts):
    """Elements that a side may accept."""
    return [element(h(text)) for text in texts]


def shown(point):
    """An element in hexadecimal."""
    return curve.encode(point).hex()


def one_element(case):
    """Whether an element may be accepted."""
    element(h(case["element"]))
    return {"ok": True}


def hash_to_group(case):
    """HashToGroup."""
    return {"element": shown(voprf.hash_to_group(h(case["input"])))}


def blind(case):
    """The blinded element of an input."""
    return {"blinded": shown(voprf.blind(h(case["k"]), h(case["input"])))}


def evaluate(case):
    """A custodian's answer."""
    share, blinded = int.from_bytes(h(case["share"]), "little"), elements(case["blinded"])
    public = curve.multiply(share, curve.BASE)
    answer = [curve.multiply(share, point) for point in blinded]
    return {"public": shown(public), "evaluated": [shown(point) for point in answer],
            "proof": voprf.prove(share, public, blinded, answer).hex()}


def verify(case):
    """Whether a custodian's answer is proven."""
    public, blinded, answer = element(h(case["public"])), elements(case["blinded"]), elements(case["evaluated"])
    require(voprf.verify(public, blinded, answer, h(case["proof"])), ANSWER, "proof does not hold")
    return {"valid": True}


def coefficients(case):
    """D and the whole numbers of a set of custodians."""
    custodians, needed = case["custodians"], case["needed"]
    return {"denominator": voprf.denominator(custodians, needed),
            "coefficients": voprf.coefficients(custodians, needed, case["set"])}


def finalise(case):
    """The token from the answers of a set of custodians."""
    whole = voprf.coefficients(case["custodians"], case["needed"], case["set"])
    group = element(h(case["group"]))
    return {"y": voprf.finalise(h(case["k"]), h(case["input"]), whole, elements(case["evaluated"]), group).hex()}


OPERATIONS = {
    "match-keys": {"input": key_input, "one_error_roll": one_error_roll, "one_error_register": one_error_register},
    "tokens": {"keyed": keyed, "oprf": oprf_token},
    "tags": {"tag": tag, "kek": kek, "kit_check": kit_check, "canary_token": canary_token, "canary_slip": canary_slip,
             "canary_bitmap": canary_bitmap, "pair_key": pair_key, "record_key": record_key, "block_key": block_key},
    "oprf": {"element": one_element, "hash_to_group": hash_to_group, "blind": blind, "evaluate": evaluate,
             "verify": verify, "coefficients": coefficients, "finalise": finalise},
}
