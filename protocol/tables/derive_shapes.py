#!/usr/bin/env python3
"""Derives shapes.tsv (Han character -> its shape as a Cangjie code) from Unicode's Unihan database.

Usage: derive_shapes.py Unihan_DictionaryLikeData.txt > shapes.tsv
The field is kCangjie (UAX #38, Unihan 15.0.0, Unicode License v3): the input code that names the components of a
character by 1 to 5 letters, the same in like-looking characters. Where Unihan gives several codes the first is taken;
`*` and letters other than A to Z are dropped. Kept are the blocks that personal names of GB 18030 level 1 and 2
systems use (CJK Unified Ideographs and Extension A) in code-point order, one line per run: the first character, a tab, and
the codes of it and its successors with a space between, `-` for none. The table serves comparison only; it is frozen by
vectors: a change is a new version.
"""
import sys

BLOCKS = [(0x3400, 0x4DBF), (0x4E00, 0x9FFF)]


def main() -> None:
    codes = {}
    for line in open(sys.argv[1], encoding="utf-8"):
        cells = line.rstrip("\n").split("\t")
        if len(cells) == 3 and cells[1] == "kCangjie":
            code = "".join(c for c in cells[2].split(" ")[0] if "A" <= c <= "Z")
            if 1 <= len(code) <= 5:
                codes[int(cells[0][2:], 16)] = code
    print("# Unihan 15.0.0 kCangjie, derive_shapes.py; Unicode License v3")
    for first, last in BLOCKS:
        row = [codes.get(point, "-") for point in range(first, last + 1)]
        print(chr(first) + "\t" + " ".join(row))


if __name__ == "__main__":
    main()
