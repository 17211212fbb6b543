//! What the history adds up to. In: events in their order. Out: users, terms, cases, draws as they stand.
//! Invariant: made from events alone, by the same code when something is done and when it is read again; an event that
//! was refused once is refused whenever the history is replayed.
//! Specification: docs/DESK.md, "History".

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, FixedOffset};
use hedui_protocol::ids::Name;

use crate::case::{Case, plain_name, same_name};
use crate::day::Day;
use crate::event::{Body, Event, NewCase, User};
use crate::handover::{Exhibit, Handover, RegisterSummary, as_known, same};
use crate::life::{Around, apply, needs_lead};
use crate::refused::Refused;
use crate::sample::Draw;
use crate::terms::{COUNTY_TERMS, Terms};
use crate::words::{Kind, Outcome, Role, Stage};

/// A handover that was taken.
#[derive(Clone)]
pub struct Taken {
    /// When.
    pub day: Day,
    /// Period.
    pub period: String,
    /// Agreement, hexadecimal digest.
    pub agreement: String,
    /// SHA-256 of the file, hexadecimal.
    pub digest: String,
    /// Categories in the order of the rules.
    pub categories: Vec<String>,
    /// Ground on which persons were compared.
    pub ground: Option<String>,
    /// Registers.
    pub registers: Vec<RegisterSummary>,
}

/// A sheet that was made or read.
#[derive(Clone)]
pub struct SheetNote {
    /// When.
    pub day: Day,
    /// SHA-256, hexadecimal.
    pub digest: String,
}

/// A user and where it stands.
pub struct Member {
    /// The user.
    pub user: User,
    /// Whether the user may still do something.
    pub active: bool,
    /// First user of the same person.
    pub person: Name,
}

/// Version of the rules: a history says under which it was made, and another program refuses it.
pub const RULES: u32 = 1;

/// Everything the desk knows.
pub struct Book {
    /// Name of the desk on reports.
    pub title: String,
    /// Whether people practise here.
    pub practice: bool,
    /// Users.
    pub users: BTreeMap<Name, Member>,
    /// Terms in force.
    pub terms: Terms,
    /// Handovers in their order.
    pub taken: Vec<Taken>,
    /// Cases by number.
    pub cases: BTreeMap<String, Case>,
    /// Draws in their order, with the day and the position of each.
    pub draws: Vec<(u64, Day, Draw)>,
    /// Sheets that were read.
    pub sheets: Vec<SheetNote>,
    /// Cases of a unit and category, oldest first; tasks apart.
    latest: BTreeMap<(String, String, bool), Vec<String>>,
    seq: u64,
    at: Option<DateTime<FixedOffset>>,
}

impl Book {
    /// An empty book.
    pub fn new() -> Result<Self, Refused> {
        Ok(Self {
            title: String::new(),
            practice: false,
            users: BTreeMap::new(),
            terms: Terms::parse(COUNTY_TERMS)?,
            taken: Vec::new(),
            cases: BTreeMap::new(),
            draws: Vec::new(),
            sheets: Vec::new(),
            latest: BTreeMap::new(),
            seq: 0,
            at: None,
        })
    }

    /// Position of the last event.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// A case by its number, or by as many of its first digits as name one alone.
    pub fn find(&self, number: &str) -> Result<&Case, Refused> {
        if let Some(case) = self.cases.get(number) {
            return Ok(case);
        }
        let mut like = self
            .cases
            .range(number.to_owned()..)
            .map(|(_, case)| case)
            .take_while(|case| case.number().starts_with(number));
        match (like.next(), like.next()) {
            (Some(case), None) if number.len() >= 4 => Ok(case),
            _ => Err(Refused::new(
                format!("没有编号为 {number} 的线索 no case has this number"),
                "用 `hedui-desk list` 查看编号 `hedui-desk list` shows the numbers",
            )),
        }
    }

