//! Ways round the rules that must be closed. In: events that each are allowed, in an order that would harm somebody.
//! Out: passes, or the way that is open. Invariant under test: time, persons, rounds of conclusions, evidence looked at.
//! Specification: docs/DESK.md, "Life of a case".

use super::*;

#[test]
fn time_goes_forwards_and_days_on_paper_fit_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[("户1", "车")]);
    let n = only(&desk);
    confirm(&mut desk, &n);
    assert!(
        try_as(&mut desk, "clerk", "2016-07-06", tell(&n)).is_err(),
        "the clock went back"
    );
    let mut early = tell(&n);
    if let Body::Told {
        day: told, until, ..
    } = &mut early
    {
        (*told, *until) = (day("2016-01-01"), day("2016-01-11"));
    }
    assert!(
        try_as(&mut desk, "clerk", "2016-07-08", early).is_err(),
        "told before it was approved"
    );
    try_as(&mut desk, "clerk", "2016-07-08", tell(&n)).unwrap();
    let mut before = acted(&n, Measure::Cancel, None);
    if let Body::Acted { act, .. } = &mut before {
        act.day = day("2016-07-10");
    }
    assert!(
        try_as(&mut desk, "clerk", "2016-07-19", before).is_err(),
        "from a day on which it could object"
    );
}

fn object(number: &str, on: &str) -> Body {
    Body::Objected {
        number: number.to_owned(),
        day: day(on),
        who: "张三".to_owned(),
        grounds: "车辆两年前已转让".to_owned(),
    }
}

fn settle(number: &str, upheld: bool) -> Body {
    Body::Settled {
        number: number.to_owned(),
        upheld,
        reason: "过户手续齐全".to_owned(),
    }
}

#[test]
fn nothing_of_an_earlier_round_carries_a_later_measure() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[("户1", "车")]);
    let n = only(&desk);
    let mut go = |who: &str, on: &str, body: Body| try_as(&mut desk, who, on, body);
    for body in [
        assigned(&n),
        visited(&n, &["赵一", "钱二"], "2016-07-05"),
        concluded(&n, Outcome::Confirmed, all_clear()),
    ] {
        go("clerk", "2016-07-06", body).unwrap();
    }
    go("lead", "2016-07-06", said(&n, approve)).unwrap();
    // Something to be put right at once, without telling, is no way round telling.
    go("clerk", "2016-07-07", acted(&n, Measure::Rectify, None)).unwrap();
    assert!(go("clerk", "2016-07-07", object(&n, "2016-07-07")).is_err());
    assert!(go("clerk", "2016-07-07", acted(&n, Measure::Cancel, None)).is_err());
    assert!(go("clerk", "2016-07-07", said(&n, close)).is_err());
    go("clerk", "2016-07-08", tell(&n)).unwrap();
    go("clerk", "2016-07-09", object(&n, "2016-07-09")).unwrap();
    go("lead", "2016-07-10", settle(&n, true)).unwrap();
    go(
        "clerk",
        "2016-07-10",
        acted(&n, Measure::Recover, Some(100)),
    )
    .unwrap();
    go("clerk", "2016-07-10", said(&n, close)).unwrap();
    // Reopened: the objection that was upheld then opens nothing now, nor does the old measure close the case.
    go(
        "lead",
        "2016-07-11",
        said(&n, |number, reason| Body::Reopened { number, reason }),
    )
    .unwrap();
    go(
        "clerk",
        "2016-07-11",
        concluded(&n, Outcome::Confirmed, all_clear()),
    )
    .unwrap();
    go("lead", "2016-07-11", said(&n, approve)).unwrap();
    assert!(go("clerk", "2016-07-11", said(&n, close)).is_err());
    let mut again = tell(&n);
    if let Body::Told {
        day: told, until, ..
    } = &mut again
    {
        (*told, *until) = (day("2016-07-11"), day("2016-07-21"));
    }
    go("clerk", "2016-07-11", again).unwrap();
    assert!(go("clerk", "2016-07-12", acted(&n, Measure::Cancel, None)).is_err());
    go("clerk", "2016-07-12", object(&n, "2016-07-12")).unwrap();
    go("lead", "2016-07-13", settle(&n, false)).unwrap();
    // What fell took money: it is not closed before that is given back.
    go(
        "clerk",
        "2016-07-14",
        concluded(&n, Outcome::Unfounded, BTreeMap::new()),
    )
    .unwrap();
    go("lead", "2016-07-14", said(&n, approve)).unwrap();
    assert!(go("clerk", "2016-07-15", said(&n, close)).is_err());
    assert!(go("clerk", "2016-07-15", acted(&n, Measure::Cancel, None)).is_err());
    go(
        "clerk",
        "2016-07-15",
        acted(&n, Measure::Restore, Some(100)),
    )
    .unwrap();
    go("clerk", "2016-07-15", said(&n, close)).unwrap();
}

