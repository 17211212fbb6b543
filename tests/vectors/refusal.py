"""What every part of the re-derivation shares: refusals, strict forms of text, HKDF over a register's secret.

In: text and bytes of the vectors. Out: checked values, or a Refusal with its exit code.
"""

import re
import struct

from hashes import expand, extract

MALFORMED, CUT, TOO_LARGE, SENDER, RECIPIENT, AGREEMENT, EPOCH = 10, 11, 12, 13, 14, 15, 16
SIGNATURE, KIND, NOT_IN_FORCE, ANSWER, CHECKPOINT = 20, 22, 23, 25, 27
UNNAMED = 0

h = bytes.fromhex


class Refusal(Exception):
    """Why something is refused, and the exit code that says so."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code, self.reason = code, reason


def require(condition, code, reason):
    """Refuses unless the condition holds."""
    if not condition:
        raise Refusal(code, reason)


def is_name(text):
    """Whether a text is a name."""
    return re.fullmatch(r"[a-z0-9][a-z0-9-]*", text, re.ASCII) is not None and len(text) <= 64


def is_hex(text, size):
    """Whether a text is the hexadecimal of so many bytes."""
    return re.fullmatch(r"[0-9a-f]*", text, re.ASCII) is not None and len(text) == 2 * size


def is_number(text, bits):
    """Whether a text is a whole number of so many bits, without a sign or leading zeros."""
    return re.fullmatch(r"0|[1-9][0-9]{0,19}", text, re.ASCII) is not None and int(text) < 1 << bits


def u16(number):
    """Two bytes, big-endian."""
    return struct.pack(">H", number)


def u32(number):
    """Four bytes, big-endian."""
    return struct.pack(">I", number)


def labelled(label, *parts):
    """A label, a zero byte and the parts."""
    return b"HEDUI1/" + label + b"\0" + b"".join(parts)


def derived(case, label, parts=(), length=32, before=b""):
    """HKDF over a register's secret in its place: agreement, epoch and register come from the case."""
    prk = extract(h(case["agreement"]), before + h(case["register_secret"]))
    return expand(prk, labelled(label, u32(case["epoch"]), u16(case["register"]), *parts), length)
