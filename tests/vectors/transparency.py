"""The matcher's log: entries, trees, checkpoints with their witnesses, tiles and bundles.

In: the `in` objects of the scenario log, and the line `log` of a header. Out: their `out` objects, or a Refusal. After
RFC 6962 and C2SP's signed-note, tlog-checkpoint, tlog-cosignature and tlog-tiles.
"""

import base64
import binascii
import re

import curve
from refusal import CHECKPOINT, CUT, MALFORMED, TOO_LARGE, h, is_hex, is_number, require, u16
from documents import read_card
from hashes import sha256

WORDS = ("accepted", "sent", "deleted")
ENTRIES_MAX, NOTE_MAX, WIDTH = 1 << 20, 65536, 256
LOG_KEY, WITNESS_KEY = b"\1", b"\4"
RULE = "entry n: word n mod 3 of accepted, sent, deleted; digest H(u64(n))"
DASH = "\u2014 "


# Entries and trees


def read_entry(text):
    """An entry in the only form that it may have, as bytes."""
    words = text.split(" ")
    require(len(words) == 2 and words[0] in WORDS and is_hex(words[1], 32), MALFORMED, "not an entry")
    return text.encode("ascii")


def read_entries(texts):
    """Entries of one log as bytes; each stands in it once."""
    require(len(texts) <= ENTRIES_MAX, TOO_LARGE, "too many entries")
    require(len(set(texts)) == len(texts), MALFORMED, "an entry stands there twice")
    return [read_entry(text) for text in texts]


def leaf(data):
    """Hash of a leaf."""
    return sha256(b"\0" + data)


def node(left, right):
    """Hash of what has two subtrees."""
    return sha256(b"\1" + left + right)


def split(size):
    """How many of a tree's leaves, two at least, are in its left subtree."""
    return 1 << (size - 1).bit_length() - 1


def tree(leaves):
    """The root over hashes of leaves."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    left = split(len(leaves))
    return node(tree(leaves[:left]), tree(leaves[left:]))


def climb(hashed, index, size, path):
    """The root to which an audit path leads from a leaf."""
    if size == 1:
        require(not path, CHECKPOINT, "path too long")
        return hashed
    require(path, CHECKPOINT, "path too short")
    left = split(size)
    if index < left:
        return node(climb(hashed, index, left, path[:-1]), path[-1])
    return node(path[-1], climb(hashed, index - left, size - left, path[:-1]))


def entry(case):
    """The leaf of an entry."""
    return {"leaf": leaf(read_entry(case["text"])).hex()}


def root(case):
    """The root over entries."""
    return {"root": tree([leaf(data) for data in read_entries(case["entries"])]).hex()}


def inclusion(case):
    """Whether a path leads from an entry to a root."""
    hashed, index, size = leaf(read_entry(case["text"])), case["index"], case["size"]
    require(is_hex(case["root"], 32) and all(is_hex(text, 32) for text in case["path"]), MALFORMED, "not hashes")
    require(0 <= index < size, CHECKPOINT, "no such entry")
    reached = climb(hashed, index, size, [h(text) for text in case["path"]])
    require(reached == h(case["root"]), CHECKPOINT, "path leads to another root")
    return {"included": True}


# Checkpoints


def body(agreement, epoch, matcher, size, hashed):
    """The three lines that a checkpoint's signatures are about."""
    text = base64.b64encode(hashed).decode()
    return f"HEDUI1/log/{agreement}/{epoch}/{matcher}\n{size}\n{text}\n".encode()


def unbase64(text):
    """The bytes of canonical base64 with its padding."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    require(data and base64.b64encode(data).decode() == text, MALFORMED, "not base64")
    return data


def note_key(name, kind, sign):
    """The four bytes that name a key of a note."""
    return sha256(name.encode() + b"\n" + kind + sign)[:4]


def read_signature(line):
    """(name, key, signature) of a note's signature line."""
    require(line.startswith(DASH), MALFORMED, "not a signature line")
    words = line[len(DASH):].split(" ")
    require(len(words) == 2 and re.fullmatch(r"[^\s+]+", words[0]) is not None, MALFORMED, "name of a signature line")
    data = unbase64(words[1])
    require(len(data) > 4, MALFORMED, "signature line without a signature")
    return words[0], data[:4], data[4:]


def read_note(text):
    """(first line, size, root, signatures) of a checkpoint's note."""
    require(len(text.encode()) <= NOTE_MAX, TOO_LARGE, "note too long")
    require(all(character >= " " or character == "\n" for character in text), MALFORMED, "control characters")
    lines = text.split("\n")
    require(len(lines) > 5 and lines[3] == "" and lines[-1] == "", MALFORMED, "not the lines of a checkpoint")
    require(is_number(lines[1], 64) and int(lines[1]) <= ENTRIES_MAX, MALFORMED, "size")
    hashed = unbase64(lines[2])
    require(len(hashed) == 32, MALFORMED, "root")
    return lines[0], int(lines[1]), hashed, [read_signature(line) for line in lines[4:-1]]


def lines_of(signatures, name, kind, sign):
    """The signatures of one key, one at least."""
    key = note_key(name, kind, sign)
    found = [signed for other, other_key, signed in signatures if (other, other_key) == (name, key)]
    require(found, CHECKPOINT, f"no signature of {name}")
    return found