    /// Applies an event; on refusal nothing has changed.
    pub fn apply(&mut self, event: &Event) -> Result<(), Refused> {
        if event.seq != self.seq + 1 {
            return Err(Refused::new(
                format!(
                    "台账第 {} 条次序有误 the history is not in order",
                    event.seq
                ),
                "台账文件已损坏，请从备份恢复 restore the desk from a backup",
            ));
        }
        let at = self.check_time(&event.at)?;
        let title = self.may(event)?;
        match (&event.body, event.body.number()) {
            (Body::Issued { case }, _) => self.issue(case, event)?,
            (_, Some(number)) => {
                let users = &self.users;
                let around = Around {
                    income_is_open: self.income_is_open(number),
                    terms: &self.terms,
                    title: &title,
                    person: &|name| person_of(users, name),
                };
                let case = self.cases.get_mut(number).ok_or_else(|| {
                    Refused::new(
                        format!("没有编号为 {number} 的线索 no case has this number"),
                        "用 `hedui-desk list` 查看编号 `hedui-desk list` shows the numbers",
                    )
                })?;
                apply(case, event, &around)?;
            }
            (_, None) => self.apply_to_desk(event)?,
        }
        self.seq = event.seq;
        self.at = Some(at);
        Ok(())
    }

    /// Time goes forwards: a step back would let a deadline pass before it is over.
    fn check_time(&self, at: &str) -> Result<DateTime<FixedOffset>, Refused> {
        let read = DateTime::parse_from_rfc3339(at)
            .ok()
            .filter(|_| at.len() == 25);
        match read {
            Some(time) if self.at.is_none_or(|last| time >= last) => Ok(time),
            _ => Err(Refused::new(
                "时间早于台账最后一条 the time lies before the history's last entry",
                "请校准本机时钟 set this machine's clock",
            )),
        }
    }

    /// Whether one case's next events would all be accepted, one after the other; nothing is changed.
    pub fn would_accept(
        &self,
        number: &str,
        bodies: &[Body],
        by: &Name,
        at: &str,
    ) -> Result<(), Refused> {
        let mut case = self.find(number)?.clone();
        for (seq, body) in (self.seq + 1..).zip(bodies) {
            let event = Event {
                seq,
                at: at.to_owned(),
                by: by.clone(),
                body: body.clone(),
            };
            let title = self.may(&event)?;
            let around = Around {
                income_is_open: self.income_is_open(number),
                terms: &self.terms,
                title: &title,
                person: &|name| person_of(&self.users, name),
            };
            apply(&mut case, &event, &around)?;
        }
        Ok(())
    }

    /// Who may do it: the name as it is signed.
    fn may(&self, event: &Event) -> Result<String, Refused> {
        if let Body::Opened { user, .. } = &event.body
            && self.seq == 0
            && user.name == event.by
            && user.role == Role::Lead
        {
            return Ok(user.title.clone());
        }
        let user = match self.users.get(&event.by) {
            Some(member) if member.active => &member.user,
            _ => {
                return Err(Refused::new(
                    format!("{} 不是本台账的在用人员 is no user of this desk", event.by),
                    "请审核人用 `hedui-desk user add` 添加 a lead adds users",
                ));
            }
        };
        if needs_lead(&event.body) && user.role != Role::Lead {
            return Err(Refused::new(
                format!("“{}”须由审核人办理 this needs a lead", event.body.zh()),
                "请审核人办理 ask a lead",
            ));
        }
        Ok(user.title.clone())
    }

    fn apply_to_desk(&mut self, event: &Event) -> Result<(), Refused> {
        match &event.body {
            Body::Opened {
                rules,
                title,
                practice,
                user,
            } => {
                if self.seq != 0 || *rules != RULES {
                    return Err(Refused::new(
                        "台账不能重复建立，或由其他版本建立 a desk is opened once, under the rules of this version",
                        "请使用建立台账的版本 use the version that made the desk",
                    ));
                }
                self.title.clone_from(title);
                self.practice = *practice;
                self.join(user, user.name.clone());
            }
            Body::UserAdded { user, replaces } => self.add_user(user, replaces.as_ref())?,
            Body::UserEnded { name, .. } => self.end_user(name)?,
            Body::TermsSet { terms } => {
                terms.check()?;
                self.terms = terms.clone();
            }
            Body::Taken {
                period,
                agreement,
                digest,
                categories,
                ground,
                registers,
                ..
            } => {
                if self.taken.iter().any(|taken| taken.digest == *digest) {
                    return Err(Refused::new(
                        "该线索文件已接收过 this handover was taken before",
                        "无需重复接收 nothing is left to do",
                    ));
                }
                if let Some(last) = self.taken.last()
                    && *period < last.period
                {
                    return Err(Refused::new(
                        format!(
                            "已接收过更晚一期 a later period ({}) was taken before",
                            last.period
                        ),
                        "请按期次先后接收 take periods in their order",
                    ));
                }
                self.taken.push(Taken {
                    day: event.day(),
                    period: period.clone(),
                    agreement: agreement.clone(),
                    digest: digest.clone(),
                    categories: categories.clone(),
                    ground: ground.clone(),
                    registers: registers.clone(),
                });
            }
            Body::SheetTaken { digest, .. } => self.sheets.push(SheetNote {
                day: event.day(),
                digest: digest.clone(),
            }),
            Body::Drawn { draw } => self.draws.push((event.seq, event.day(), draw.clone())),
            _ => {}
        }
        Ok(())
    }

