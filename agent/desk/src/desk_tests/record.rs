//! The history on disk and the periods that follow each other. In: desks that are reopened, shared, changed behind the
//! program's back. Out: passes, or work done twice, or a change that nobody noticed. Invariant under test: only added to.
//! Specification: docs/DESK.md, "History", "Taking clues".

use super::*;

#[test]
fn a_case_goes_its_whole_way_and_is_there_again_after_reopening_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[("户1", "鄂E 小型汽车")]);
    let number = only(&desk);
    confirm(&mut desk, &number);
    try_as(&mut desk, "clerk", "2016-07-08", tell(&number)).unwrap();
    try_as(
        &mut desk,
        "clerk",
        "2016-07-19",
        acted(&number, Measure::Cancel, None),
    )
    .unwrap();
    try_as(
        &mut desk,
        "clerk",
        "2016-07-19",
        acted(&number, Measure::Recover, Some(240_000)),
    )
    .unwrap();
    try_as(&mut desk, "clerk", "2016-07-20", said(&number, close)).unwrap();
    let head = desk.head();
    drop(desk);
    let again = Desk::open(folder.path()).unwrap();
    assert_eq!(again.head(), head);
    assert!(again.holds(&head.1) && !again.holds(&"0".repeat(64)));
    let case = &again.book.cases[&number];
    assert_eq!((case.stage, case.acts.len()), (Stage::Closed, 2));
}

#[test]
fn periods_follow_each_other_without_doing_work_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(
        folder.path(),
        &[
            ("开着", "甲"),
            ("不属实", "乙"),
            ("查实", "丙"),
            ("消失", "丁"),
            ("变了", "戊"),
        ],
    );
    let number = |desk: &Desk, unit: &str| {
        let case = desk
            .book
            .cases
            .values()
            .find(|c| c.new.unit == unit && c.new.period == "2016-06");
        case.unwrap().number().to_owned()
    };
    for unit in ["不属实", "变了"] {
        let n = number(&desk, unit);
        for body in [
            assigned(&n),
            visited(&n, &["赵一", "钱二"], "2016-07-06"),
            concluded(&n, Outcome::Unfounded, BTreeMap::new()),
        ] {
            try_as(&mut desk, "clerk", "2016-07-06", body).unwrap();
        }
        try_as(&mut desk, "lead", "2016-07-06", said(&n, approve)).unwrap();
        try_as(&mut desk, "clerk", "2016-07-06", said(&n, close)).unwrap();
    }
    let n = number(&desk, "查实");
    confirm(&mut desk, &n);
    try_as(&mut desk, "clerk", "2016-07-08", tell(&n)).unwrap();
    try_as(
        &mut desk,
        "clerk",
        "2016-07-19",
        acted(&n, Measure::Cancel, None),
    )
    .unwrap();
    try_as(&mut desk, "clerk", "2016-07-19", said(&n, close)).unwrap();
    take(
        &mut desk,
        &handover(
            "2016-09",
            &[
                ("开着", "甲"),
                ("不属实", "乙"),
                ("查实", "丙"),
                ("变了", "己"),
                ("新的", "庚"),
            ],
        ),
    );
    let fresh: Vec<(&str, Option<&str>)> = desk
        .book
        .cases
        .values()
        .filter(|c| c.new.period == "2016-09")
        .map(|c| (c.new.unit.as_str(), c.new.continues.as_deref()))
        .collect();
    // Still open, and answered on the same evidence: no new case. Other evidence, or confirmed and still there: one.
    assert_eq!(fresh.len(), 3);
    assert!(fresh.contains(&("新的", None)));
    assert!(fresh.contains(&("查实", Some(n.as_str()))));
    assert!(
        fresh
            .iter()
            .any(|(unit, before)| *unit == "变了" && before.is_some())
    );
    assert!(desk.book.cases[&number(&desk, "消失")].is_gone());
    assert!(!desk.book.cases[&number(&desk, "开着")].is_gone());
    // The same file again, and an earlier period, are refused whole.
    let same = handover(
        "2016-09",
        &[("a", ""), ("b", ""), ("c", ""), ("d", ""), ("e", "")],
    );
    let before = desk.book.seq();
    for again in [same, handover("2016-08", &[("x", "y")])] {
        let outcome = desk.session(&actor("clerk", "2016-10-01"), |session| {
            for body in session.book().plan(&again) {
                session.must(body)?;
            }
            Ok(())
        });
        assert!(outcome.is_err());
        assert_eq!(desk.book.seq(), before, "nothing of it is kept");
    }
    // Gone, so a lead may withdraw it; a clerk may not.
    let gone = number(&desk, "消失");
    let withdraw = |number, reason| Body::Withdrawn { number, reason };
    assert!(try_as(&mut desk, "clerk", "2016-10-01", said(&gone, withdraw)).is_err());
    try_as(&mut desk, "lead", "2016-10-01", said(&gone, withdraw)).unwrap();
    assert!(desk.book.cases[&gone].withdrawn);
}

