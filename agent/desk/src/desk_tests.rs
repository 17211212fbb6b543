//! The desk as a whole, on disk, through its rules. In: made-up cases. Out: passes, or the rule that does not hold.
//! Invariant under test: two people, reasons, time to object, a history that is only added to and notices every change.
//! Specification: docs/DESK.md.

use std::collections::BTreeMap;
use std::path::Path;

use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Name;
use hedui_protocol::primitive::hex;
use hedui_protocol::secret::Secret;

use crate::day::Day;
use crate::event::{Act, Body, Conclusion, User, Visit};
use crate::handover::tests::{exhibit, handover};
use crate::handover::{Found, Handover};
use crate::history::{Actor, Desk};
use crate::income::{IncomeForm, compute};
use crate::refused::Refused;
use crate::words::{Answer, Kind, Measure, Method, Outcome, Role, Stage};

fn actor(name: &str, day: &str) -> Actor {
    let mut seed = [7; 64];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    Actor {
        identity: Identity::from_seed(Name::new(name).unwrap(), &Secret::new(seed)),
        now: format!("{day}T12:00:00Z"),
    }
}

fn user(name: &str, title: &str, role: Role) -> User {
    User {
        name: Name::new(name).unwrap(),
        title: title.to_owned(),
        role,
        sign: hex(&actor(name, "2016-07-01").identity.card().sign),
    }
}

/// A desk with a lead, `lead`, and a clerk, `clerk`, who has taken a handover of one clue per unit.
fn desk(folder: &Path, units: &[(&str, &str)]) -> Desk {
    let mut desk = Desk::create(folder).unwrap();
    let lead = actor("lead", "2016-07-01");
    desk.session(&lead, |session| {
        session.must(Body::Opened {
            title: "某县民政局".to_owned(),
            user: user("lead", "李审核", Role::Lead),
        })?;
        session.must(Body::UserAdded {
            user: user("clerk", "王经办", Role::Clerk),
        })?;
        for body in session.book().plan(&handover("2016-06", units)) {
            session.must(body)?;
        }
        Ok(())
    })
    .unwrap();
    desk
}

fn only(desk: &Desk) -> String {
    desk.book.cases.keys().next().unwrap().clone()
}

fn try_as(desk: &mut Desk, who: &str, day: &str, body: Body) -> Result<(), Refused> {
    desk.session(&actor(who, day), |session| session.act(body))
        .unwrap()
}

fn day(text: &str) -> Day {
    Day::read(text).unwrap()
}

fn assigned(number: &str) -> Body {
    Body::Assigned {
        number: number.to_owned(),
        township: "鸣凤镇".to_owned(),
        due: day("2016-07-21"),
    }
}

fn visited(number: &str, visitors: &[&str], on: &str) -> Body {
    Body::Visited {
        number: number.to_owned(),
        visit: Visit {
            day: day(on),
            method: Method::Home,
            visitors: visitors.iter().map(|v| (*v).to_owned()).collect(),
            situation: "到户查看，车辆停在院内".to_owned(),
        },
    }
}

fn answers(list: &[(&str, Answer)]) -> BTreeMap<String, Answer> {
    list.iter().map(|(q, a)| ((*q).to_owned(), *a)).collect()
}

fn all_clear() -> BTreeMap<String, Answer> {
    answers(&[
        ("scrapped", Answer::No),
        ("lent-name", Answer::No),
        ("driver", Answer::Yes),
    ])
}

fn concluded(number: &str, outcome: Outcome, given: BTreeMap<String, Answer>) -> Body {
    Body::Concluded {
        number: number.to_owned(),
        conclusion: Conclusion {
            outcome,
            reason: "车辆登记和行驶证一致".to_owned(),
            same_person: Answer::Yes,
            answers: given,
        },
    }
}

fn acted(number: &str, measure: Measure, fen: Option<i64>) -> Body {
    Body::Acted {
        number: number.to_owned(),
        act: Act {
            measure,
            day: day("2016-08-01"),
            fen,
            reason: "县民政局决定书〔2016〕1号".to_owned(),
        },
    }
}

fn said(number: &str, how: fn(String, String) -> Body) -> Body {
    how(number.to_owned(), "理由已经写明".to_owned())
}

fn approve(number: String, reason: String) -> Body {
    Body::Approved { number, reason }
}

