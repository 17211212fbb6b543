//! The desk as a whole, on disk, through its rules: what the tests share. In: made-up cases. Out: events and desks.
//! Invariant under test: two people, reasons, time to object, a history that is only added to and notices every change.
//! Specification: docs/DESK.md.

mod life;
mod record;
mod rounds;

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
        now: format!("{day}T12:00:00+08:00"),
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
            rules: crate::book::RULES,
            title: "某县民政局".to_owned(),
            practice: false,
            user: user("lead", "李审核", Role::Lead),
        })?;
        session.must(added(user("clerk", "王经办", Role::Clerk), None))?;
        for body in session.book().plan(&handover("2016-06", units)) {
            session.must(body)?;
        }
        Ok(())
    })
    .unwrap();
    desk
}

fn added(user: User, replaces: Option<&str>) -> Body {
    Body::UserAdded {
        user,
        replaces: replaces.map(|name| Name::new(name).unwrap()),
    }
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
            proposal: None,
            overdrawn_months: None,
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

fn task(unit: &str) -> Found {
    Found {
        number: "0000abcd-t".to_owned(),
        kind: Kind::IncomeTask,
        category: "赡养费核算".to_owned(),
        unit: unit.to_owned(),
        township: "鸣凤镇".to_owned(),
        village: "凤山村".to_owned(),
        household: crate::handover::Household::default(),
        exhibits: vec![exhibit("张小", "在职")],
    }
}

fn take(desk: &mut Desk, handover: &Handover) {
    desk.session(&actor("clerk", "2016-10-01"), |session| {
        for body in session.book().plan(handover) {
            session.must(body)?;
        }
        Ok(())
    })
    .unwrap();
}
