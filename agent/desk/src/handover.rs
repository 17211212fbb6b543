//! What the desk takes from the agent. In: `clues.json` of `hedui-agent results`. Out: [`Handover`]: findings with
//! their evidence, one per benefit unit and category. Invariant: read whole and checked before anything is recorded;
//! a line that belongs to no finding, or two findings of one number, refuse the file.
//! Specification: docs/DESK.md, "Taking clues".

use std::collections::BTreeMap;
use std::path::Path;

use hedui_edge::{Problem, files};
use hedui_protocol::field::{FieldKind, Gazetteer, Quality};
use hedui_protocol::primitive::{hex, sha256};
use serde::{Deserialize, Serialize};

use crate::words::Kind;

/// Version of the file that this desk reads.
pub const SCHEMA: u32 = 1;

/// One piece of evidence.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhibit {
    /// Name as in the roll.
    pub name: String,
    /// Identity number as in the roll.
    pub id: String,
    /// Role in the unit.
    pub role: String,
    /// Row of the roll's file.
    pub roll_row: u64,
    /// Register.
    pub register: String,
    /// Its title.
    pub register_title: String,
    /// Released facts.
    pub facts: String,
    /// Match keys that agree.
    pub agree: Vec<String>,
    /// Match keys that differ.
    pub differ: Vec<String>,
    /// The matcher's decision: `match` or `review`.
    pub outcome: String,
    /// Rule that it fulfils.
    pub rule: String,
    /// Provision.
    pub clause: String,
    /// What would disprove it.
    pub disproof: String,
    /// What the register's department answered when asked about the record (协查).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub disclosed: String,
}

/// What stands for a benefit unit in lists.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Household {
    /// Name of the applicant.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub applicant: String,
    /// Kind of benefit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub benefit: String,
    /// Address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
}

impl Household {
    /// Whether nothing is known of it.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// What is known, each with its name.
    pub fn words(&self) -> Vec<String> {
        let named = [
            ("申请人", &self.applicant),
            ("救助类别", &self.benefit),
            ("住址", &self.address),
        ];
        let known = named.iter().filter(|(_, text)| !text.is_empty());
        known
            .map(|(name, text)| format!("{name}：{text}"))
            .collect()
    }
}

impl Exhibit {
    /// What is the same evidence a quarter later: who, in which register, with which facts, decided how. What its department
    /// said of it is shown and moves nothing: it carries its day, and what matters in it are the facts. Histories are judged by it,
    /// so it stays as it is; another spelling is made the known one before it comes here ([`as_known`]).
    fn key(&self) -> [&str; 5] {
        [
            &self.name,
            &self.id,
            &self.register,
            &self.facts,
            &self.outcome,
        ]
    }

    /// Who it is, however a file spells it. Without a valid number only blanks and dots are looked through: what stands in brackets
    /// behind a name may be all that tells two people apart.
    fn person(&self) -> (String, String) {
        let normal = |kind: FieldKind, cell: &str| kind.normalise(cell, &Gazetteer::default());
        let number = normal(FieldKind::CnResidentId, &self.id);
        let is_sound = matches!(number.quality, Quality::Valid | Quality::Repaired);
        if let Some(id) = number.value.filter(|_| is_sound)
            && let Some(name) = normal(FieldKind::CnName, &self.name).value
        {
            return (name.to_string(), id.to_string());
        }
        let plain = |cell: &str| -> String {
            let is_filler =
                |c: char| c.is_whitespace() || matches!(c, '·' | '•' | '・' | '‧' | '∙');
            cell.chars().filter(|c| !is_filler(*c)).collect()
        };
        (plain(&self.name), plain(&self.id))
    }

    /// Match keys that agree, and those that do not.
    pub fn keys(&self) -> String {
        let agree = self.agree.join("、");
        match self.differ.is_empty() {
            true => agree,
            false => format!("{agree}；不一致：{}", self.differ.join("、")),
        }
    }