#[test]
fn two_processes_share_one_history() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = desk(folder.path(), &[("户1", "车"), ("户2", "车")]);
    let mut second = Desk::open(folder.path()).unwrap();
    let numbers: Vec<String> = first.book.cases.keys().cloned().collect();
    try_as(&mut first, "clerk", "2016-07-02", assigned(&numbers[0])).unwrap();
    try_as(&mut second, "clerk", "2016-07-02", assigned(&numbers[1])).unwrap();
    // The first process judges by what the second did.
    try_as(
        &mut first,
        "clerk",
        "2016-07-05",
        visited(&numbers[1], &["赵一", "钱二"], "2016-07-05"),
    )
    .unwrap();
    let third = Desk::open(folder.path()).unwrap();
    assert_eq!(third.head(), first.head());
}

#[test]
fn every_change_of_the_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = desk(folder.path(), &[("户1", "车")]);
    let n = only(&made);
    confirm(&mut made, &n);
    let head = made.head();
    drop(made);
    let path = folder.path().join("desk.sqlite");
    let good = std::fs::read(&path).unwrap();
    // SQLite itself refuses a change.
    let db = rusqlite::Connection::open(&path).unwrap();
    assert!(db.execute("UPDATE event SET by = 'lead'", []).is_err());
    assert!(db.execute("DELETE FROM event WHERE seq = 3", []).is_err());
    drop(db);
    let tampered = |sql: &str| {
        std::fs::write(&path, &good).unwrap();
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute_batch(&format!(
            "DROP TRIGGER no_change; DROP TRIGGER no_removal; {sql}"
        ))
        .unwrap();
        drop(db);
        match Desk::open(folder.path()) {
            Err(_) => true,
            Ok(desk) => !desk.holds(&head.1),
        }
    };
    assert!(!tampered("SELECT 1;"), "the control");
    for sql in [
        "UPDATE event SET body = replace(body, 'confirmed', 'unfounded') WHERE body LIKE '%concluded%';",
        "UPDATE event SET by = 'lead' WHERE seq = (SELECT max(seq) - 1 FROM event);",
        "UPDATE event SET at = '2016-07-09T12:00:00Z' WHERE seq = (SELECT max(seq) FROM event);",
        "DELETE FROM event WHERE seq = 3;",
        "DELETE FROM event WHERE seq = (SELECT max(seq) FROM event);",
        "UPDATE event SET signature = zeroblob(64) WHERE seq = 4;",
        "UPDATE event SET hash = zeroblob(32) WHERE seq = 4;",
    ] {
        assert!(tampered(sql), "{sql}");
    }
}

#[test]
fn a_register_that_was_not_compared_says_nothing_of_its_clues() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[("户1", "车")]);
    let n = only(&desk);
    let mut without = handover("2016-09", &[]);
    without.registers.clear();
    take(&mut desk, &without);
    assert!(
        !desk.book.cases[&n].is_gone(),
        "its department delivered nothing"
    );
    take(&mut desk, &handover("2016-10", &[]));
    assert!(desk.book.cases[&n].is_gone());
}

#[test]
fn two_matters_with_one_number_are_two_cases() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[]);
    let mut both = handover("2016-07", &[("户1", "车"), ("户2", "车"), ("户3", "车")]);
    for found in &mut both.found {
        found.number = "0a0a0a0a".to_owned();
    }
    take(&mut desk, &both);
    let numbers: Vec<&str> = desk.book.cases.keys().map(String::as_str).collect();
    assert_eq!(numbers, ["0a0a0a0a", "0a0a0a0a-2", "0a0a0a0a-3"]);
}
