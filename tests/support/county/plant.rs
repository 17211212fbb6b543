//! Planted clues. In: people, empty registers. Out: exactly 567 true clues in seven categories, benefit
//! units. Invariant: one clue is one unit × one category; every clue has one difficulty class.
//! Counts and subtypes: shared evidence, §5.5.

use std::collections::{BTreeMap, BTreeSet};

use super::dice::{Dice, day};
use super::errors::{damage_id, ident, log_of};
use super::people::{People, number};
use super::registers::{Register, business, cells, dashed, forest, house, machine, vehicle};
use super::{SNAPSHOT, Scale};

/// A benefit unit of the roll.
pub struct Unit {
    /// Number.
    pub number: String,
    /// Applicant first, then cohabiting members.
    pub persons: Vec<usize>,
    /// Supporters living apart.
    pub supporters: Vec<usize>,
    /// Near relatives who handle benefits or hold village office.
    pub kin: Vec<usize>,
    /// Urban or rural.
    pub urban: bool,
    /// First day of the benefit.
    pub since: u32,
    /// Last day of the benefit, 0 while it runs.
    pub until: u32,
    /// Day of the last payment.
    pub paid: u32,
    /// Whether the kinship is on file.
    pub filed: bool,
    /// Monthly income per head.
    pub income: u32,
    /// Whether its roll rows are kept free of errors.
    pub clean: bool,
}

/// A planted clue.
#[derive(Clone)]
pub struct Clue {
    /// Index of the unit.
    pub unit: usize,
    /// Category, by its order in the source document.
    pub category: &'static str,
    /// Subtype.
    pub subtype: &'static str,
    /// Difficulty class: exact, format, damaged, no-id, tampered.
    pub difficulty: &'static str,
}

/// The seven categories in the order of the source document.
pub const CATEGORIES: [(&str, usize); 7] = [
    ("购买农机、领林业补贴金额大享受社会救助", 16),
    ("有房享受社会救助", 42),
    ("有车享受社会救助", 97),
    ("既享受低保又享受五保", 199),
    ("死亡继续享受社会救助", 118),
    ("其他社会救助", 29),
    ("干部及其家属享受社会救助", 66),
];

/// What was planted.
pub struct Planted {
    /// Units.
    pub units: Vec<Unit>,
    /// Clues.
    pub clues: Vec<Clue>,
    /// Decoys.
    pub decoys: Vec<(&'static str, usize)>,
    /// Reverse truths (应保未保): register and person.
    pub reverse: Vec<(&'static str, usize)>,
    /// Persons whom background rows leave alone.
    pub on_roll: BTreeSet<usize>,
}

/// Plants into empty registers.
pub struct Planter<'a> {
    pub(super) scale: Scale,
    pub(super) people: &'a mut People,
    pub(super) registers: &'a mut BTreeMap<&'static str, Register>,
    pub(super) dice: &'a mut Dice,
    pub(super) households: Vec<usize>,
    pub(super) loners: Vec<usize>,
    pub(super) out: Planted,
    pub(super) serial: usize,
}

impl<'a> Planter<'a> {
    /// Prepares the households that units are made of.
    pub fn new(
        scale: Scale,
        people: &'a mut People,
        registers: &'a mut BTreeMap<&'static str, Register>,
        dice: &'a mut Dice,
    ) -> Self {
        let mut households: Vec<usize> = (0..people.households.len()).collect();
        dice.shuffle(&mut households);
        let loners: Vec<usize> = households
            .split_off(households.len() * 3 / 5)
            .into_iter()
            .flat_map(|h| people.households[h].clone())
            .filter(|p| (25..70).contains(&people.age(*p)))
            .collect();
        let out = Planted {
            units: Vec::new(),
            clues: Vec::new(),
            decoys: Vec::new(),
            reverse: Vec::new(),
            on_roll: BTreeSet::new(),
        };
        Self {
            scale,
            people,
            registers,
            dice,
            households,
            loners,
            out,
            serial: 0,
        }
    }

    /// Hands over what was planted.
    pub fn finish(self) -> Planted {
        self.out
    }

    pub(super) fn unit(&mut self) -> usize {
        let members = loop {
            let household = self.households.pop().unwrap_or(0);
            let members = self.people.households[household].clone();
            if self.people.age(members[0]) >= 30 {
                break members;
            }
        };
        let keep = members.len().min(1 + self.dice.weighted(&[62, 26, 12]));
        let persons: Vec<usize> = members.into_iter().take(keep).collect();
        self.unit_of(persons)
    }

