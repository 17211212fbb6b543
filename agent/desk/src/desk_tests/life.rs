//! The rules of a case's life. In: events in a right or wrong order. Out: passes, or the rule that does not hold.
//! Invariant under test: two people, reasons, time to object, the decision tree, the income of relatives first.
//! Specification: docs/DESK.md, "Life of a case".

use super::*;

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
    try_as(&mut desk, "lead", "2016-07-07", added(two, None)).unwrap();
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
        visited(&n, &["赵一", "钱二"], "2016-10-05"),
    ] {
        try_as(&mut desk, "clerk", "2016-10-06", body).unwrap();
    }
    let confirm = concluded(&n, Outcome::Confirmed, given);
    let refused = try_as(&mut desk, "clerk", "2016-10-06", confirm.clone());
    assert!(refused.unwrap_err().what.contains("赡养费"));
    let without = concluded(&t, Outcome::Unfounded, BTreeMap::new());
    assert!(try_as(&mut desk, "clerk", "2016-10-06", without.clone()).is_err());
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
    assert!(try_as(&mut desk, "clerk", "2016-10-06", filled(&t, wrong)).is_err());
    assert!(
        try_as(&mut desk, "clerk", "2016-10-06", filled(&n, result.clone())).is_err(),
        "no task"
    );
    try_as(&mut desk, "clerk", "2016-10-06", filled(&t, result)).unwrap();
    try_as(&mut desk, "clerk", "2016-10-06", confirm).unwrap();
    try_as(&mut desk, "clerk", "2016-10-06", without).unwrap();
}

#[test]
fn what_is_proposed_must_be_able_to_follow_from_the_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), &[("户1", "车")]);
    let n = only(&desk);
    try_as(&mut desk, "clerk", "2016-07-02", assigned(&n)).unwrap();
    let visit = visited(&n, &["赵一", "钱二"], "2016-07-05");
    try_as(&mut desk, "clerk", "2016-07-05", visit).unwrap();
    let conclude = |outcome, measure, months| {
        let mut body = concluded(&n, outcome, all_clear());
        if let Body::Concluded { conclusion, .. } = &mut body {
            (conclusion.proposal, conclusion.overdrawn_months) = (measure, months);
        }
        body
    };
    for (outcome, measure, months) in [
        (Outcome::Partly, Some(Measure::Cancel), None),
        (Outcome::Unfounded, Some(Measure::Recover), None),
        (Outcome::Unclear, None, Some(3)),
        (Outcome::Confirmed, Some(Measure::Restore), None),
        (Outcome::Confirmed, Some(Measure::Cancel), Some(0)),
        (Outcome::Confirmed, None, Some(601)),
    ] {
        let body = conclude(outcome, measure, months);
        assert!(
            try_as(&mut desk, "clerk", "2016-07-06", body).is_err(),
            "{outcome:?} {measure:?} {months:?}"
        );
    }
    let body = conclude(Outcome::Confirmed, Some(Measure::Cancel), Some(7));
    try_as(&mut desk, "clerk", "2016-07-06", body).unwrap();
    let held = &desk.book.cases[&n].conclusion.as_ref().unwrap().0;
    assert_eq!(
        (held.proposal, held.overdrawn_months),
        (Some(Measure::Cancel), Some(7))
    );
    // A proposal is no measure: nothing has been done.
    assert_eq!(desk.book.cases[&n].acts_now().count(), 0);
}
