"""Derives every test vector anew from the protocol's specification and compares.

In: a folder of vector files (by default protocol/vectors of this repository). Out: one line per file, a total and
every difference; exit code 1 if there is a difference or a scenario that is not known.
Usage: python3 tests/vectors/rederive.py [FOLDER]
"""

import json
import pathlib
import sys

import decision
import derivations
import documents
import filters
import messages
import records
import rolls
import transparency
from refusal import Refusal

MODULES = (documents, derivations, messages, decision, filters, transparency, rolls, records)
OPERATIONS = {name: operations for module in MODULES
              for name, operations in module.OPERATIONS.items()}
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "protocol" / "vectors"
OTHER_FORMAT = "field-kinds.json"


def derive(operations, case):
    """What the specification makes of a case: an output, a refusal, or neither if it makes no sense."""
    operation = operations.get(case.get("op"))
    if operation is None:
        return {"unknown": case.get("op")}
    try:
        return {"out": operation(case)}
    except Refusal as refusal:
        return {"refused": refusal.code, "reason": refusal.reason}
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return {"failed": repr(error)}


def same(vector, got):
    """Whether a derivation says what the vector says; a refusal without a code is any refusal."""
    if "refused" in vector:
        return "refused" in got and (vector["refused"] == 0 or got["refused"] == vector["refused"])
    return "out" in vector and got.get("out") == vector["out"]


def check_file(path):
    """(right, refused among them, all, differences) of one file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    operations = OPERATIONS.get(content["scenario"])
    if operations is None:
        return 0, 0, len(content["vectors"]), [f"{path.name}: no such scenario: {content['scenario']}"]
    right, refused, differences = 0, 0, []
    for vector in content["vectors"]:
        got = derive(operations, vector["in"])
        if same(vector, got):
            right += 1
            refused += "refused" in vector
        else:
            expected = {name: vector[name] for name in ("out", "refused") if name in vector}
            differences.append(f"{path.name}: {vector['name']}\n  expected {expected}\n  got      {got}")
    return right, refused, len(content["vectors"]), differences


def main(arguments):
    """Checks every file of the folder."""
    folder = pathlib.Path(arguments[0]) if arguments else FOLDER
    total, total_right, total_refused, differences = 0, 0, 0, []
    for path in sorted(folder.glob("*.json")):
        if path.name == OTHER_FORMAT:
            continue
        right, refused, count, found = check_file(path)
        print(f"{path.stem}: {right} of {count} ({refused} refused)", flush=True)
        total, total_right, total_refused = total + count, total_right + right, total_refused + refused
        differences += found
    print(f"all: {total_right} of {total} ({total_refused} refused)")
    for difference in differences:
        print(difference)
    if not total:
        print(f"no vectors in {folder}")
    return 0 if total and not differences else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