    fn join(&mut self, user: &User, person: Name) {
        let member = Member {
            user: user.clone(),
            active: true,
            person,
        };
        self.users.insert(user.name.clone(), member);
    }

    /// A name as it is signed belongs to one person: who signs like somebody before must be said to be the same.
    fn add_user(&mut self, user: &User, replaces: Option<&Name>) -> Result<(), Refused> {
        let before = match replaces {
            None => None,
            Some(name) => match self.users.get(name) {
                Some(member) if !member.active && same_name(&member.user.title, &user.title) => {
                    Some(member.person.clone())
                }
                _ => {
                    return Err(Refused::new(
                        format!(
                            "{name}: 不是已停用且姓名相同的用户 is no ended user who signs the same"
                        ),
                        "先停用原用户，姓名保持一致 end the old user first; the name as signed stays",
                    ));
                }
            },
        };
        let taken = self.users.values().any(|member| {
            let same = same_name(&member.user.title, &user.title)
                && Some(&member.person) != before.as_ref();
            member.user.name == user.name || member.user.sign == user.sign || same
        });
        if taken || plain_name(&user.title).is_empty() {
            return Err(Refused::new(
                format!(
                    "{}: 用户名、姓名或密钥已在用 the name, the title or the key is taken",
                    user.name
                ),
                "同一人换用户的，用 --replaces 原用户名 the same person under another name: --replaces OLD",
            ));
        }
        self.join(user, before.unwrap_or_else(|| user.name.clone()));
        Ok(())
    }

    fn end_user(&mut self, name: &Name) -> Result<(), Refused> {
        let leads = self
            .users
            .values()
            .filter(|m| m.active && m.user.role == Role::Lead && m.user.name != *name)
            .count();
        match self.users.get_mut(name) {
            Some(member) if member.active && leads > 0 => member.active = false,
            _ => {
                return Err(Refused::new(
                    format!(
                        "{name}: 已停用，或为最后一名审核人 is ended already, or the last lead"
                    ),
                    "先添加另一名审核人 add another lead first",
                ));
            }
        }
        Ok(())
    }

    fn issue(&mut self, new: &NewCase, event: &Event) -> Result<(), Refused> {
        if self.cases.contains_key(&new.number) {
            return Err(Refused::new(
                format!("{}: 编号已在用 the number is taken", new.number),
                "请联系系统维护人员 report this",
            ));
        }
        let case = Case::begin(new.clone(), event.seq, event.day());
        self.latest
            .entry(key(&new.unit, &new.category, new.kind))
            .or_default()
            .push(new.number.clone());
        self.cases.insert(new.number.clone(), case);
        Ok(())
    }

    /// Whether the case's unit has an income task that nobody has computed.
    pub fn income_is_open(&self, number: &str) -> bool {
        let Some(case) = self.cases.get(number) else {
            return false;
        };
        let last = "\u{10ffff}".to_owned();
        let tasks = self
            .latest
            .range(
                (case.new.unit.clone(), String::new(), false)..=(case.new.unit.clone(), last, true),
            )
            .filter(|((_, _, task), _)| *task);
        let mut cases = tasks.filter_map(|(_, numbers)| self.cases.get(numbers.last()?));
        cases.any(|task| task.is_open() && task.income.is_none())
    }

    /// Units that have an open case.
    pub fn busy(&self) -> BTreeSet<&str> {
        let open = self.cases.values().filter(|case| case.is_open());
        open.map(|case| case.new.unit.as_str()).collect()
    }