    fn unit_of(&mut self, persons: Vec<usize>) -> usize {
        self.out.on_roll.extend(&persons);
        let number = format!("DB{:06}", self.out.units.len() + 1);
        self.out.units.push(Unit {
            number,
            persons,
            supporters: Vec::new(),
            kin: Vec::new(),
            urban: self.dice.percent(20.0),
            since: day(self.dice, 2009, 2014),
            until: 0,
            paid: SNAPSHOT,
            filed: false,
            income: self.dice.between(60, 260),
            clean: true,
        });
        self.out.units.len() - 1
    }

    pub(super) fn applicant(&self, unit: usize) -> usize {
        self.out.units[unit].persons[0]
    }

    /// A cohabiting member who is not the applicant; taken in if the unit has none.
    fn member(&mut self, unit: usize) -> usize {
        if self.out.units[unit].persons.len() < 2 {
            let household =
                &self.people.households[self.people.all[self.applicant(unit)].household];
            let other = household.get(1).copied().unwrap_or_else(|| self.loner());
            self.out.units[unit].persons.push(other);
            self.out.on_roll.insert(other);
        }
        self.out.units[unit].persons[1]
    }

    pub(super) fn loner(&mut self) -> usize {
        let person = self.loners.pop().unwrap_or(0);
        self.out.on_roll.insert(person);
        person
    }

    /// Puts a row into a register with the identifiers that a difficulty class demands.
    pub(super) fn row(
        &mut self,
        register: &'static str,
        person: usize,
        difficulty: &str,
        facts: &[String],
    ) {
        let clean = ident(self.people, person);
        let mut row = clean.clone();
        let mut changes = Vec::new();
        match difficulty {
            "format" => {
                let born = self.people.all[person].birth;
                let kinds: &[&str] = if born < 20_000_000 {
                    &["15 digits", "spaces"]
                } else {
                    &["spaces"]
                };
                let kind = *self.dice.pick(kinds);
                damage_id(self.people, person, kind, &mut row, self.dice);
                changes.push(("id", "format"));
            }
            "damaged" => {
                let area: u32 = row.id[..6].parse().unwrap_or(422_725);
                let other = if area == 420_525 { 422_725 } else { 420_525 };
                let old = number(
                    other,
                    self.people.all[person].birth,
                    row.id[14..17].parse().unwrap_or(1),
                );
                match self.dice.below(4) {
                    0 => row.id = old,
                    1 => drop(damage_id(self.people, person, "excel", &mut row, self.dice)),
                    _ => self.typing_error(&mut row.id),
                }
                changes.push(("id", "damaged"));
            }
            "no-id" => {
                row.id.clear();
                changes.push(("id", "missing"));
            }
            "tampered" => {
                let sequence =
                    self.dice.between(400, 499) * 2 + u32::from(self.people.all[person].male);
                let area = row.id[..6].parse().unwrap_or(422_725);
                row.id = number(area, self.people.all[person].birth, sequence);
                changes.push(("id", "tampered"));
            }
            _ => {}
        }
        let changes = log_of(&clean, &row, changes);
        if let Some(register) = self.registers.get_mut(register) {
            register.push(person, &row, facts, changes);
        }
    }

    /// One wrong digit in the sequence, so that the birth date in the number stays readable.
    fn typing_error(&mut self, id: &mut String) {
        let mut bytes = id.clone().into_bytes();
        let at = 14 + self.dice.below(3);
        bytes[at] = b'0' + (bytes[at] - b'0' + 1 + self.dice.below(9) as u8) % 10;
        *id = String::from_utf8(bytes).unwrap_or_default();
    }

    fn clue(
        &mut self,
        unit: usize,
        category: usize,
        subtype: &'static str,
        difficulty: &'static str,
    ) {
        self.out.clues.push(Clue {
            unit,
            category: CATEGORIES[category].0,
            subtype,
            difficulty,
        });
    }

    /// The difficulty classes of a category in a random order.
    fn difficulties(&mut self, counts: [usize; 5]) -> Vec<&'static str> {
        let names = ["exact", "format", "damaged", "no-id", "tampered"];
        let mut all = Vec::new();
        for (name, count) in names.into_iter().zip(counts) {
            all.extend(std::iter::repeat_n(name, count));
        }
        self.dice.shuffle(&mut all);
        all
    }

