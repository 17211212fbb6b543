#!/usr/bin/env python3
"""Township sheets through other people's programs: filled in by openpyxl, saved again by LibreOffice (headless), read back
by `hedui-desk import`. Every filled-in cell must be in the history, dates typed as dates and as text alike; sheets,
reports and clue lists must open without complaint and keep their drop-down lists and their protection.

    roundtrip.py BINARIES     folder of hedui-desk (target/release)

Needs soffice and openpyxl (pip); .ci/run installs both. Exit code 0 if every cell came through.
"""

import datetime
import json
import pathlib
import subprocess
import sys
import tempfile

import openpyxl

TOWNSHIP = "鸣凤镇"
CATEGORIES = {
    "有车享受社会救助": {"scrapped": "否", "lent-name": "否", "driver": "是"},
    "死亡继续享受社会救助": {"alive": "否", "paid-after": "是"},
    "有房享受社会救助": {"still-there": "是", "resettled": "否"},
}
CASES = 120
TASKS = 15


def line(number, category, kind):
    return {
        "number": f"{number:08x}", "category": category, "unit": f"DB{number:06}", "township": TOWNSHIP,
        "village": "凤山村", "name": f"张{chr(0x4e00 + number)}", "id": f"42052519500101{number:04}", "role": "申请人",
        "roll_row": number + 2, "register": "jidongche", "register_title": "机动车", "facts": "=1+1；状态：正常",
        "agree": ["身份证号"], "differ": [], "outcome": "review" if kind == "reviews" else "match",
        "rule": "vehicle", "clause": "条款 <b>&", "disproof": "情形",
    }


def handover():
    lists = {"clues": [], "reviews": [], "income_tasks": []}
    names = list(CATEGORIES)
    for number in range(CASES):
        kind = "reviews" if number % 10 == 9 else "clues"
        lists[kind].append(line(number, names[number % len(names)], kind))
    for number in range(TASKS):
        lists["income_tasks"].append(line(0x10000 + number, "赡养费核算", "income_tasks"))
    return {"schema": 1, "period": "2016-06", "agreement": "00", "categories": names, "registers": [], "exempted": {}, **lists}


class Desk:
    def __init__(self, binaries, folder):
        self.binary = str(pathlib.Path(binaries).resolve() / "hedui-desk")
        self.folder = folder
        self.passphrase = folder / "passphrase"
        self.passphrase.write_text("correct horse battery staple\n")

    def run(self, user, day, *args, codes=(0,)):
        done = subprocess.run(
            [self.binary, *args, "--as", user, "--today", day, "--passphrase-file", str(self.passphrase), "--json"],
            cwd=self.folder, capture_output=True, text=True, check=False,
        )
        assert done.returncode in codes, f"hedui-desk {args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)


def heads(sheet):
    return {cell.value: cell.column for cell in sheet[2]}


def fill(path):
    """Fills in every row, in the ways people do; gives what was filled in per number."""
    book = openpyxl.load_workbook(path)
    filled = {}
    sheet = book["核查表"]
    at = heads(sheet)
    for row in range(3, sheet.max_row + 1):
        number = sheet.cell(row, 1).value
        if not number:
            continue  # signatures below the table
        index = int(number, 16)
        typed = index % 2 == 0
        visit = datetime.date(2016, 7, 3 + index % 7)
        cells = {
            "签收人": f"签收{index}", "签收日期": datetime.date(2016, 7, 2) if typed else "2016-07-02",
            "核查日期": visit if typed else f"{visit.year}年{visit.month}月{visit.day}日",
            "核查方式": ["入户调查", "邻里访问", "信函索证", "部门核实"][index % 4],
            "核查人甲": "赵一", "核查人乙": f"钱{index}", "核查情况": f"第{index}户：已到户，\n情况“属实”，<见附件>&。",
            "是否同一人": "是", "认定结果": "不属实" if index % 5 == 0 else "查实",
            "认定理由": f"凭证编号 {index:04}，与登记一致", "备注": f"备注{index}",
            "处理建议": "继续享受" if index % 5 == 0 else ["取消", "清退", "减发"][index % 3],
        }
        if index % 5:
            cells["超领月数"] = index % 30 + 1 if typed else str(index % 30 + 1)
        for name, value in cells.items():
            sheet.cell(row, at[name]).value = value
        filled[number] = (cells, visit)
    questions = book["核实要点"]
    at = heads(questions)
    for row in range(3, questions.max_row + 1):
        if not questions.cell(row, 1).value:
            continue
        answers = CATEGORIES[questions.cell(row, at["问题类别"]).value]
        questions.cell(row, at["回答"]).value = answers[questions.cell(row, at["要点代码（勿改）"]).value]
    tasks = book["赡养费核算"]
    at = heads(tasks)
    for row in range(3, tasks.max_row + 1):
        number = tasks.cell(row, 1).value
        if not number:
            continue
        cells = {
            "签收人": "签收", "签收日期": "2016-07-02", "赡养人家庭人口（含本人）": 3, "赡养人家庭月净收入（元）": 8000.5 if row % 2 else "8,000.50",
            "赡养人应赡养的总人数": 2, "收入证明材料": f"工资单{row}", "认定结果": "不属实", "认定理由": "核算后未超过标准", "备注": "无",
        }
        for name, value in cells.items():
            tasks.cell(row, at[name]).value = value
        filled[number] = (cells, None)
    book.save(path)
    return filled


