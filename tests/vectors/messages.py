"""Headers, envelopes and the fixed parts of bodies.

In: the `in` objects of the scenarios headers, envelopes and bodies. Out: their `out` objects, or a Refusal.
"""

import datetime
import re
import struct

import curve
import hpke
from refusal import (AGREEMENT, CHECKPOINT, CUT, EPOCH, KIND, MALFORMED, RECIPIENT, SENDER, SIGNATURE, TOO_LARGE,
                    UNNAMED, h, is_hex, is_name, is_number, labelled, require)
from derivations import checks
from documents import key_id, read_card
from hashes import aead_open, sha256
from transparency import check_line, read_line

TYPES = ("kit", "submission", "receipt", "result", "ticket", "eval-request", "eval-answer", "refine-request",
         "refine-answer", "ceremony", "disclosure-request", "disclosure-answer", "own-result")
HEADER_MAX, BODY_MAX, CHUNK = 4096, 1 << 40, 65536
END = b"---\n"
HEADER = re.compile(
    r"hedui/1 (?P<type>[a-z-]+)\nsuite r255-1\nagreement (?P<agreement>\S+)\nepoch (?P<epoch>\S+)\n"
    r"from (?P<from>\S+) (?P<from_key>\S+)\nto (?P<to>\S+) (?P<to_key>\S+)\nseq (?P<seq>\S+)\n"
    r"request (?P<request>\S+)\ninreplyto (?P<inreplyto>\S+)\ncreated (?P<created>\S+)\n"
    r"body (?P<body>\S+)\nlog (?P<log>[^\n]+)\n---\n", re.ASCII)