    /// How the match was decided, in words: keys that agree, or that people must decide.
    pub fn identity(&self) -> &'static str {
        if self.outcome == "match" {
            "同一人"
        } else {
            "疑似同一人，待核实身份"
        }
    }
}

/// Evidence that was found, with the persons who are known already spelt as they are known: another spelling is no other evidence.
pub fn as_known(known: &[Exhibit], found: &[Exhibit]) -> Vec<Exhibit> {
    let spelt: BTreeMap<_, _> = known.iter().rev().map(|e| (e.person(), e)).collect();
    let mut found = found.to_vec();
    for exhibit in &mut found {
        if let Some(known) = spelt.get(&exhibit.person()) {
            exhibit.name.clone_from(&known.name);
            exhibit.id.clone_from(&known.id);
        }
    }
    found
}

/// Whether two lists hold the same evidence, in any order.
pub fn same(left: &[Exhibit], right: &[Exhibit]) -> bool {
    let keys = |list: &[Exhibit]| -> Vec<[String; 5]> {
        let mut keys: Vec<[String; 5]> = list
            .iter()
            .map(|exhibit| exhibit.key().map(str::to_owned))
            .collect();
        keys.sort();
        keys.dedup();
        keys
    };
    keys(left) == keys(right)
}

/// A register that the result holds, in counts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterSummary {
    /// Name.
    pub name: String,
    /// Title.
    pub title: String,
    /// Department that keeps it.
    pub owner: String,
    /// Its title; absent in histories from before it was handed over.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner_title: String,
    /// Day for which it holds.
    pub as_of: String,
    /// Pairs that are the same person.
    pub matches: u64,
    /// Pairs to review.
    pub reviews: u64,
    /// Pairs whose identity numbers agree and whose persons do not.
    pub conflicts: u64,
}

#[derive(Deserialize)]
struct File {
    schema: u32,
    period: String,
    agreement: String,
    categories: Vec<String>,
    #[serde(default)]
    ground: Option<String>,
    registers: Vec<RegisterSummary>,
    clues: Vec<Line>,
    reviews: Vec<Line>,
    income_tasks: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    number: String,
    category: String,
    unit: String,
    township: String,
    village: String,
    #[serde(flatten)]
    household: Household,
    #[serde(flatten)]
    exhibit: Exhibit,
}

/// One finding.
pub struct Found {
    /// Number.
    pub number: String,
    /// What it is about.
    pub kind: Kind,
    /// Category.
    pub category: String,
    /// Benefit unit.
    pub unit: String,
    /// Township.
    pub township: String,
    /// Village.
    pub village: String,
    /// What stands for the unit.
    pub household: Household,
    /// Evidence.
    pub exhibits: Vec<Exhibit>,
}

/// A checked handover.
pub struct Handover {
    /// Period.
    pub period: String,
    /// Digest of the agreement, hexadecimal.
    pub agreement: String,
    /// SHA-256 of the file, hexadecimal.
    pub digest: String,
    /// Categories in the order of the rules.
    pub categories: Vec<String>,
    /// Ground on which persons were compared.
    pub ground: Option<String>,
    /// Registers of the result.
    pub registers: Vec<RegisterSummary>,
    /// Findings in the order of kind, township, village, unit.
    pub found: Vec<Found>,
}

/// Reads the file.
pub fn read(path: &Path) -> Result<Handover, Problem> {
    let bytes = files::read_state(path)?;
    parse(&bytes).map_err(|why| {
        Problem::data(
            format!("{}: 不是核对线索文件 {why}", path.display()),
            "请给出 hedui-agent results 写出的 clues.json take the clues.json that `hedui-agent results` wrote",
        )
    })
}