def resave(path, folder):
    """Opens a workbook in LibreOffice and saves it again."""
    out = folder / "resaved"
    done = subprocess.run(
        ["soffice", "--headless", f"-env:UserInstallation=file://{folder}/profile", "--convert-to", "xlsx:Calc MS Excel 2007 XML",
         "--outdir", str(out), str(path)], capture_output=True, text=True, check=True, timeout=180,
    )
    saved = out / path.name
    assert saved.exists(), done.stderr
    return saved


def check_history(desk, filled):
    seen = 0
    for number, (cells, visit) in filled.items():
        events = desk.run("clerk", "2016-07-11", "show", number)["history"]
        by_kind = {event["what"]["event"]: event["what"] for event in events}
        accepted, concluded = by_kind["accepted"], by_kind["concluded"]["conclusion"]
        assert accepted["who"] == cells["签收人"] and accepted["day"] == "2016-07-02", number
        outcome = {"查实": "confirmed", "不属实": "unfounded"}[cells["认定结果"]]
        assert concluded["outcome"] == outcome and concluded["reason"] == cells["认定理由"], number
        if "处理建议" in cells:
            words = {"继续享受": "keep", "取消": "cancel", "清退": "remove", "减发": "reduce"}
            assert concluded["proposal"] == words[cells["处理建议"]], number
            months = cells.get("超领月数")
            assert concluded.get("overdrawn_months") == (months and int(months)), number
        assert by_kind["noted"]["text"] == cells["备注"], number
        seen += 5
        if visit is None:
            form = by_kind["computed"]["form"]
            assert form == {"persons": 3, "income_fen": 800050, "supported": 2, "source": cells["收入证明材料"]}, (number, form)
            seen += 4
            continue
        told = by_kind["visited"]["visit"]
        assert told["day"] == visit.isoformat() and told["visitors"] == ["赵一", cells["核查人乙"]], number
        method = {"入户调查": "home", "邻里访问": "neighbours", "信函索证": "letter", "部门核实": "office"}
        assert told["method"] == method[cells["核查方式"]] and told["situation"] == cells["核查情况"], number
        assert concluded["same_person"] == "yes", number
        seen += 6 + len(concluded["answers"])
    return seen


def check_form(path):
    book = openpyxl.load_workbook(path)
    for name in ["核查表", "核实要点", "赡养费核算"]:
        sheet = book[name]
        assert sheet.protection.sheet, f"{name} has lost its protection"
        assert sheet.data_validations.dataValidation, f"{name} has lost its lists"
        # What looks like a formula in the data stays text.
        kinds = {cell.data_type for row in sheet.iter_rows() for cell in row}
        assert "f" not in kinds, f"{name} holds a formula"


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hedui-sheets-"))
    desk = Desk(sys.argv[1], folder)
    (folder / "clues.json").write_text(json.dumps(handover(), ensure_ascii=False))
    desk.run("lead", "2016-07-01", "new", "--practice", "--office", "某县民政局", "--title", "李审核")
    desk.run("lead", "2016-07-01", "user", "add", "clerk", "--title", "王经办", "--new-passphrase-file", str(desk.passphrase))
    desk.run("clerk", "2016-07-01", "take", "clues.json")
    desk.run("clerk", "2016-07-01", "assign", "--all")
    sheet = folder / "核查表.xlsx"
    desk.run("clerk", "2016-07-01", "export", "--township", TOWNSHIP, "--out", str(sheet))
    check_form(sheet)
    # Through LibreOffice before and after it is filled in, as a township that has no other program would do.
    opened = resave(sheet, folder)
    check_form(opened)
    filled = fill(opened)
    saved = resave(opened.rename(folder / "填好.xlsx"), folder)
    read = desk.run("clerk", "2016-07-11", "import", str(saved))
    assert read["recorded"] == CASES + TASKS and not read["troubles"], read
    cells = check_history(desk, filled)
    again = desk.run("clerk", "2016-07-11", "import", str(saved))
    assert again["recorded"] == 0 and again["nothing_new"] == CASES + TASKS, again
    desk.run("clerk", "2016-07-11", "report", "--out", "reports")
    report = folder / "reports" / "核查报表.xlsx"
    before, after = openpyxl.load_workbook(report), openpyxl.load_workbook(resave(report, folder))
    for name in before.sheetnames:
        rows = [[cell.value for cell in row] for row in before[name].iter_rows()]
        saved_rows = [[cell.value for cell in row] for row in after[name].iter_rows(max_row=len(rows), max_col=len(rows[0]))]
        assert rows == saved_rows, f"{name} changed"
    print(f"{cells} filled-in cells of {len(filled)} rows came through LibreOffice and back; {folder} may be removed")


if __name__ == "__main__":
    main()
