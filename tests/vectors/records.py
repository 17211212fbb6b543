"""Single records and changes: disclosure requests and answers, own results, the rows of a base with its changes.

In: the `in` objects of the scenario disclosure. Out: their `out` objects, or a Refusal.
"""

import json
import re
import tomllib

from messages import fact
from refusal import MALFORMED, TOO_LARGE, Refusal, h, is_hex, is_name, require

QUESTIONS_MAX, NOTE_MAX, VALUE_MAX, PAD = 500, 200, 512, 4096
REASONS = ("review", "conflict", "facts", "recheck", "objection")


def split(body):
    """The manifest of a body, and what stands behind it."""
    size = int.from_bytes(body[:4], "big")
    require(len(body) >= 4 + size, MALFORMED, "cut off")
    try:
        return json.loads(body[4:4 + size]), body[4 + size:]
    except ValueError as error:
        raise Refusal(MALFORMED, "not JSON") from error


def manifest_alone(case, names):
    """A manifest with nothing behind it, and with these keys only."""
    found, rest = split(h(case["body"]))
    require(not rest, MALFORMED, "something behind the manifest")
    require(set(found) == set(names), MALFORMED, "keys")
    return found


def register_of(case, name):
    """The register's entry in the agreement."""
    terms = tomllib.loads(case["effective"])
    found = [entry for entry in terms["dataset"] if entry["name"] == name and entry["kind"] == "register"]
    require(len(found) == 1, MALFORMED, "no such register")
    return terms, found[0]


def one_line(text):
    """Whether a text has no control characters."""
    return not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)


def names_nobody(text):
    """Whether a text has no eleven digits in a row."""
    return re.search(r"[0-9\uff10-\uff19]{11}", text.replace(" ", "")) is None


def check_list(found, entries):
    """Refuses what names no data, says nothing, too much, or something twice."""
    snapshot = found["snapshot"]
    require(1 <= len(snapshot) <= 128 and all("!" <= c <= "~" for c in snapshot), MALFORMED, "snapshot")
    require(entries, MALFORMED, "empty")
    require(len(entries) <= QUESTIONS_MAX, TOO_LARGE, "too many")
    handles = [entry["handle"] for entry in entries]
    require(all(is_hex(handle, 16) for handle in handles), MALFORMED, "handle")
    require(len(set(handles)) == len(handles), MALFORMED, "a record twice")
    return handles


def likeness_of(terms):
    """The name under which likeness stands among the keys, if there is likeness."""
    return {terms["likeness"].get("name", "likeness")} if "likeness" in terms else set()


def request(case):
    """The records that a request asks about."""
    found = manifest_alone(case, ("register", "snapshot", "round", "questions"))
    terms, register = register_of(case, found["register"])
    require("disclosure" in register, MALFORMED, "no terms")
    handles = check_list(found, found["questions"])
    require(isinstance(found["round"], int) and 1 <= found["round"] < 1 << 32, MALFORMED, "round")
    known = {key["name"] for key in terms["match_key"]} | likeness_of(terms)
    for question in found["questions"]:
        require(set(question) == {"handle", "reason", "agree", "differ"}, MALFORMED, "keys of a question")
        require(question["reason"] in REASONS, MALFORMED, "reason")
        require(set(question["agree"] + question["differ"]) <= known, MALFORMED, "match key")
    return {"handles": handles}


def count_rows(data, schema):
    """Rows of facts, each fact in its form."""
    require(len(data) >= 4, MALFORMED, "facts cut off")
    count, at = int.from_bytes(data[:2], "big"), 4
    for _ in range(count):
        for kind in schema:
            require(at < len(data) and at + 1 + data[at] <= len(data), MALFORMED, "facts cut off")
            try:
                fact(data[at + 1:at + 1 + data[at]], {"kind": kind["kind"], "codes": len(kind["codes"])})
            except Refusal as refusal:
                raise Refusal(MALFORMED, refusal.reason) from refusal
            at += 1 + data[at]
    require(at == len(data), MALFORMED, "something behind the facts")
    return count


def answered(entry, register):
    """One answer."""
    require(set(entry) == {"handle", "word", "note", "facts", "fields"}, MALFORMED, "keys of an answer")
    word, note = entry["word"], entry["note"]
    require(word in ("disclosed", "declined", "unknown"), MALFORMED, "word")
    require(len(note) <= NOTE_MAX and one_line(note) and names_nobody(note), MALFORMED, "note")
    require(note or word != "declined", MALFORMED, "declined without a reason")
    require(word == "disclosed" or not (entry["facts"] or entry["fields"]), MALFORMED, "laid open and not disclosed")
    for name, value in entry["fields"].items():
        require(is_name(name) and name in register["disclosure"]["fields"], MALFORMED, "field")
        require(1 <= len(value) <= VALUE_MAX and one_line(value), MALFORMED, "value")
    rows = None
    if word == "disclosed":
        require(len(entry["facts"]) % 2 == 0 and is_hex(entry["facts"], len(entry["facts"]) // 2), MALFORMED, "facts")
        rows = count_rows(h(entry["facts"]), register["fact"])
        require(len(entry["facts"]) <= 2 * 4094, MALFORMED, "facts too long")
        require(rows <= (1024 if register["fact"] else 1), MALFORMED, "too many rows")
    return {"handle": entry["handle"], "word": word, "rows": rows, "fields": entry["fields"]}


def answer(case):
    """The answers of a department."""
    found = manifest_alone(case, ("register", "snapshot", "answers"))
    _, register = register_of(case, found["register"])
    require("disclosure" in register, MALFORMED, "no terms")
    check_list(found, found["answers"])
    return {"answers": [answered(entry, register) for entry in found["answers"]]}


def own_result(case):
    """The handles of an own result."""
    found, rows = split(h(case["body"]))
    require(set(found) == {"register", "snapshot", "as_of", "roll_as_of", "tables"}, MALFORMED, "keys")
    _, register = register_of(case, found["register"])
    require(register.get("own_result", False), MALFORMED, "no own result")
    tables = [(table["name"], table["width"]) for table in found["tables"]]
    require(tables == [("found", 16)], MALFORMED, "tables")
    require(len(rows) == 16 * found["tables"][0]["rows"], MALFORMED, "length")
    handles = [rows[at:at + 16].hex() for at in range(0, len(rows), 16)]
    require(all(a < b for a, b in zip(handles, handles[1:])), MALFORMED, "order")
    return {"found": handles}


def changed_rows(case):
    """Presence rows of a base with its changes."""
    require(case["gone"] <= case["base"], MALFORMED, "more are gone than there are")
    rows = case["base"] - case["gone"] + case["come"]
    # Payload tables are padded to 256, one table for each of four classes.
    cap = -(-(case["rows_max"] + 4 * 256) // PAD) * PAD
    require(rows <= cap, TOO_LARGE, "above the cap")
    require(rows % PAD == 0, MALFORMED, "not padded")
    return {"rows": rows}


OPERATIONS = {
    "disclosure": {"disclosure-request": request, "disclosure-answer": answer, "own-result": own_result,
                   "changed-rows": changed_rows},
}
