"""Cards, agreements and epoch records.

In: the `in` objects of the scenarios identities, agreements and epoch-records. Out: their `out` objects, or a Refusal.
"""

import tomllib

import curve
import hpke
import voprf
from refusal import (AGREEMENT, ANSWER, EPOCH, MALFORMED, NOT_IN_FORCE, SENDER, SIGNATURE, UNNAMED, Refusal, h, is_hex,
                    is_name, is_number, labelled, require)
from hashes import sha256


def key_id(sign, seal):
    """The eight bytes that name a party's keys."""
    return sha256(labelled(b"key-id", sign, seal))[:8]


def read_card(text):
    """Name and both keys of a card."""
    words = text.removesuffix("\n").split(" ")
    require(len(words) == 4 and words[0] == "hedui-card/1", UNNAMED, "not a card")
    require(is_name(words[1]), UNNAMED, "not a name")
    require(is_hex(words[2], 32) and is_hex(words[3], 32), UNNAMED, "not two keys")
    sign, seal = h(words[2]), h(words[3])
    point = curve.ed_decode(sign)
    require(point is not None and not curve.small_order(point), UNNAMED, "signing key cannot be used")
    require(curve.x25519_usable(seal), UNNAMED, "sealing key cannot be used")
    return words[1], sign, seal


def from_seed(case):
    """A party's keys and card."""
    seed = h(case["seed"])
    sign, seal = curve.ed_public(seed[:32]), hpke.derive_key_pair(seed[32:])[1]
    return {"sign": sign.hex(), "seal": seal.hex(), "key_id": key_id(sign, seal).hex(),
            "card": f"hedui-card/1 {case['party']} {sign.hex()} {seal.hex()}\n"}


def card(case):
    """What a card says."""
    name, sign, seal = read_card(case["card"])
    return {"party": name, "sign": sign.hex(), "seal": seal.hex(), "key_id": key_id(sign, seal).hex()}


# Agreements


def agreement_digest(effective):
    """AD of an effective text."""
    return sha256(labelled(b"agreement", effective.encode()))


def signed_by(line, digest, name, sign):
    """Whether a signature line is that of a party under a digest."""
    words = line.removesuffix("\n").split(" ")
    return (len(words) == 3 and words[0] == "hedui-agreement-signature/1" and words[1] == name and is_hex(words[2], 64)
            and curve.ed_verify(sign, labelled(b"agreement-signature", digest), h(words[2])))


def digest(case):
    """AD."""
    return {"digest": agreement_digest(case["effective"]).hex()}


def signature(case):
    """One signature line."""
    name, sign, _ = read_card(case["card"])
    require(signed_by(case["line"], h(case["digest"]), name, sign), UNNAMED, "not this party's signature")
    return {"valid": True}


def in_force(case):
    """Who signed an agreement that is in force on a day."""
    terms, lines = tomllib.loads(case["effective"]), case["signatures"].splitlines()
    require(terms["valid_from"] <= case["today"] <= terms["valid_until"], NOT_IN_FORCE, "not within its validity")
    ad = agreement_digest(case["effective"])
    for party in terms["party"]:
        signed = any(signed_by(line, ad, party["name"], h(party["sign"])) for line in lines)
        require(signed, NOT_IN_FORCE, f"{party['name']} has not signed")
    return {"signers": sorted(party["name"] for party in terms["party"])}


# Epoch records


def read_record(text, terms):
    """(agreement, epoch, public shares, group, signature lines) of a record in the only form that it may have."""
    custodians = [party["name"] for party in terms["party"] if party["role"] == "custodian"]
    lines = text.split("\n")
    size = len(custodians) + 6
    require(len(lines) > size and lines[-1] == "" and lines[size - 1] == "---", MALFORMED, "not the lines of a record")
    words = [line.split(" ") for line in lines[:-1]]
    threshold = ["threshold", str(terms["oprf"]["threshold"]), "of", str(len(custodians))]
    require(words[0] == ["hedui-epoch/1"] and words[3] == threshold, MALFORMED, "format or threshold")
    digest_line, epoch_line, group_line = words[1], words[2], words[size - 2]
    require(digest_line[:-1] == ["agreement"] and is_hex(digest_line[-1], 32), MALFORMED, "agreement")
    require(epoch_line[:-1] == ["epoch"] and is_number(epoch_line[-1], 32), MALFORMED, "epoch")
    require(group_line[:-1] == ["group"] and is_hex(group_line[-1], 32), MALFORMED, "group")
    shares = words[4:size - 2]
    for n, (name, share) in enumerate(zip(custodians, shares, strict=True), 1):
        require(share[:-1] == ["share", str(n), name] and is_hex(share[-1], 32), MALFORMED, f"share {n}")
    for line in words[size:]:
        good = len(line) == 3 and line[0] == "signature" and is_name(line[1]) and is_hex(line[2], 64)
        require(good, MALFORMED, "signature line")
    return h(digest_line[1]), int(epoch_line[1]), [h(share[-1]) for share in shares], h(group_line[1]), words[size:]


def check_keys(shares, group, needed):
    """Refuses public shares that are on no polynomial of degree t - 1, and another group key than theirs."""
    points = [element(share) for share in shares]
    first = range(1, needed + 1)
    for n in range(needed + 1, len(points) + 1):
        expected = combine(at_point(first, n), points)
        require(curve.encode(expected) == shares[n - 1], ANSWER, f"share {n} is off the polynomial")
    whole = voprf.coefficients(len(points), needed, first)
    key = curve.multiply(4, combine(whole, points))
    element(group)
    require(curve.encode(key) == group, ANSWER, "group key of other shares")


def at_point(indices, x):
    """Lagrange coefficients at x, as scalars."""
    out = []
    for i in indices:
        value = 1
        for j in indices:
            if j != i:
                value = value * (x - j) * pow(i - j, -1, curve.ORDER) % curve.ORDER
        out.append(value)
    return out


def combine(numbers, points):
    """The sum of multiples of points."""
    total = curve.IDENTITY
    for number, point in zip(numbers, points):
        total = curve.add(total, curve.multiply(number, point))
    return total


def element(data):
    """An element that may stand in the protocol: canonical and not the identity."""
    point = curve.decode(data)
    require(point is not None and data != bytes(32), ANSWER, "not an element")
    return point


def record(case):
    """Group key and signers of an epoch's record."""
    terms, text = tomllib.loads(case["effective"]), case["text"]
    ad, epoch, shares, group, signatures = read_record(text, terms)
    require(ad == agreement_digest(case["effective"]), AGREEMENT, "other agreement")
    require(epoch == terms.get("epoch", 1), EPOCH, "other epoch")
    check_keys(shares, group, terms["oprf"]["threshold"])
    require(signatures, MALFORMED, "signed by nobody")
    message = labelled(b"epoch-record", sha256((text[:text.index("---\n")] + "---\n").encode()))
    keys = {party["name"]: h(party["sign"]) for party in terms["party"] if party["role"] == "custodian"}
    for _, name, signed in signatures:
        require(name in keys, SENDER, f"{name} is no custodian")
        require(curve.ed_verify(keys[name], message, h(signed)), SIGNATURE, f"not the signature of {name}")
    names = [name for _, name, _ in signatures]
    if len(set(names)) < len(names):
        raise Refusal(MALFORMED, "somebody signed twice")
    return {"group": group.hex(), "signers": [name for name in keys if name in names]}


OPERATIONS = {
    "identities": {"from_seed": from_seed, "card": card},
    "agreements": {"digest": digest, "signature": signature, "in_force": in_force},
    "epoch-records": {"record": record},
}
