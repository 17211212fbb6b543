//! Townships' sheets by the binary: every row filled in, read back, read twice, in conflict, in error. In: exported
//! workbooks, filled in by another writer of workbooks. Out: passes, or a cell that was lost, taken twice or quoted.
//! Invariant under test: docs/DESK.md, "Township sheets". LibreOffice's part: tests/sheets/roundtrip.py.

use std::collections::BTreeMap;

use hedui_tests::workbook::Book;
use serde_json::Value;

use super::{cases, desk, must, object};

/// What a township fills in for a case that it finds true.
const TRUE: [(&str, &str); 12] = [
    ("签收人", "陈签收"),
    ("签收日期", "2016-07-02"),
    ("核查日期", "2016年7月5日"),
    ("核查方式", "入户调查"),
    ("核查人甲", "赵一"),
    ("核查人乙", "钱二"),
    ("核查情况", "到户查看，情况与登记一致"),
    ("是否同一人", "是"),
    ("认定结果", "查实"),
    ("认定理由", "登记、凭证和本人陈述一致"),
    ("处理建议", "取消"),
    ("超领月数", "7"),
];

#[test]
fn a_township_fills_in_its_sheet_and_nothing_is_lost_or_taken_twice() {
    let folder = tempfile::tempdir().expect("folder");
    let (site, _) = desk(folder.path());
    let run = |day: &str, args: &[&str], codes: &[i32]| must(&site, "clerk", day, args, codes);
    run("2016-07-01", &["take", "clues.json"], &[0]);
    run("2016-07-01", &["assign", "--all"], &[0]);
    let all = cases(&site);
    assert_eq!(all.len(), 567);
    let township = all.values().next().expect("a case")["township"]
        .as_str()
        .expect("name")
        .to_owned();
    let own: Vec<String> = all
        .iter()
        .filter(|(_, case)| case["township"] == township.as_str())
        .map(|(number, _)| number.clone())
        .collect();
    assert!(own.len() > 20, "{}", own.len());
    run(
        "2016-07-01",
        &["export", "--township", &township, "--out", "sheet.xlsx"],
        &[0],
    );

    let path = site.root.join("sheet.xlsx");
    let mut book = Book::open(&path);
    for number in &own {
        book.fill("核查表", |row| row[0] == *number, &TRUE);
    }
    // Every question is answered so that it does not rule the case out: the two words are tried in turn.
    let questions = book.sheet("核实要点").len() - 2;
    let terms = hedui_desk::terms::Terms::parse(hedui_desk::terms::COUNTY_TERMS).expect("terms");
    let harmless: BTreeMap<String, &str> = terms
        .question
        .iter()
        .map(|q| {
            let no = q.disproved_by == hedui_desk::words::Answer::Yes;
            (q.name.to_string(), if no { "否" } else { "是" })
        })
        .collect();
    let rows = book.sheet("核实要点");
    let heads = rows[1].clone();
    let column = |head: &str| heads.iter().position(|h| h == head).expect("column");
    let (answer, code) = (column("回答"), column("要点代码（勿改）"));
    for row in rows.iter_mut().skip(2).filter(|row| !row[0].is_empty()) {
        row[answer] = harmless[&row[code]].to_owned();
    }
    assert!(questions > own.len());
    // One visitor only; a question left open; a day that is none; a number that is another's.
    let broken: Vec<&String> = own.iter().take(4).collect();
    book.fill(
        "核查表",
        |row| row[0] == *broken[0],
        &[("核查人乙", "赵一")],
    );
    book.fill("核实要点", |row| row[0] == *broken[1], &[("回答", "")]);
    book.fill(
        "核查表",
        |row| row[0] == *broken[2],
        &[("核查日期", "七月五日")],
    );
    book.fill(
        "核查表",
        |row| row[0] == *broken[3],
        &[("校验码（勿改）", "12-abcdef")],
    );
    // The rows are sorted by somebody.
    book.sheet("核查表")[2..].reverse();
    book.write(&site.root.join("filled.xlsx"));

    let read = object(&run(
        "2016-07-06",
        &["import", "filled.xlsx", "--json"],
        &[1],
    ));
    assert_eq!(read["recorded"], own.len() - 4, "{read}");
    let troubles = read["troubles"].as_array().expect("list").clone();
    // The last has answers too, whose case the sheet does not name any more.
    assert!(troubles.len() >= 4, "{read}");
    let said = serde_json::to_string(&troubles).expect("JSON");
    for word in ["赵一", "七月五日", "到户查看"] {
        assert!(!said.contains(word), "{word} is quoted: {said}");
    }
    let after = cases(&site);
    for number in &own {
        let expected = if broken.contains(&number) {
            "assigned"
        } else {
            "concluded"
        };
        assert_eq!(after[number]["stage"], expected, "{number}");
    }
    // Every cell of a taken row is in the history.
    let shown = object(&run("2016-07-06", &["show", &own[10], "--json"], &[0]));
    let text = serde_json::to_string(&shown["history"]).expect("JSON");
    for (head, cell) in TRUE {
        let cell = match cell {
            "2016年7月5日" => "2016-07-05",
            "入户调查" => "\"home\"",
            "是" => "\"same_person\":\"yes\"",
            "查实" => "\"confirmed\"",
            "取消" => "\"proposal\":\"cancel\"",
            "7" => "\"overdrawn_months\":7",
            other => other,
        };
        assert!(text.contains(cell), "{head}: {text}");
    }
    // The second time nothing new; corrected, what was missing; the sheet itself is kept.
    let again = object(&run(
        "2016-07-06",
        &["import", "filled.xlsx", "--json"],
        &[1],
    ));
    assert_eq!(
        (&again["recorded"], &again["nothing_new"]),
        (&Value::from(0), &Value::from(own.len() - 4))
    );
    assert!(
        site.root
            .join("desk/files")
            .join(again["kept_as"].as_str().expect("digest"))
            .exists()
    );
    book.fill(
        "核查表",
        |row| row[0] == *broken[0],
        &[("核查人乙", "钱二")],
    );
    book.write(&site.root.join("corrected.xlsx"));
    let third = object(&run(
        "2016-07-06",
        &["import", "corrected.xlsx", "--json"],
        &[1],
    ));
    assert_eq!(third["recorded"], 1);

    // A lead sends one back and another visit is recorded at the desk: the sheet's row is a conflict until it is asked for.
    let contested = &own[10];
    must(
        &site,
        "lead",
        "2016-07-07",
        &["send-back", contested, "--reason", "证据不足，请补充"],
        &[0],
    );
    book.fill(
        "核查表",
        |row| row[0] == *contested,
        &[("认定理由", "补充了行驶证复印件和本人陈述")],
    );
    book.write(&site.root.join("late.xlsx"));
    let late = object(&run("2016-07-08", &["import", "late.xlsx", "--json"], &[1]));
    let conflicts: Vec<&Value> = late["troubles"]
        .as_array()
        .expect("list")
        .iter()
        .filter(|t| t["conflict"] == true)
        .collect();
    assert_eq!(conflicts.len(), 1, "{late}");
    assert_eq!(conflicts[0]["what"], contested.as_str());
    assert!(
        conflicts[0]["why"]
            .as_str()
            .expect("why")
            .contains("退回重核")
    );
    assert_eq!(
        cases(&site)[contested]["stage"],
        "visited",
        "nothing is overwritten"
    );
    let forced = object(&run(
        "2016-07-08",
        &["import", "late.xlsx", "--take", contested, "--json"],
        &[1],
    ));
    assert_eq!(forced["recorded"], 1);
    assert_eq!(cases(&site)[contested]["stage"], "concluded");
    must(&site, "clerk", "2016-07-08", &["verify"], &[0]);
}

#[test]
fn what_is_no_sheet_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let (site, _) = desk(folder.path());
    std::fs::write(site.root.join("text.xlsx"), "no workbook").expect("file");
    let mut other = rust_xlsxwriter::Workbook::new();
    other
        .add_worksheet()
        .write_string(0, 0, "另一张表")
        .expect("cell");
    other.save(site.root.join("other.xlsx")).expect("saved");
    let mut headless = rust_xlsxwriter::Workbook::new();
    headless
        .add_worksheet()
        .set_name("核查表")
        .expect("name")
        .write_string(5, 3, "无表头")
        .expect("cell");
    headless
        .save(site.root.join("headless.xlsx"))
        .expect("saved");
    for file in ["text.xlsx", "other.xlsx", "headless.xlsx", "absent.xlsx"] {
        let done = must(&site, "clerk", "2016-07-01", &["import", file], &[2]);
        assert!(
            done.stderr.contains("what to do") && !done.stderr.contains("internal error"),
            "{file}: {}",
            done.stderr
        );
    }
}