#[test]
fn one_person_under_two_spellings_or_users_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[("户1", "车"), ("户2", "车")]);
    let numbers: Vec<String> = desk.book.cases.keys().cloned().collect();
    let (n, m) = (&numbers[0], &numbers[1]);
    try_as(&mut desk, "clerk", "2016-07-05", assigned(n)).unwrap();
    assert!(
        try_as(
            &mut desk,
            "clerk",
            "2016-07-05",
            visited(n, &["张敏", "张 敏"], "2016-07-05")
        )
        .is_err()
    );
    try_as(
        &mut desk,
        "clerk",
        "2016-07-05",
        visited(n, &["赵一", "李 审核"], "2016-07-05"),
    )
    .unwrap();
    try_as(
        &mut desk,
        "clerk",
        "2016-07-05",
        concluded(n, Outcome::Confirmed, all_clear()),
    )
    .unwrap();
    assert!(try_as(&mut desk, "lead", "2016-07-05", said(n, approve)).is_err());
    // A lead who has lost the passphrase comes back under another name: the same person all the same.
    let lead = |name: &str, title: &str| user(name, title, Role::Lead);
    try_as(
        &mut desk,
        "lead",
        "2016-07-05",
        added(lead("zhou", "周审核"), None),
    )
    .unwrap();
    for body in [
        assigned(m),
        visited(m, &["赵一", "钱二"], "2016-07-05"),
        concluded(m, Outcome::Confirmed, all_clear()),
    ] {
        try_as(&mut desk, "zhou", "2016-07-05", body).unwrap();
    }
    let end = Body::UserEnded {
        name: Name::new("zhou").unwrap(),
        reason: "口令遗失".to_owned(),
    };
    assert!(
        try_as(
            &mut desk,
            "lead",
            "2016-07-05",
            added(lead("zhou2", "周审核"), Some("zhou"))
        )
        .is_err(),
        "not ended"
    );
    try_as(&mut desk, "lead", "2016-07-05", end).unwrap();
    assert!(
        try_as(
            &mut desk,
            "lead",
            "2016-07-05",
            added(lead("zhou2", "周 审核"), None)
        )
        .is_err(),
        "says nothing"
    );
    assert!(
        try_as(
            &mut desk,
            "lead",
            "2016-07-05",
            added(lead("zhou2", "吴审核"), Some("zhou"))
        )
        .is_err(),
        "other title"
    );
    try_as(
        &mut desk,
        "lead",
        "2016-07-05",
        added(lead("zhou2", "周审核"), Some("zhou")),
    )
    .unwrap();
    assert!(try_as(&mut desk, "zhou2", "2016-07-06", said(m, approve)).is_err());
    try_as(&mut desk, "lead", "2016-07-06", said(m, approve)).unwrap();
    // Nobody opens a desk a second time to become its lead.
    let opened = Body::Opened {
        rules: crate::book::RULES,
        title: "另一单位".to_owned(),
        practice: true,
        user: user("clerk", "王经办", Role::Lead),
    };
    assert!(try_as(&mut desk, "clerk", "2016-07-06", opened).is_err());
}

#[test]
fn another_spelling_of_a_person_disturbs_no_conclusion() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[("户1", "车")]);
    let n = only(&desk);
    confirm(&mut desk, &n);
    let respelt = |period: &str, facts: &str| {
        let mut handover = handover(period, &[("户1", facts)]);
        let found = handover.found.iter_mut().flat_map(|f| &mut f.exhibits);
        found.for_each(|exhibit| exhibit.name.insert(exhibit.name.len() / 2, ' '));
        handover
    };
    let before = desk.book.cases[&n].exhibits()[0].name.clone();
    let brought = respelt("2016-09", "车");
    assert_ne!(brought.found[0].exhibits[0].name, before);
    take(&mut desk, &brought);
    let case = &desk.book.cases[&n];
    assert!(!case.is_evidence_newer());
    assert_eq!(case.exhibits()[0].name, before);
    // Something new about the same person is new, and the person is spelt as before.
    take(&mut desk, &respelt("2016-12", "另一辆车"));
    let case = &desk.book.cases[&n];
    assert!(case.is_evidence_newer());
    assert_eq!(case.exhibits()[0].name, before);
}