def is_instant(text):
    """Whether a text is a moment of the calendar."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", text, re.ASCII) is None:
        return False
    try:
        datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return False
    return text[17:19] < "60"


def read_header(text):
    """The fields of a header in the only form that it may have."""
    found = HEADER.fullmatch(text)
    require(found is not None and len(text) <= HEADER_MAX, MALFORMED, "not the lines of a header")
    out = found.groupdict()
    require(out["type"] in TYPES, MALFORMED, "type")
    require(is_hex(out["agreement"], 32) and is_hex(out["request"], 16), MALFORMED, "agreement or request")
    require(out["inreplyto"] == "-" or is_hex(out["inreplyto"], 16), MALFORMED, "inreplyto")
    require(is_name(out["from"]) and is_hex(out["from_key"], 8), MALFORMED, "from")
    require(is_name(out["to"]) and is_hex(out["to_key"], 8), MALFORMED, "to")
    require(is_number(out["epoch"], 32) and is_number(out["seq"], 64), MALFORMED, "epoch or seq")
    require(is_number(out["body"], 64) and int(out["body"]) <= BODY_MAX, MALFORMED, "body")
    require(is_instant(out["created"]), MALFORMED, "created")
    numbers = {name: int(out[name]) for name in ("epoch", "seq", "body")}
    return out | numbers | {"log": read_line(out["log"])}


def parse(case):
    """A header."""
    return read_header(case["text"])


# Envelopes


def split_header(data):
    """(header as bytes, its fields, the rest) of a file."""
    end = data[:HEADER_MAX].find(b"\n" + END)
    require(end >= 0, MALFORMED, "no end of a header")
    size = end + 1 + len(END)
    require(data[:size].isascii(), MALFORMED, "header is not ASCII")
    return data[:size], read_header(data[:size].decode("ascii")), data[size:]


def check_header(fields, case, public):
    """Refuses what is not about this agreement, for this party, in this epoch, of an expected type, from its sender."""
    require(fields["agreement"] == case["agreement"], AGREEMENT, "other agreement")
    to = (fields["to"], fields["to_key"])
    require(to == (case["me"]["party"], key_id(*public).hex()), RECIPIENT, "other recipient")
    require(fields["epoch"] == case["epoch"], EPOCH, "other epoch")
    require(not case["types"] or fields["type"] in case["types"], KIND, "other type")
    require(case["sender"] is not None, SENDER, "sender is no party")
    name, sign, seal = read_card(case["sender"])
    require((fields["from"], fields["from_key"]) == (name, key_id(sign, seal).hex()), SENDER, "sender with other keys")
    return sign


def sealed_size(body):
    """Length of all chunks of a body."""
    return body + 16 * max(1, -(-body // CHUNK))


def open_chunks(key, chunks, body):
    """The body of sealed chunks."""
    out, count = b"", max(1, -(-body // CHUNK))
    for n in range(count):
        nonce = n.to_bytes(11, "big") + bytes([n == count - 1])
        plain = aead_open(key, nonce, b"", chunks[n * (CHUNK + 16):(n + 1) * (CHUNK + 16)])
        require(plain is not None, SIGNATURE, f"chunk {n} does not open")
        out += plain
    return out


def open_envelope(case):
    """The body of a file."""
    seed = h(case["me"]["seed"])
    secret, seal = hpke.derive_key_pair(seed[32:])
    header, fields, rest = split_header(h(case["file"]))
    sign = check_header(fields, case, (curve.ed_public(seed[:32]), seal))
    own = case["sender"] == case["matcher"]
    require(fields["log"] is not None or not own, CHECKPOINT, "the matcher names no checkpoint")
    check_line(fields["log"], case)
    size = 32 + sealed_size(fields["body"]) + 64
    require(len(rest) >= size, CUT, "cut off")
    require(len(rest) <= size, TOO_LARGE, "something behind it")
    message = labelled(b"signature", fields["type"].encode(), b"\0", sha256(header), sha256(rest[:-64]))
    require(curve.ed_verify(sign, message, rest[-64:]), SIGNATURE, "signature")
    info = labelled(b"envelope", sha256(header))
    key = hpke.receive_export(rest[:32], secret, info, b"HEDUI1/envelope-stream", 32)
    require(key is not None, SIGNATURE, "encapsulated key of low order")
    return {"body": open_chunks(key, rest[32:-64], fields["body"]).hex()}


# Bodies


def kit(case):
    """A kit."""
    body = h(case["body"])
    require(len(body) == 66, MALFORMED, "length")
    return {"register": int.from_bytes(body[:2], "big"), "register_secret": body[2:34].hex(),
            "shared_secret": body[34:].hex()}


def pair(case):
    """A row of a result."""
    row = h(case["row"])
    require(len(row) == 40, MALFORMED, "length")
    agree, differ, outcome, refined, weight = struct.unpack(">HHBBh", row[32:])
    require(outcome in (1, 2, 3), MALFORMED, "outcome")
    require(refined == 1 or refined == weight == 0, MALFORMED, "weight of a pair that is not refined")
    return {"roll": row[:16].hex(), "register": row[16:32].hex(), "agree": agree, "differ": differ,
            "outcome": ("match", "review", "identity-conflict")[outcome - 1], "weight": weight if refined else None}


def is_day(number):
    """Whether YYYYMMDD is a day of the calendar."""
    try:
        datetime.date(number // 10000, number // 100 % 100, number % 100)
    except ValueError:
        return False
    return True


def fact(data, schema):
    """One fact, null if it is empty."""
    if not data:
        return None
    size = {"code": 1, "date": 4, "integer": 8}.get(schema["kind"], len(data))
    require(len(data) == size, UNNAMED, f"length of a {schema['kind']}")
    if schema["kind"] == "reference":
        text = data.decode("ascii", "replace")
        require(all("!" <= character <= "~" for character in text), UNNAMED, "characters of a reference")
        require(not checks(text), UNNAMED, "reference that is an identity number")
        return text
    value = int.from_bytes(data, "big", signed=schema["kind"] == "integer")
    require(schema["kind"] != "code" or value < schema["codes"], UNNAMED, "no such code")
    require(schema["kind"] != "date" or is_day(value), UNNAMED, "no such day")
    return value


def read_facts(data, schema):
    """Rows of facts, and how many were left out."""
    require(len(data) >= 4, UNNAMED, "facts cut off")
    count, left_out = struct.unpack(">HH", data[:4])
    at, rows = 4, []
    for _ in range(count):
        row = []
        for kind in schema:
            require(at < len(data) and at + 1 + data[at] <= len(data), UNNAMED, "facts cut off")
            row.append(fact(data[at + 1:at + 1 + data[at]], kind))
            at += 1 + data[at]
        rows.append(row)
    require(at == len(data), UNNAMED, "something behind the facts")
    return {"facts": rows, "rows_left_out": left_out}


def payload(case):
    """The facts of a payload, by the key of one of its release sets."""
    row, releases = h(case["row"]), case["releases"]
    require(len(row) == 28 + 48 * releases + case["class"] + 16, UNNAMED, "length")
    handle, nonce, wraps = row[:16], row[16:28], row[28:28 + 48 * releases]
    wrap = wraps[48 * case["set"]:48 * case["set"] + 48]
    cek = aead_open(h(case["kek"]), nonce, handle, wrap)
    require(cek is not None, UNNAMED, "key does not open")
    plain = aead_open(cek, bytes(12), handle, row[28 + 48 * releases:])
    require(plain is not None, UNNAMED, "facts do not open")
    size = int.from_bytes(plain[:2], "big")
    require(2 + size <= len(plain) and not any(plain[2 + size:]), UNNAMED, "length of the facts")
    return read_facts(plain[2:2 + size], case["facts_schema"])


OPERATIONS = {
    "headers": {"parse": parse},
    "envelopes": {"open": open_envelope},
    "bodies": {"kit": kit, "pair": pair, "payload": payload},
}