/// Reads the bytes of the file.
pub fn parse(bytes: &[u8]) -> Result<Handover, String> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| {
        // Only what is missing is named: other reasons may quote a value.
        let text = error.to_string();
        let missing = text
            .split(" at line")
            .next()
            .filter(|what| what.starts_with("missing field"));
        let what = missing.map(|what| format!("{what}, ")).unwrap_or_default();
        format!("({what}line {}, column {})", error.line(), error.column())
    })?;
    if file.schema != SCHEMA {
        return Err(format!(
            "(schema {}, this desk reads {SCHEMA})",
            file.schema
        ));
    }
    if file.period.is_empty() || file.period.chars().count() > 32 {
        return Err("(its period is empty or too long)".to_owned());
    }
    let mut found = BTreeMap::new();
    let lists = [
        (Kind::Clue, file.clues),
        (Kind::Review, file.reviews),
        (Kind::IncomeTask, file.income_tasks),
    ];
    for (kind, lines) in lists {
        for line in lines {
            put(&mut found, kind, line)?;
        }
    }
    let mut found: Vec<Found> = found.into_values().collect();
    found.sort_by(|a, b| {
        let place = |f: &Found| {
            (
                f.kind,
                f.township.clone(),
                f.village.clone(),
                f.unit.clone(),
                f.category.clone(),
            )
        };
        place(a).cmp(&place(b))
    });
    Ok(Handover {
        period: file.period,
        agreement: file.agreement,
        digest: hex(&sha256(&[bytes])),
        categories: file.categories,
        ground: file.ground,
        registers: file.registers,
        found,
    })
}