def read_checkpoint(case):
    """(what the matcher signed, size, root, its signature, all signatures) of a note by the matcher."""
    matcher, sign, _ = read_card(case["matcher"])
    first, size, hashed, signatures = read_note(case["note"])
    signed = body(case["agreement"], case["epoch"], matcher, size, hashed)
    require(signed.split(b"\n")[0] == first.encode(), CHECKPOINT, "another log")
    own = lines_of(signatures, matcher, LOG_KEY, sign)
    require(len(own) == 1, CHECKPOINT, "two lines of the matcher")
    require(curve.ed_verify(sign, signed, own[0]), CHECKPOINT, "signature of the matcher")
    return signed, size, hashed, own[0], signatures


def checkpoint(case):
    """What a note by the matcher says."""
    _, size, hashed, signature, _ = read_checkpoint(case)
    return {"root": hashed.hex(), "signature": signature.hex(), "size": size}


def cosigned(signed, sign, line):
    """The time of a witness's signature under a checkpoint."""
    require(len(line) == 72, CHECKPOINT, "length of a witness's signature")
    time = int.from_bytes(line[:8], "big")
    require(time < 1 << 63, CHECKPOINT, "time of a witness")
    message = f"cosignature/v1\ntime {time}\n".encode() + signed
    require(curve.ed_verify(sign, message, line[8:]), CHECKPOINT, "signature of a witness")
    return time


def witness(case):
    """When a witness signed a checkpoint."""
    signed, _, _, _, signatures = read_checkpoint(case)
    name, sign, _ = read_card(case["witness"])
    require(name != read_card(case["matcher"])[0], CHECKPOINT, "the matcher is no witness")
    times = [cosigned(signed, sign, line) for line in lines_of(signatures, name, WITNESS_KEY, sign)]
    return {"time": times[0]}


# The line of a header


def read_line(text):
    """What the line `log` of a header says: a checkpoint, or null if the sender saw none."""
    if text == "- 0 -":
        return None
    words = text.split(" ")
    require(len(words) == 3, MALFORMED, "not a checkpoint")
    require(is_hex(words[0], 32) and is_number(words[1], 64) and is_hex(words[2], 64), MALFORMED, "not a checkpoint")
    return {"root": words[0], "size": int(words[1]), "signature": words[2]}


def check_line(line, case):
    """Refuses a checkpoint that the matcher of an agreement and epoch did not sign."""
    if line is None:
        return
    matcher, sign, _ = read_card(case["matcher"])
    require(line["size"] <= ENTRIES_MAX, CHECKPOINT, "more entries than a log has")
    signed = body(case["agreement"], case["epoch"], matcher, line["size"], h(line["root"]))
    require(curve.ed_verify(sign, signed, h(line["signature"])), CHECKPOINT, "checkpoint is not the matcher's")


def header_line(case):
    """A checkpoint of a header."""
    line = read_line(case["log"])
    check_line(line, case)
    return line


# Files


def by_rule(rule, size):
    """The texts of so many entries that a rule in words makes."""
    if rule != RULE:
        raise KeyError(rule)
    return [f"{WORDS[n % 3]} {sha256(n.to_bytes(8, 'big')).hex()}" for n in range(size)]


def place(level, number, width):
    """The path of a tile or bundle."""
    groups = [group.zfill(3) for group in f"{number:,}".split(",")]
    path = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
    return f"tile/{level}/{path}" + (f".p/{width}" if width < WIDTH else "")


def cut(level, pieces):
    """The files of one level, by their paths; a piece is a hash, or an entry with its length."""
    parts = [pieces[at:at + WIDTH] for at in range(0, len(pieces), WIDTH)]
    return {place(level, number, len(part)): b"".join(part) for number, part in enumerate(parts)}


def files(case):
    """Paths and digests of a log's tiles and bundles, by path."""
    entries = read_entries(by_rule(case["rule"], case["size"]))
    out = cut("entries", [u16(len(data)) + data for data in entries])
    level, hashes = 0, [leaf(data) for data in entries]
    while hashes:
        out |= cut(level, hashes)
        full = len(hashes) // WIDTH
        level, hashes = level + 1, [tree(hashes[WIDTH * n:WIDTH * (n + 1)]) for n in range(full)]
    return {"files": [{"path": path, "sha256": sha256(out[path]).hex()} for path in sorted(out)]}


def bundle(case):
    """The entries of a bundle that has so many."""
    data, at, texts = h(case["bytes"]), 0, []
    require(case["count"] <= WIDTH, TOO_LARGE, "too many entries for a bundle")
    for _ in range(case["count"]):
        end = at + 2 + int.from_bytes(data[at:at + 2], "big")
        require(at + 2 <= len(data) and end <= len(data), CUT, "bundle cut off")
        texts.append(data[at + 2:end].decode("ascii", "replace"))
        at = end
    require(at == len(data), TOO_LARGE, "something behind the bundle")
    read_entries(texts)
    return {"entries": texts}


OPERATIONS = {"log": {"entry": entry, "root": root, "inclusion": inclusion, "checkpoint": checkpoint,
                      "witness": witness, "header-line": header_line, "files": files, "bundle": bundle}}
