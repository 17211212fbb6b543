//! Persons, households, villages. In: scale, chance. Out: [`People`]. Invariant: every identity number is
//! valid and unique; a changed name or birth date changes the number with it.
//! Figures: ageing rural county; two area codes (422725 until 1991, 420525 since 1992).

use std::collections::{BTreeMap, BTreeSet};

use super::dice::{Dice, day};
use super::names::Names;
use super::{SNAPSHOT, Scale};

/// Townships with their number of villages and former names.
const TOWNSHIPS: [(&str, usize, &str); 7] = [
    ("鸣凤镇", 20, ""),
    ("花林寺镇", 14, ""),
    ("旧县镇", 15, ""),
    ("洋坪镇", 20, ""),
    ("茅坪场镇", 17, ""),
    ("嫘祖镇", 21, "荷花镇"),
    ("河口乡", 10, ""),
];

/// A village or community.
pub struct Village {
    /// 12-digit code.
    pub code: String,
    /// Name with its ending.
    pub name: String,
    /// Name before a merger, or empty.
    pub former: String,
    /// Index of the township.
    pub township: usize,
}

/// A person.
#[derive(Clone)]
pub struct Person {
    /// Name.
    pub name: String,
    /// Whether male.
    pub male: bool,
    /// Birth date, `YYYYMMDD`.
    pub birth: u32,
    /// Identity number.
    pub id: String,
    /// Older, still circulating number of 1.5 % of persons.
    pub old_id: Option<String>,
    /// Another person's number that 0.12 % of adults once shared (重号).
    pub shared_id: Option<String>,
    /// Index of the village.
    pub village: usize,
    /// Group within the village.
    pub group: u32,
    /// Telephone.
    pub phone: String,
    /// Household.
    pub household: usize,
    /// Day of death, 0 while alive.
    pub died: u32,
    /// Lives elsewhere.
    pub outsider: bool,
}

/// All persons and places.
pub struct People {
    /// Persons.
    pub all: Vec<Person>,
    /// Households as ranges of persons: members, head first.
    pub households: Vec<Vec<usize>>,
    /// Villages.
    pub villages: Vec<Village>,
    /// Names.
    pub names: Names,
    used: BTreeSet<String>,
}

impl People {
    /// Generates the population.
    pub fn new(scale: Scale, dice: &mut Dice) -> Self {
        let mut people = Self {
            all: Vec::new(),
            households: Vec::new(),
            villages: villages(dice),
            names: Names::new(),
            used: BTreeSet::new(),
        };
        let local: Vec<Vec<char>> = (0..people.villages.len() * 5)
            .map(|_| (0..4).map(|_| people.names.surname(dice)).collect())
            .collect();
        while people.all.len() < scale.population() {
            people.household(dice, &local);
        }
        for _ in 0..scale.of(8_600) {
            let died = day(dice, 2010, 2015).max(20_100_101);
            let died = if dice.percent(12.0) {
                20_160_101 + dice.between(0, 4) * 100
            } else {
                died
            };
            let born = died / 10_000 - dice.between(45, 95);
            let village = dice.below(people.villages.len());
            let group = dice.below(5);
            let surname = *dice.pick(&local[village * 5 + group]);
            let at = people.person(dice, surname, born, village, None);
            people.all[at].died = died;
        }
        for _ in 0..scale.of(9_000) {
            let surname = people.names.surname(dice);
            let born = dice.between(1950, 1995);
            let village = dice.below(people.villages.len());
            let at = people.person(dice, surname, born, village, None);
            people.all[at].outsider = true;
            let area = *dice.pick(&[420_502, 420_582, 420_583, 429_006, 510_902]);
            people.renumber(at, area, dice);
        }
        people.share_numbers(dice);
        people
    }

    /// 0.12 % of adults once had the number of somebody of the same sex and birth date: area, date and
    /// sequence given out twice.
    fn share_numbers(&mut self, dice: &mut Dice) {
        let mut by_birth: BTreeMap<(u32, bool), Vec<usize>> = BTreeMap::new();
        for (at, person) in self.all.iter().enumerate() {
            by_birth
                .entry((person.birth, person.male))
                .or_default()
                .push(at);
        }
        for at in 0..self.all.len() {
            let twins = &by_birth[&(self.all[at].birth, self.all[at].male)];
            if self.age(at) < 18 || twins.len() < 2 || !dice.percent(0.13) {
                continue;
            }
            let twin = *dice.pick(twins);
            if twin != at {
                self.all[at].shared_id = Some(self.all[twin].id.clone());
            }
        }
    }

    fn household(&mut self, dice: &mut Dice, local: &[Vec<char>]) {
        let village = dice.below(self.villages.len());
        let group = dice.below(5);
        let surname = |people: &Self, dice: &mut Dice| {
            if dice.percent(55.0) {
                *dice.pick(&local[village * 5 + group])
            } else {
                people.names.surname(dice)
            }
        };
        let head_surname = surname(self, dice);
        let head_born = 2016 - dice.between(24, 84);
        let head = self.person(dice, head_surname, head_born, village, None);
        self.all[head].group = u32::try_from(group).unwrap_or(0) + 1;
        let mut members = vec![head];
        if dice.percent(74.0) {
            let born = (head_born + dice.between(0, 8)).saturating_sub(4);
            let spouse_surname = self.names.surname(dice);
            let spouse = self.person(dice, spouse_surname, born, village, None);
            self.all[spouse].male = !self.all[head].male;
            self.rename(spouse, dice, None);
            members.push(spouse);
        }
        let children = [0, 0, 1, 1, 1, 2, 2][dice.below(7)];
        let generation =
            (head_born < 1965 && dice.percent(60.0)).then(|| self.names.generation(dice));
        for _ in 0..children {
            let born = (head_born + dice.between(21, 34)).min(2015);
            members.push(self.person(dice, head_surname, born, village, generation));
        }
        let household = self.households.len();
        let group = self.all[head].group;
        let phone = self.all[head].phone.clone();
        for member in &members {
            let person = &mut self.all[*member];
            (person.household, person.group) = (household, group);
            if dice.percent(30.0) {
                person.phone.clone_from(&phone);
            }
        }
        self.households.push(members);
    }