    /// What a handover adds: new cases, cases found again, cases found no more.
    pub fn plan(&self, handover: &Handover) -> Vec<Body> {
        let mut bodies = vec![Body::Taken {
            period: handover.period.clone(),
            agreement: handover.agreement.clone(),
            digest: handover.digest.clone(),
            categories: handover.categories.clone(),
            ground: handover.ground.clone(),
            registers: handover.registers.clone(),
            cases: handover.found.len() as u64,
        }];
        let mut seen = BTreeSet::new();
        let mut issued = BTreeSet::new();
        for found in &handover.found {
            let key = key(&found.unit, &found.category, found.kind);
            let earlier = self.latest.get(&key).and_then(|all| all.last());
            let earlier = earlier.and_then(|number| self.cases.get(number));
            // A clue and a review item of the same unit and category are one matter.
            if !seen.insert(key) {
                continue;
            }
            // Numbers are short: two matters may happen to have one.
            let is_other = |number: &str| {
                issued.contains(number)
                    || self.cases.get(number).is_some_and(|c| {
                        c.new.unit != found.unit || c.new.category != found.category
                    })
            };
            let mut number = found.number.clone();
            let mut next = 2;
            while is_other(&number) {
                number = format!("{}-{next}", found.number);
                next += 1;
            }
            let issue = |continues: Option<String>| Body::Issued {
                case: NewCase {
                    number: number.clone(),
                    kind: found.kind,
                    category: found.category.clone(),
                    unit: found.unit.clone(),
                    period: handover.period.clone(),
                    township: found.township.clone(),
                    village: found.village.clone(),
                    household: found.household.clone(),
                    exhibits: found.exhibits.clone(),
                    continues,
                },
            };
            let body = match earlier {
                None => issue(None),
                Some(case) => {
                    // An answer that came meanwhile is shown with the evidence, though it is the same evidence.
                    let said = |exhibits: &[Exhibit]| -> BTreeSet<String> {
                        exhibits.iter().map(|e| e.disclosed.clone()).collect()
                    };
                    let exhibits = as_known(case.exhibits(), &found.exhibits);
                    let changed = !same(case.exhibits(), &exhibits)
                        || said(case.exhibits()) != said(&exhibits);
                    if case.is_open() || is_answered(case, &exhibits) || case.number() == number {
                        Body::FoundAgain {
                            number: case.number().to_owned(),
                            period: handover.period.clone(),
                            kind: found.kind,
                            changed: changed.then_some(exhibits),
                        }
                    } else {
                        issue(Some(case.number().to_owned()))
                    }
                }
            };
            if let Body::Issued { case } = &body {
                issued.insert(case.number.clone());
            }
            bodies.push(body);
        }
        for (key, numbers) in &self.latest {
            let case = numbers.last().and_then(|number| self.cases.get(number));
            if let Some(case) = case
                && !seen.contains(key)
                && case.last_found < handover.period
                && (case.is_open() || !case.is_gone())
                && was_compared(case, handover)
            {
                bodies.push(Body::NotFound {
                    number: case.number().to_owned(),
                    period: handover.period.clone(),
                });
            }
        }
        bodies
    }

    /// Closed cases whose later comparison brought other evidence than was looked at: people decide whether to look again.
    pub fn to_look_at_again(&self) -> Vec<&Case> {
        let closed = self
            .cases
            .values()
            .filter(|case| case.stage == Stage::Closed);
        closed.filter(|case| case.is_evidence_newer()).collect()
    }
}

/// The first user of the same person.
fn person_of(users: &BTreeMap<Name, Member>, name: &Name) -> Name {
    users
        .get(name)
        .map_or_else(|| name.clone(), |member| member.person.clone())
}

fn key(unit: &str, category: &str, kind: Kind) -> (String, String, bool) {
    (
        unit.to_owned(),
        category.to_owned(),
        kind == Kind::IncomeTask,
    )
}

/// Whether a handover could have held a case: its category is in the rules still, and every register that it rests on was
/// compared. A department that delivered nothing says nothing about its clues.
fn was_compared(case: &Case, handover: &Handover) -> bool {
    let held = |name: &str| {
        handover
            .registers
            .iter()
            .any(|register| register.name == name)
    };
    let category = case.is_task() || handover.categories.contains(&case.new.category);
    category
        && case
            .exhibits()
            .iter()
            .all(|exhibit| held(&exhibit.register))
}

/// Looked into and found untrue on this very evidence: nobody is visited twice for it.
fn is_answered(case: &Case, found: &[Exhibit]) -> bool {
    let outcome = case.conclusion.as_ref().map(|(c, _)| c.outcome);
    let judged = case.judged.as_ref();
    outcome == Some(Outcome::Unfounded)
        && judged.is_some_and(|judged| same(judged, &as_known(judged, found)))
}