fn close(number: String, reason: String) -> Body {
    Body::Closed { number, reason }
}

/// From handing down to an approved `confirmed`.
fn confirm(desk: &mut Desk, number: &str) {
    for body in [
        assigned(number),
        visited(number, &["赵一", "钱二"], "2016-07-05"),
        concluded(number, Outcome::Confirmed, all_clear()),
    ] {
        try_as(desk, "clerk", "2016-07-06", body).unwrap();
    }
    try_as(desk, "lead", "2016-07-07", said(number, approve)).unwrap();
}

fn tell(number: &str) -> Body {
    Body::Told {
        number: number.to_owned(),
        day: day("2016-07-08"),
        until: day("2016-07-18"),
        how: "当面送达".to_owned(),
    }
}

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
    assert_eq!(again.check_signatures().unwrap(), head.0);
    assert!(again.holds(&head.1) && !again.holds(&"0".repeat(64)));
    let case = &again.book.cases[&number];
    assert_eq!((case.stage, case.acts.len()), (Stage::Closed, 2));
}

#[test]
fn one_person_alone_can_neither_visit_nor_conclude_and_approve() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[("户1", "车")]);
    let n = only(&desk);
    try_as(&mut desk, "clerk", "2016-07-02", assigned(&n)).unwrap();
    for visitors in [
        &["赵一"][..],
        &["赵一", "赵一"],
        &["赵一", " 赵一 "],
        &["赵一", ""],
        &[],
    ] {
        assert!(
            try_as(
                &mut desk,
                "clerk",
                "2016-07-05",
                visited(&n, visitors, "2016-07-05")
            )
            .is_err()
        );
    }
    // The lead who visited, or concluded, does not approve.
    try_as(
        &mut desk,
        "clerk",
        "2016-07-05",
        visited(&n, &["赵一", "李审核"], "2016-07-05"),
    )
    .unwrap();
    try_as(
        &mut desk,
        "clerk",
        "2016-07-06",
        concluded(&n, Outcome::Confirmed, all_clear()),
    )
    .unwrap();
    assert!(try_as(&mut desk, "lead", "2016-07-07", said(&n, approve)).is_err());
    assert!(
        try_as(&mut desk, "clerk", "2016-07-07", said(&n, approve)).is_err(),
        "a clerk never approves"
    );
    let two = user("lead2", "周审核", Role::Lead);
    try_as(
        &mut desk,
        "lead",
        "2016-07-07",
        Body::UserAdded { user: two },
    )
    .unwrap();
    try_as(&mut desk, "lead2", "2016-07-07", said(&n, approve)).unwrap();
    // Somebody unknown does nothing.
    assert!(try_as(&mut desk, "nobody", "2016-07-08", tell(&n)).is_err());
}

#[test]
fn nothing_adverse_before_the_household_could_object() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[("户1", "车")]);
    let n = only(&desk);
    confirm(&mut desk, &n);
    assert!(
        try_as(
            &mut desk,
            "clerk",
            "2016-07-08",
            acted(&n, Measure::Cancel, None)
        )
        .is_err(),
        "not told"
    );
    assert!(
        try_as(&mut desk, "clerk", "2016-07-08", said(&n, close)).is_err(),
        "nothing done"
    );
    let mut short = tell(&n);
    if let Body::Told { until, .. } = &mut short {
        *until = day("2016-07-17");
    }
    assert!(
        try_as(&mut desk, "clerk", "2016-07-08", short).is_err(),
        "too short"
    );
    try_as(&mut desk, "clerk", "2016-07-08", tell(&n)).unwrap();
    assert!(
        try_as(
            &mut desk,
            "clerk",
            "2016-07-18",
            acted(&n, Measure::Cancel, None)
        )
        .is_err(),
        "the last day"
    );
    // Contested: everything stands still.
    let objection = Body::Objected {
        number: n.clone(),
        day: day("2016-07-15"),
        who: "张三".to_owned(),
        grounds: "车辆两年前已转让".to_owned(),
    };
    try_as(&mut desk, "clerk", "2016-07-15", objection).unwrap();
    assert!(
        try_as(
            &mut desk,
            "clerk",
            "2016-09-01",
            acted(&n, Measure::Cancel, None)
        )
        .is_err()
    );
    assert!(try_as(&mut desk, "clerk", "2016-09-01", said(&n, close)).is_err());
    let settled = |upheld| Body::Settled {
        number: n.clone(),
        upheld,
        reason: "过户手续齐全".to_owned(),
    };
    assert!(
        try_as(&mut desk, "clerk", "2016-07-16", settled(false)).is_err(),
        "a lead settles"
    );
    try_as(
        &mut desk,
        "clerk",
        "2016-07-16",
        visited(&n, &["赵一", "孙三"], "2016-07-16"),
    )
    .unwrap();
    assert_eq!(
        desk.book.cases[&n].stage,
        Stage::Disputed,
        "a visit does not settle it"
    );
    try_as(&mut desk, "lead", "2016-07-17", settled(false)).unwrap();
    assert_eq!(desk.book.cases[&n].stage, Stage::Visited);
    assert!(
        desk.book.cases[&n].conclusion.is_none() && desk.book.cases[&n].objection_until.is_none()
    );
    let given = answers(&[("scrapped", Answer::Yes)]);
    try_as(
        &mut desk,
        "clerk",
        "2016-07-18",
        concluded(&n, Outcome::Unfounded, given),
    )
    .unwrap();
    try_as(&mut desk, "lead", "2016-07-19", said(&n, approve)).unwrap();
    assert!(
        try_as(&mut desk, "clerk", "2016-07-20", tell(&n)).is_err(),
        "nothing adverse to tell"
    );
    assert!(
        try_as(
            &mut desk,
            "clerk",
            "2016-08-20",
            acted(&n, Measure::Cancel, None)
        )
        .is_err()
    );
    try_as(&mut desk, "clerk", "2016-07-20", said(&n, close)).unwrap();
}