/// One finding per kind, unit and category; tasks may share unit and category with a clue, and then its number.
fn put(
    found: &mut BTreeMap<(Kind, String, String), Found>,
    kind: Kind,
    line: Line,
) -> Result<(), String> {
    let plain = line.number.len() == 8 && line.number.bytes().all(|b| b.is_ascii_hexdigit());
    if !plain {
        return Err("(a number is not 8 hexadecimal digits)".to_owned());
    }
    let number = match kind {
        Kind::IncomeTask => format!("{}-t", line.number),
        Kind::Clue | Kind::Review => line.number,
    };
    let entry = found
        .entry((kind, line.unit.clone(), line.category.clone()))
        .or_insert_with(|| Found {
            number: number.clone(),
            kind,
            category: line.category,
            unit: line.unit,
            township: line.township,
            village: line.village,
            household: line.household,
            exhibits: Vec::new(),
        });
    if entry.number != number {
        return Err("(one finding has two numbers)".to_owned());
    }
    // One person may be on several rows of the roll: the same evidence is shown once.
    if !entry.exhibits.contains(&line.exhibit) {
        entry.exhibits.push(line.exhibit);
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An exhibit of a made-up person.
    pub(crate) fn exhibit(name: &str, facts: &str) -> Exhibit {
        Exhibit {
            name: name.to_owned(),
            id: "420525195001010011".to_owned(),
            role: "申请人".to_owned(),
            roll_row: 2,
            register: "jidongche".to_owned(),
            register_title: "机动车".to_owned(),
            facts: facts.to_owned(),
            agree: vec!["身份证号".to_owned()],
            differ: Vec::new(),
            outcome: "match".to_owned(),
            rule: "own-car".to_owned(),
            clause: "条款".to_owned(),
            disproof: "已报废".to_owned(),
            disclosed: String::new(),
        }
    }

    /// A handover of one clue per unit.
    pub(crate) fn handover(period: &str, units: &[(&str, &str)]) -> Handover {
        let found = units.iter().enumerate().map(|(at, (unit, facts))| Found {
            number: format!("{:0>8}", format!("{at:x}{}", period.replace('-', ""))),
            kind: Kind::Clue,
            category: "有车享受社会救助".to_owned(),
            unit: (*unit).to_owned(),
            township: "鸣凤镇".to_owned(),
            village: "凤山村".to_owned(),
            household: Household::default(),
            exhibits: vec![exhibit("张三", facts)],
        });
        Handover {
            period: period.to_owned(),
            agreement: "00".repeat(32),
            digest: format!("digest-{period}-{}", units.len()),
            categories: vec!["有车享受社会救助".to_owned()],
            ground: None,
            registers: vec![RegisterSummary {
                owner_title: String::new(),
                name: "jidongche".to_owned(),
                title: "机动车".to_owned(),
                owner: "gongan".to_owned(),
                as_of: String::new(),
                matches: 0,
                reviews: 0,
                conflicts: 0,
            }],
            found: found.collect(),
        }
    }

    #[test]
    fn the_same_evidence_in_another_order_is_the_same() {
        let (a, b) = (exhibit("张三", "甲"), exhibit("张三", "乙"));
        assert!(same(
            &[a.clone(), b.clone()],
            &[b.clone(), a.clone(), a.clone()]
        ));
        assert!(!same(&[a], &[b]));
    }

    /// A file written by another program spells the same person in another way; nobody is visited twice for that either.
    #[test]
    fn another_spelling_of_the_same_person_is_no_other_evidence() {
        let mut plain = exhibit("阿依古丽·买买提", "甲");
        plain.id = "420525196001010017".to_owned();
        let with = |name: &str, id: &str| {
            let mut other = plain.clone();
            (other.name, other.id) = (name.to_owned(), id.to_owned());
            [other]
        };
        let known = std::slice::from_ref(&plain);
        for (name, id) in [
            ("阿依古丽 · 买买提", "420525196001010017"),
            ("阿依古丽•买买提 ", "420525 19600101 0017"),
            ("阿依古丽·买买提", "４２０５２５１９６００１０１００１７"),
            ("阿依古丽·买买提", "420525600101001"),
        ] {
            let found = with(name, id);
            assert!(!same(known, &found), "histories are judged by the letter");
            assert!(same(known, &as_known(known, &found)), "{name} {id}");
        }
        for (name, id) in [
            ("阿依古丽", "420525196001010017"),
            ("阿依古丽·买买提", "420525196001010025"),
            ("阿依古丽·买买提", ""),
        ] {
            let found = with(name, id);
            assert!(!same(known, &as_known(known, &found)), "{name} {id}");
        }
        // Without a number the letter counts, but for blanks and dots.
        for (one, other, is_same) in [
            ("李娜（长女）", "李娜（次女）", false),
            ("Smith, John", "Smith, Mary", false),
            ("李 娜", "李娜", true),
            ("阿依古丽·买买提", "阿依古丽买买提", true),
        ] {
            for id in ["", "420525196001010018", "无"] {
                let (known, found) = (with(one, id), with(other, id));
                let held = same(&known, &as_known(&known, &found));
                assert_eq!(held, is_same, "{one} {other} {id}");
            }
        }
    }

    /// The same answer a quarter later has another day: nobody is visited twice for that. A history from before there were
    /// answers reads as it did.
    #[test]
    fn an_answer_of_a_department_is_no_other_evidence() {
        let plain = exhibit("张三", "甲");
        let mut asked = plain.clone();
        asked.disclosed = "部门提供（2016-07-02）；姓名 张三（一致）".to_owned();
        assert!(same(std::slice::from_ref(&plain), &[asked]));
        let text = serde_json::to_string(&plain).unwrap();
        assert!(!text.contains("disclosed"));
        assert!(serde_json::from_str::<Exhibit>(&text).unwrap() == plain);
    }

    #[test]
    fn a_file_of_another_kind_is_refused_without_its_contents() {
        for bad in [
            &b"{}"[..],
            b"not json",
            br#"{"schema":2,"period":"p","agreement":"","categories":[],"registers":[],"clues":[],"reviews":[],"income_tasks":[]}"#,
            br#"{"schema":1,"period":"","agreement":"","categories":[],"registers":[],"clues":[],"reviews":[],"income_tasks":[]}"#,
        ] {
            assert!(parse(bad).is_err());
        }
        let secret = br#"{"schema":1,"period":"p","clues":[{"number":"canary-7319"}]}"#;
        assert!(!parse(secret).err().unwrap().contains("7319"));
    }
}