#[test]
fn a_conclusion_stands_on_the_evidence_that_was_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[("户1", "车")]);
    let n = only(&desk);
    confirm(&mut desk, &n);
    try_as(&mut desk, "clerk", "2016-07-08", tell(&n)).unwrap();
    let back = |number: String, reason: String| Body::SentBack { number, reason };
    assert!(
        try_as(&mut desk, "lead", "2016-07-09", said(&n, back)).is_err(),
        "nothing has changed"
    );
    take(&mut desk, &handover("2016-09", &[("户1", "另一辆车")]));
    assert!(desk.book.cases[&n].is_evidence_newer());
    assert!(
        try_as(
            &mut desk,
            "clerk",
            "2016-10-02",
            acted(&n, Measure::Cancel, None)
        )
        .is_err()
    );
    try_as(&mut desk, "lead", "2016-10-02", said(&n, back)).unwrap();
    try_as(
        &mut desk,
        "clerk",
        "2016-10-03",
        concluded(&n, Outcome::Unfounded, BTreeMap::new()),
    )
    .unwrap();
    // Not approved yet when evidence changes again: it is concluded anew without anybody asking.
    let again = desk.book.plan(&handover("2016-10", &[("户1", "第三辆车")]));
    for body in again {
        try_as(&mut desk, "clerk", "2016-10-04", body).unwrap();
    }
    assert_eq!(desk.book.cases[&n].stage, Stage::Visited);
    // A withdrawn case has no conclusion to object to; only what is gone is withdrawn.
    let withdraw = |number: String, reason: String| Body::Withdrawn { number, reason };
    assert!(try_as(&mut desk, "lead", "2016-10-05", said(&n, withdraw)).is_err());
    let gone = desk.book.plan(&handover("2016-11", &[]));
    for body in gone {
        try_as(&mut desk, "clerk", "2016-10-06", body).unwrap();
    }
    try_as(&mut desk, "lead", "2016-10-06", said(&n, withdraw)).unwrap();
    assert!(try_as(&mut desk, "clerk", "2016-10-07", object(&n, "2016-10-07")).is_err());
}

#[test]
fn what_an_overturned_conclusion_took_is_given_back_once_and_before_all_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[("户1", "车")]);
    let n = only(&desk);
    confirm(&mut desk, &n);
    let mut go = |who: &str, on: &str, body: Body| try_as(&mut desk, who, on, body);
    go("clerk", "2016-07-08", tell(&n)).unwrap();
    go("clerk", "2016-07-19", acted(&n, Measure::Cancel, None)).unwrap();
    go("clerk", "2016-07-20", object(&n, "2016-07-20")).unwrap();
    go("lead", "2016-07-21", settle(&n, false)).unwrap();
    // The benefit was ended, so the next comparison does not hold the case: that is no way to close it.
    for body in desk.book.plan(&handover("2016-09", &[])) {
        try_as(&mut desk, "clerk", "2016-10-01", body).unwrap();
    }
    let withdraw = |number: String, reason: String| Body::Withdrawn { number, reason };
    assert!(try_as(&mut desk, "lead", "2016-10-01", said(&n, withdraw)).is_err());
    try_as(
        &mut desk,
        "clerk",
        "2016-10-01",
        acted(&n, Measure::Restore, None),
    )
    .unwrap();
    assert_eq!(desk.book.cases[&n].stage, Stage::Visited);
    let reopen = |number: String, reason: String| Body::Reopened { number, reason };
    for _ in 0..2 {
        try_as(
            &mut desk,
            "clerk",
            "2016-10-02",
            concluded(&n, Outcome::Unfounded, BTreeMap::new()),
        )
        .unwrap();
        try_as(&mut desk, "lead", "2016-10-02", said(&n, approve)).unwrap();
        // Given back once: a later round owes nothing.
        try_as(&mut desk, "clerk", "2016-10-02", said(&n, close)).unwrap();
        try_as(&mut desk, "lead", "2016-10-02", said(&n, reopen)).unwrap();
    }
}
