#!/usr/bin/env python3
"""Derives the name tables of the synthetic county from permissively licensed packages.

Usage: derive.py FAKER_DIR JIEBA_DICT PYCORRECTOR_DATA_DIR   (writes into this folder)
surnames.tsv    Faker 40.x zh_CN (MIT): surname, weight
given.tsv       jieba 0.42.1 dict.txt (MIT): characters of two-character given names of persons
                (tag nr, surname among the 100 most frequent): character, count, m/f/-
homophones.tsv  pycorrector 1.1.4 same_pinyin.txt (Apache-2.0): character, same sound
lookalikes.tsv  pycorrector 1.1.4 same_stroke.txt (Apache-2.0): character, similar shape
The linkage code uses other sources, so the county does not know what the linkage knows.
"""
import collections
import re
import sys
from pathlib import Path

here = Path(__file__).parent
faker, jieba, pyc = sys.argv[1:4]
source = Path(faker, "faker/providers/person/zh_CN/__init__.py").read_text(encoding="utf-8")
surnames = {}
block = source[source.index("last_names"):]
for name, weight in re.findall(r'\(\s*"([一-鿿]{1,2})",\s*([0-9.]+)\s*\)|"([一-鿿]{1,2})":\s*([0-9.]+)', block) and \
        [(a or c, b or d) for a, b, c, d in re.findall(r'\(\s*"([一-鿿]{1,2})",\s*([0-9.]+)\s*\)|"([一-鿿]{1,2})":\s*([0-9.]+)', block)]:
    surnames.setdefault(name, float(weight))
top = [n for n, _ in sorted(surnames.items(), key=lambda x: -x[1])]
with open(here / "surnames.tsv", "w", encoding="utf-8") as out:
    for name in top[:300]:
        out.write(f"{name}\t{surnames[name]}\n")
female = set("英兰玉凤秀芳珍梅翠桂菊萍红丽霞娟艳玲琴莲香花美娥淑燕云春芬素银巧彩婷慧静敏洁雪倩颖娜莉丹月仙")
male = set("军强国建明华文志刚勇峰辉伟平永德福生林成海东斌涛波龙飞鹏俊杰清松柏山江河武力民权宝根财贵荣富胜利")
counts = collections.Counter()
singles = set(top[:100])
for line in open(jieba, encoding="utf-8"):
    word, _, tag = line.rstrip("\n").split(" ")
    if tag.startswith("nr") and len(word) == 3 and word[0] in singles:
        counts.update(word[1:])
banned = set("先生大人太小老总女士一二三四五六七八九十某的是不了上下")
chars = [c for c, _ in counts.most_common(600) if c not in banned][:420]
chars += [c for c in sorted(female | male) if c not in chars]
with open(here / "given.tsv", "w", encoding="utf-8") as out:
    for c in chars:
        sex = "f" if c in female else "m" if c in male else "-"
        out.write(f"{c}\t{max(counts[c], 20) * (6 if sex != '-' else 1)}\t{sex}\n")
known = set(chars) | {c for n in top[:300] for c in n}
with open(here / "homophones.tsv", "w", encoding="utf-8") as out:
    for line in open(Path(pyc, "same_pinyin.txt"), encoding="utf-8"):
        cells = line.rstrip("\n").split("\t")
        if len(cells) > 1 and cells[0] in known and cells[1]:
            out.write(f"{cells[0]}\t{cells[1]}\n")
look = collections.defaultdict(list)
for line in open(Path(pyc, "same_stroke.txt"), encoding="utf-8"):
    group = line.strip("﻿\n").split("\t")
    for c in group:
        if c in known:
            look[c] += [d for d in group if d != c and len(d) == 1 and d not in look[c]]
with open(here / "lookalikes.tsv", "w", encoding="utf-8") as out:
    for c in sorted(look):
        if look[c]:
            out.write(f"{c}\t{''.join(look[c])}\n")