#[test]
fn no_conclusion_against_the_decision_tree_or_without_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[("户1", "车")]);
    let n = only(&desk);
    let conclude = |outcome, given| concluded(&n, outcome, given);
    let before = try_as(
        &mut desk,
        "clerk",
        "2016-07-02",
        conclude(Outcome::Confirmed, all_clear()),
    );
    assert!(before.is_err(), "nobody was there");
    try_as(&mut desk, "clerk", "2016-07-02", assigned(&n)).unwrap();
    assert!(
        try_as(
            &mut desk,
            "clerk",
            "2016-07-02",
            conclude(Outcome::Unfounded, all_clear())
        )
        .is_err()
    );
    assert!(
        try_as(
            &mut desk,
            "clerk",
            "2016-07-05",
            visited(&n, &["赵一", "钱二"], "2016-07-06")
        )
        .is_err(),
        "future"
    );
    assert!(
        try_as(
            &mut desk,
            "clerk",
            "2016-07-05",
            visited(&n, &["赵一", "钱二"], "2016-06-30")
        )
        .is_err(),
        "before"
    );
    try_as(
        &mut desk,
        "clerk",
        "2016-07-05",
        visited(&n, &["赵一", "钱二"], "2016-07-05"),
    )
    .unwrap();
    let cases = [
        (
            "a question is open",
            Outcome::Confirmed,
            answers(&[("scrapped", Answer::No)]),
        ),
        (
            "not known",
            Outcome::Partly,
            answers(&[
                ("scrapped", Answer::No),
                ("lent-name", Answer::Unknown),
                ("driver", Answer::Yes),
            ]),
        ),
        (
            "ruled out",
            Outcome::Confirmed,
            answers(&[
                ("scrapped", Answer::Yes),
                ("lent-name", Answer::No),
                ("driver", Answer::Yes),
            ]),
        ),
        (
            "no such question",
            Outcome::Unfounded,
            answers(&[("alive", Answer::Yes)]),
        ),
    ];
    for (why, outcome, given) in cases {
        assert!(
            try_as(&mut desk, "clerk", "2016-07-06", conclude(outcome, given)).is_err(),
            "{why}"
        );
    }
    let mut other_person = conclude(Outcome::Confirmed, all_clear());
    let mut bare = conclude(Outcome::Confirmed, all_clear());
    if let (Body::Concluded { conclusion: a, .. }, Body::Concluded { conclusion: b, .. }) =
        (&mut other_person, &mut bare)
    {
        a.same_person = Answer::No;
        b.reason = " 属实 ".to_owned();
    }
    assert!(try_as(&mut desk, "clerk", "2016-07-06", other_person).is_err());
    assert!(
        try_as(&mut desk, "clerk", "2016-07-06", bare).is_err(),
        "a word is no reason"
    );
    let partly = answers(&[
        ("scrapped", Answer::Yes),
        ("lent-name", Answer::No),
        ("driver", Answer::Yes),
    ]);
    try_as(
        &mut desk,
        "clerk",
        "2016-07-06",
        conclude(Outcome::Partly, partly),
    )
    .unwrap();
    try_as(&mut desk, "lead", "2016-07-07", said(&n, approve)).unwrap();
    try_as(&mut desk, "clerk", "2016-07-08", tell(&n)).unwrap();
    for (measure, fen) in [
        (Measure::Cancel, None),
        (Measure::Remove, None),
        (Measure::Reduce, None),
        (Measure::HandOver, Some(1)),
        (Measure::Recover, Some(0)),
    ] {
        assert!(try_as(&mut desk, "clerk", "2016-07-19", acted(&n, measure, fen)).is_err());
    }
    try_as(
        &mut desk,
        "clerk",
        "2016-07-19",
        acted(&n, Measure::Reduce, Some(10_000)),
    )
    .unwrap();
}