    pub(super) fn serial(&mut self) -> usize {
        self.serial += 1;
        50_000 + self.serial
    }

    /// All 567.
    pub fn plant_clues(&mut self) {
        self.machines();
        self.houses();
        self.vehicles();
        self.double_benefits();
        self.deaths();
        self.others();
        self.cadres();
    }

    fn machines(&mut self) {
        for (at, difficulty) in self.difficulties([11, 2, 3, 0, 0]).into_iter().enumerate() {
            let unit = self.unit();
            let person = self.applicant(unit);
            if at < 11 {
                let facts = machine(
                    self.dice.between(20_000, 90_000),
                    day(self.dice, 2015, 2015),
                );
                self.row("nongji", person, difficulty, &facts);
                self.clue(unit, 0, "machinery", difficulty);
            } else {
                let facts = forest(self.dice.between(8_000, 40_000), 2016);
                self.row("linye", person, difficulty, &facts);
                self.clue(unit, 0, "forestry", difficulty);
            }
        }
    }

    fn houses(&mut self) {
        for (at, difficulty) in self.difficulties([32, 5, 5, 0, 0]).into_iter().enumerate() {
            let unit = self.unit();
            let person = self.applicant(unit);
            let since = self.out.units[unit].since;
            let (first, second) = (self.serial(), self.serial());
            let subtype = if at < 22 {
                self.row(
                    "budongchan",
                    person,
                    "exact",
                    &house(first, "住宅", "100", "购买", 20_050_512, "现势"),
                );
                self.row(
                    "budongchan",
                    person,
                    difficulty,
                    &house(second, "住宅", "100", "购买", 20_070_718, "现势"),
                );
                "second dwelling"
            } else if at < 35 {
                let bought = (since / 10_000 + 1) * 10_000 + 315;
                self.row(
                    "budongchan",
                    person,
                    difficulty,
                    &house(first, "住宅", "100", "购买", bought, "现势"),
                );
                "bought while on benefit"
            } else {
                let usage = *self.dice.pick(&["商业", "车库"]);
                self.row(
                    "budongchan",
                    person,
                    difficulty,
                    &house(first, usage, "100", "购买", 20_060_606, "现势"),
                );
                "shop or garage"
            };
            self.clue(unit, 1, subtype, difficulty);
        }
    }

    fn vehicles(&mut self) {
        for (at, difficulty) in self
            .difficulties([74, 12, 11, 0, 0])
            .into_iter()
            .enumerate()
        {
            let unit = self.unit();
            let (person, kind, subtype) = match at {
                0..38 => (self.applicant(unit), "K33", "own car"),
                38..90 => (self.member(unit), "K33", "member's car"),
                _ => (self.applicant(unit), "H31", "truck or van"),
            };
            let facts = vehicle(
                self.serial(),
                "02",
                kind,
                "A",
                day(self.dice, 2010, 2015),
                "A",
            );
            self.row("jidongche", person, difficulty, &facts);
            self.clue(unit, 2, subtype, difficulty);
        }
    }

    fn double_benefits(&mut self) {
        for (at, difficulty) in self
            .difficulties([160, 14, 17, 8, 0])
            .into_iter()
            .enumerate()
        {
            let unit = self.unit();
            let counted = at % 16 == 0 && difficulty == "exact";
            let person = if counted {
                self.member(unit)
            } else {
                self.applicant(unit)
            };
            let facts = cells(&["分散", &dashed(day(self.dice, 2012, 2014)), ""]);
            self.row("tekun", person, difficulty, &facts);
            let subtype = match (difficulty, counted) {
                (_, true) => "counted in a unit",
                ("exact", _) => "same ID",
                _ => "other form",
            };
            self.clue(unit, 3, subtype, difficulty);
        }
    }

    fn deaths(&mut self) {
        // Police 29 (online-verified: exact), cremation 61, health certificate 28.
        let police = vec!["exact"; 29];
        let rest = self.difficulties([46, 12, 13, 18, 0]);
        for (at, difficulty) in police.into_iter().chain(rest).enumerate() {
            let unit = self.unit();
            let person = self.applicant(unit);
            let died = day(self.dice, 2014, 2015);
            self.people.all[person].died = died;
            let died_text = died.to_string();
            let (register, subtype, facts) = match at {
                0..29 => ("siwang", "police", cells(&[&died_text, &died_text, "注销"])),
                29..90 => {
                    let number = format!("HH{:07}", self.serial());
                    (
                        "huohua",
                        "cremation",
                        cells(&[&number, &died_text, &died_text]),
                    )
                }
                _ => (
                    "siwangzheng",
                    "health certificate",
                    cells(&[&died_text, "I21"]),
                ),
            };
            self.row(register, person, difficulty, &facts);
            self.clue(unit, 4, subtype, difficulty);
        }
    }