    fn person(
        &mut self,
        dice: &mut Dice,
        surname: char,
        born: u32,
        village: usize,
        generation: Option<char>,
    ) -> usize {
        let male = dice.percent(51.0);
        let given = self.names.given(dice, male, generation);
        let name = self.names.unusual(dice, format!("{surname}{given}"));
        let birth = born * 10_000 + dice.between(1, 12) * 100 + dice.between(1, 28);
        let phone = format!(
            "1{}{:08}",
            dice.pick(&["38", "35", "59", "86"]),
            dice.below(100_000_000)
        );
        self.all.push(Person {
            name,
            male,
            birth: birth.min(SNAPSHOT - 200),
            id: String::new(),
            old_id: None,
            shared_id: None,
            village,
            group: 1,
            phone,
            household: usize::MAX,
            died: 0,
            outsider: false,
        });
        let at = self.all.len() - 1;
        let area = if born <= 1991 {
            [422_725, 420_525, 422_724][dice.weighted(&[72, 14, 14])]
        } else {
            [420_525, 420_582][dice.weighted(&[95, 5])]
        };
        self.renumber(at, area, dice);
        if dice.percent(1.5) {
            let person = &self.all[at];
            let other = if area == 420_525 { 422_725 } else { 420_525 };
            // The old number had another area, the rest stayed.
            let sequence: u32 = person.id[14..17].parse().unwrap_or(0);
            self.all[at].old_id = Some(number(other, person.birth, sequence));
        }
        at
    }

    /// Gives a person a new valid, unused identity number for its birth date and sex.
    pub fn renumber(&mut self, at: usize, area: u32, dice: &mut Dice) {
        loop {
            let sequence = dice.between(0, 499) * 2 + u32::from(self.all[at].male);
            let id = number(area, self.all[at].birth, sequence);
            if self.used.insert(id.clone()) {
                self.all[at].id = id;
                return;
            }
        }
    }

    /// Gives a person another given name that fits its sex.
    pub fn rename(&mut self, at: usize, dice: &mut Dice, generation: Option<char>) {
        let surname = self.all[at].name.chars().next().unwrap_or('王');
        let given = self.names.given(dice, self.all[at].male, generation);
        self.all[at].name = format!("{surname}{given}");
        let area = self.all[at].id[..6].parse().unwrap_or(420_525);
        self.renumber(at, area, dice);
    }

    /// Age in full years on the snapshot day.
    pub fn age(&self, at: usize) -> u32 {
        (SNAPSHOT - self.all[at].birth) / 10_000
    }

    /// Name of a person's township.
    pub fn township(&self, at: usize) -> &'static str {
        TOWNSHIPS[self.villages[self.all[at].village].township].0
    }

    /// Former name of a person's township, or empty.
    pub fn former_township(&self, at: usize) -> &'static str {
        TOWNSHIPS[self.villages[self.all[at].village].township].2
    }

    /// Lines of the gazetteer: `code,name,former name`.
    pub fn gazetteer(&self) -> String {
        let mut out = String::from("code,name,former\n420525,远安县\n");
        for (index, (name, _, former)) in TOWNSHIPS.iter().enumerate() {
            out += &format!("{},{name},{former}\n", 420_525_100 + index);
        }
        for village in &self.villages {
            out += &format!("{},{},{}\n", village.code, village.name, village.former);
        }
        out
    }
}

/// An identity number: area, birth date, sequence, check character (GB 11643-1999).
pub fn number(area: u32, birth: u32, sequence: u32) -> String {
    let body = format!("{area:06}{birth:08}{sequence:03}");
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = body
        .bytes()
        .zip(weights)
        .map(|(d, w)| u32::from(d - b'0') * w)
        .sum();
    let check = b"10X98765432"[(sum % 11) as usize];
    format!("{body}{}", char::from(check))
}

/// 117 villages and communities with invented names; every eleventh has a former name.
fn villages(dice: &mut Dice) -> Vec<Village> {
    let firsts: Vec<char> = "青白黄石双大龙凤金银清木高长南北东杨茶桃".chars().collect();
    let seconds: Vec<char> = "坪岭沟泉桥坡林湾冲溪岩塘井岗垭畈".chars().collect();
    let mut used = BTreeSet::new();
    let mut fresh = |dice: &mut Dice| loop {
        let name = format!("{}{}", dice.pick(&firsts), dice.pick(&seconds));
        if used.insert(name.clone()) {
            return name;
        }
    };
    let mut all = Vec::new();
    for (township, (_, count, _)) in TOWNSHIPS.iter().enumerate() {
        for index in 0..*count {
            let community = index < 2 + usize::from(township == 0);
            let ending = if community {
                "社区居民委员会"
            } else {
                "村民委员会"
            };
            let kind = if community { 1 } else { 201 };
            let former = if all.len() % 11 == 5 {
                format!("{}村", fresh(dice))
            } else {
                String::new()
            };
            all.push(Village {
                code: format!("{}{:03}", 420_525_100 + township, kind + index),
                name: if community {
                    format!("{}{ending}", fresh(dice))
                } else {
                    format!("{}村{ending}", fresh(dice))
                },
                former,
                township,
            });
        }
    }
    all
}