fn task(unit: &str) -> Found {
    Found {
        number: "0000abcd-t".to_owned(),
        kind: Kind::IncomeTask,
        category: "赡养费核算".to_owned(),
        unit: unit.to_owned(),
        township: "鸣凤镇".to_owned(),
        village: "凤山村".to_owned(),
        exhibits: vec![exhibit("张小", "在职")],
    }
}

#[test]
fn a_relative_living_apart_blocks_the_conclusion_until_the_income_is_reckoned() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[]);
    let mut both = handover("2016-07", &[("户1", "在职")]);
    both.found[0].category = "干部及其家属享受社会救助".to_owned();
    both.found.push(task("户1"));
    take(&mut desk, &both);
    let n = both.found[0].number.clone();
    let t = "0000abcd-t".to_owned();
    let given = answers(&[
        ("cohabiting", Answer::Yes),
        ("filed-and-eligible", Answer::No),
    ]);
    for body in [
        assigned(&n),
        assigned(&t),
        visited(&n, &["赵一", "钱二"], "2016-07-05"),
    ] {
        try_as(&mut desk, "clerk", "2016-07-06", body).unwrap();
    }
    let confirm = concluded(&n, Outcome::Confirmed, given);
    let refused = try_as(&mut desk, "clerk", "2016-07-06", confirm.clone());
    assert!(refused.unwrap_err().what.contains("赡养费"));
    let without = concluded(&t, Outcome::Unfounded, BTreeMap::new());
    assert!(try_as(&mut desk, "clerk", "2016-07-06", without.clone()).is_err());
    let form = IncomeForm {
        persons: 3,
        income_fen: 800_000,
        supported: 2,
        source: "工资单".to_owned(),
    };
    let result = compute(&form, &desk.book.terms.income).unwrap();
    let mut wrong = result.clone();
    wrong.monthly_fen += 1;
    let filled = |number: &str, result| Body::Computed {
        number: number.to_owned(),
        form: form.clone(),
        result,
    };
    assert!(try_as(&mut desk, "clerk", "2016-07-06", filled(&t, wrong)).is_err());
    assert!(
        try_as(&mut desk, "clerk", "2016-07-06", filled(&n, result.clone())).is_err(),
        "no task"
    );
    try_as(&mut desk, "clerk", "2016-07-06", filled(&t, result)).unwrap();
    try_as(&mut desk, "clerk", "2016-07-06", confirm).unwrap();
    try_as(&mut desk, "clerk", "2016-07-06", without).unwrap();
}

fn take(desk: &mut Desk, handover: &Handover) {
    desk.session(&actor("clerk", "2016-07-01"), |session| {
        for body in session.book().plan(handover) {
            session.must(body)?;
        }
        Ok(())
    })
    .unwrap();
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
            visited(&n, &["赵一", "钱二"], "2016-07-05"),
            concluded(&n, Outcome::Unfounded, BTreeMap::new()),
        ] {
            try_as(&mut desk, "clerk", "2016-07-06", body).unwrap();
        }
        try_as(&mut desk, "lead", "2016-07-07", said(&n, approve)).unwrap();
        try_as(&mut desk, "clerk", "2016-07-08", said(&n, close)).unwrap();
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
            Ok(desk) => desk.check_signatures().is_err() || !desk.holds(&head.1),
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