    fn others(&mut self) {
        for at in 0..15 {
            // The same person in two units; the later one is the clue.
            let first = self.unit();
            let person = self.applicant(first);
            let second = self.unit_of(vec![person]);
            let urban = self.out.units[first].urban;
            let units = &mut self.out.units;
            units[second].since = (units[first].since / 10_000 + 1) * 10_000 + 101;
            units[second].urban = if at < 9 { !urban } else { urban };
            self.clue(
                second,
                5,
                if at < 9 {
                    "urban and rural"
                } else {
                    "two townships"
                },
                "exact",
            );
        }
        for (at, difficulty) in self.difficulties([6, 3, 5, 0, 0]).into_iter().enumerate() {
            let unit = self.unit();
            let person = self.applicant(unit);
            let subtype = match at {
                0..4 => {
                    self.row(
                        "shebao",
                        person,
                        difficulty,
                        &cells(&["职工养老", "3200", "0", "正常参保"]),
                    );
                    "wage"
                }
                4..8 => {
                    self.row(
                        "shebao",
                        person,
                        difficulty,
                        &cells(&["职工养老", "0", "2100", "待遇领取"]),
                    );
                    "pension"
                }
                _ => {
                    let facts = business("法定代表人", "有限责任公司", 50, 20_120_304, "存续");
                    self.row("gongshang", person, difficulty, &facts);
                    "legal representative"
                }
            };
            self.clue(unit, 5, subtype, difficulty);
        }
    }

    fn cadres(&mut self) {
        let mut difficulties = self.difficulties([36, 3, 3, 0, 8]);
        difficulties.extend(["exact"; 16]);
        for (at, difficulty) in difficulties.into_iter().enumerate() {
            let unit = self.unit();
            let subtype = match at {
                0..9 => {
                    let person = self.applicant(unit);
                    self.row("caizheng", person, difficulty, &cells(&["事业", "在职"]));
                    "cadre"
                }
                9..50 => {
                    let person = self.member(unit);
                    self.row("caizheng", person, difficulty, &cells(&["行政", "在职"]));
                    "cohabiting family"
                }
                _ => {
                    let cadre = self.loner();
                    self.out.units[unit].kin.push(cadre);
                    self.out.units[unit].income = self.dice.between(500, 900);
                    self.row("cungan", cadre, difficulty, &cells(&["村支书", "在任"]));
                    "village cadre's relative"
                }
            };
            self.clue(unit, 6, subtype, difficulty);
        }
    }

    /// Households that another kind of help knows as poor and the roll does not (应保未保): 240 in the county.
    pub fn plant_reverse(&mut self) {
        for at in 0..self.scale.of(240) {
            let household = self.households.pop().unwrap_or(0);
            let members = self.people.households[household].clone();
            self.out.on_roll.extend(&members);
            let given = dashed(day(self.dice, 2015, 2015));
            let (register, facts) = if at % 2 == 0 {
                let amount = self.dice.between(20_000, 80_000).to_string();
                ("linshi", cells(&["大病医疗救助", &amount, &given]))
            } else {
                ("tekun", cells(&["分散", &given, ""]))
            };
            self.row(register, members[0], "exact", &facts);
            self.out.reverse.push((register, members[0]));
        }
    }

    /// Units about which there is nothing to find, up to the usual size of the roll.
    pub fn plain_units(&mut self) {
        let target = self.scale.of(5_600);
        while self.out.units.len() < target.max(self.out.units.len().min(target)) {
            let unit = self.unit();
            self.out.units[unit].clean = false;
        }
        for unit in 0..self.out.units.len() {
            let old = self.people.age(self.applicant(unit)) >= 60;
            if old && self.dice.percent(60.0) && !self.loners.is_empty() {
                for _ in 0..self.dice.between(1, 2) {
                    let supporter = self.loners.pop().unwrap_or(0);
                    self.out.units[unit].supporters.push(supporter);
                }
            }
        }
    }
}
