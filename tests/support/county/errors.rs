//! Errors of registers. In: a person's identifiers as they are. Out: as a clerk of some quality class
//! wrote them, and what was done. Invariant: every change is logged; rates per class follow the
//! published anchors (A online-verified, B counter entry, C village lists, D migrated paper).
//! Correlation: a village's clerk multiplies the rates of class C.

use super::dice::Dice;
use super::names::Names;
use super::people::People;

/// Identifiers of one row, as text.
#[derive(Clone)]
pub struct Ident {
    /// Identity number.
    pub id: String,
    /// Name.
    pub name: String,
    /// `男` or `女`.
    pub sex: String,
    /// Birth date, `YYYYMMDD`.
    pub birth: String,
    /// Township.
    pub township: String,
    /// Village.
    pub village: String,
    /// Group, `3组`, or empty.
    pub group: String,
    /// Telephone.
    pub phone: String,
}

impl Ident {
    fn field(&self, name: &str) -> &str {
        match name {
            "id" => &self.id,
            "name" => &self.name,
            "sex" => &self.sex,
            "birth" => &self.birth,
            "township" => &self.township,
            "village" => &self.village,
            "group" => &self.group,
            _ => &self.phone,
        }
    }
}

/// Quality class of a register.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Verified online.
    A,
    /// Entered at a counter.
    B,
    /// Village lists.
    C,
    /// Migrated from paper.
    D,
}

/// One logged change of a row.
#[derive(Clone)]
pub struct Change {
    /// Field.
    pub field: &'static str,
    /// Kind of error.
    pub kind: &'static str,
    /// As it is.
    pub before: String,
    /// As it was written.
    pub after: String,
}

/// Field and kind of a change, before both states of the field are looked up.
type Mark = (&'static str, &'static str);

/// The log of what turned `clean` into `row`.
pub fn log_of(clean: &Ident, row: &Ident, marks: Vec<Mark>) -> Vec<Change> {
    marks
        .into_iter()
        .map(|(field, kind)| Change {
            field,
            kind,
            before: clean.field(field).to_owned(),
            after: row.field(field).to_owned(),
        })
        .collect()
}

/// A person's identifiers without error.
pub fn ident(people: &People, at: usize) -> Ident {
    let person = &people.all[at];
    let village = &people.villages[person.village];
    Ident {
        id: person.id.clone(),
        name: person.name.clone(),
        sex: if person.male { "男" } else { "女" }.to_owned(),
        birth: person.birth.to_string(),
        township: people.township(at).to_owned(),
        village: short(&village.name),
        group: format!("{}组", person.group),
        phone: person.phone.clone(),
    }
}

fn short(name: &str) -> String {
    match name.strip_suffix("社区居民委员会") {
        Some(stem) => format!("{stem}社区"),
        None => name.trim_end_matches("村民委员会").to_owned(),
    }
}

/// Rates in per cent, in the order of [`Class`].
struct Rates([f64; 4]);

impl Rates {
    fn hit(&self, class: Class, factor: f64, dice: &mut Dice) -> bool {
        dice.percent(self.0[class as usize] * factor)
    }
}

/// Writes identifiers the way a clerk of `class` does; `factor` is the village's.
pub fn distort(
    people: &People,
    at: usize,
    class: Class,
    factor: f64,
    dice: &mut Dice,
) -> (Ident, Vec<Change>) {
    let mut row = ident(people, at);
    let mut log = Vec::new();
    distort_id(people, at, class, factor, &mut row, &mut log, dice);
    distort_name(people, at, class, factor, &mut row, &mut log, dice);
    if Rates([0.05, 0.2, 0.8, 0.8]).hit(class, factor, dice) {
        row.sex = if row.sex == "男" { "女" } else { "男" }.to_owned();
        log.push(("sex", "wrong"));
    }
    distort_birth(people, at, class, factor, &mut row, &mut log, dice);
    if Rates([5.0, 10.0, 15.0, 30.0]).hit(class, 1.0, dice) {
        former_place(people, at, &mut row, &mut log);
    }
    if Rates([2.0, 20.0, 5.0, 25.0]).hit(class, 1.0, dice) {
        row.group.clear();
        log.push(("group", "missing"));
    }
    let changes = log_of(&ident(people, at), &row, log);
    (row, changes)
}

fn distort_id(
    people: &People,
    at: usize,
    class: Class,
    factor: f64,
    row: &mut Ident,
    log: &mut Vec<Mark>,
    dice: &mut Dice,
) {
    // A number that the office once gave to two persons (重号) lives on in migrated paper alone.
    if let (Class::D, Some(shared)) = (class, &people.all[at].shared_id) {
        row.id.clone_from(shared);
        log.push(("id", "shared number"));
        return;
    }
    let kinds: [(&str, Rates); 9] = [
        ("missing", Rates([0.0, 0.5, 1.5, 12.0])),
        ("15 digits", Rates([0.0, 1.0, 0.3, 25.0])),
        ("old number", Rates([0.0, 0.8, 0.8, 1.5])),
        ("substitution", Rates([0.01, 0.15, 0.8, 0.8])),
        ("swap", Rates([0.0, 0.05, 0.25, 0.3])),
        ("excel", Rates([0.0, 0.0, 0.6, 0.0])),
        ("masked", Rates([0.0, 0.0, 0.3, 0.0])),
        ("relative's", Rates([0.0, 0.1, 1.0, 0.5])),
        ("spaces", Rates([0.0, 0.5, 3.0, 1.0])),
    ];
    for (kind, rates) in kinds {
        if rates.hit(class, factor, dice) && damage_id(people, at, kind, row, dice) {
            log.push(("id", kind));
            return;
        }
    }
    if row.id.ends_with('X') && Rates([1.0, 5.0, 15.0, 10.0]).hit(class, 1.0, dice) {
        row.id = format!(
            "{}{}",
            &row.id[..17],
            dice.pick(&["x", "Ｘ", "×", "*", "х"])
        );
        log.push(("id", "X form"));
    }
}

/// Damages a number in one way; `false` if that way does not apply to this person.
pub fn damage_id(people: &People, at: usize, kind: &str, row: &mut Ident, dice: &mut Dice) -> bool {
    let person = &people.all[at];
    match kind {
        "missing" => row.id = (*dice.pick(&["", "", "无", "000000000000000000"])).to_owned(),
        "15 digits" => {
            if !person.id[6..8].eq("19") {
                return false;
            }
            row.id = format!("{}{}", &person.id[..6], &person.id[8..17]);
        }
        "old number" => match &person.old_id {
            Some(old) => row.id.clone_from(old),
            None => return false,
        },
        "substitution" => {
            let place = 6 + dice.below(11);
            let mut bytes = row.id.clone().into_bytes();
            bytes[place] = b'0' + (bytes[place] - b'0' + 1 + dice.below(9) as u8) % 10;
            row.id = String::from_utf8(bytes).unwrap_or_default();
        }
        "swap" => {
            let mut bytes = row.id.clone().into_bytes();
            let place = (8..16).find(|i| bytes[*i] != bytes[*i + 1]).unwrap_or(8);
            bytes.swap(place, place + 1);
            row.id = String::from_utf8(bytes).unwrap_or_default();
        }
        "excel" => row.id = format!("{}000", &row.id[..15]),
        "masked" => row.id = format!("{}**********{}", &row.id[..4], &row.id[14..]),
        "relative's" => {
            let Some(household) = people.households.get(person.household) else {
                return false;
            };
            let Some(other) = household.iter().find(|other| **other != at) else {
                return false;
            };
            row.id.clone_from(&people.all[*other].id);
        }
        _ => {
            row.id = match dice.below(3) {
                0 => format!("'{}", row.id),
                1 => format!("{} {} {}", &row.id[..6], &row.id[6..14], &row.id[14..]),
                _ => row.id.chars().map(full_width).collect(),
            }
        }
    }
    true
}

fn full_width(c: char) -> char {
    char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c)
}

fn distort_name(
    people: &People,
    at: usize,
    class: Class,
    factor: f64,
    row: &mut Ident,
    log: &mut Vec<Mark>,
    dice: &mut Dice,
) {
    let name = row.name.clone();
    let kinds: [(&str, Rates); 8] = [
        ("rare character lost", Rates([3.0, 35.0, 50.0, 60.0])),
        ("homophone", Rates([0.02, 0.3, 1.2, 1.0])),
        ("look-alike", Rates([0.01, 0.15, 0.9, 0.9])),
        ("variant", Rates([0.1, 0.3, 0.6, 2.0])),
        ("note", Rates([0.0, 0.1, 1.0, 0.3])),
        ("head's name", Rates([0.0, 0.0, 0.8, 0.6])),
        ("dropped character", Rates([0.0, 0.05, 0.2, 0.2])),
        ("alias", Rates([0.0, 0.1, 0.9, 0.6])),
    ];
    for (kind, rates) in kinds {
        if !rates.hit(class, factor, dice) {
            continue;
        }
        let changed = match kind {
            "rare character lost" => Names::without_rare(&name, dice),
            "homophone" => people.names.homophone(&name, dice),
            "look-alike" => people.names.lookalike(&name, dice),
            "variant" => Names::variant(&name),
            "note" => Some(format!(
                "{name}{}",
                dice.pick(&["(已故)", "（户主代领）", "(五保)"])
            )),
            "head's name" => people
                .households
                .get(people.all[at].household)
                .map(|members| people.all[members[0]].name.clone())
                .filter(|head| *head != name),
            "dropped character" => {
                let short: String = name.chars().take(name.chars().count() - 1).collect();
                (short.chars().count() >= 2).then_some(short)
            }
            _ => Some(format!(
                "{}{}",
                name.chars().next().unwrap_or('王'),
                people.names.given(dice, true, None)
            )),
        };
        if let Some(changed) = changed {
            row.name = changed;
            log.push(("name", kind));
            return;
        }
    }
    if name.chars().count() == 2 && Rates([0.0, 1.0, 6.0, 3.0]).hit(class, 1.0, dice) {
        row.name = name
            .chars()
            .map(String::from)
            .collect::<Vec<_>>()
            .join("　");
        log.push(("name", "inner space"));
    }
}

/// Typed birth dates only: those derived from the number cannot differ from it.
fn distort_birth(
    people: &People,
    at: usize,
    class: Class,
    factor: f64,
    row: &mut Ident,
    log: &mut Vec<Mark>,
    dice: &mut Dice,
) {
    let born = people.all[at].birth;
    if Rates([95.0, 70.0, 40.0, 20.0]).hit(class, 1.0, dice) {
        return;
    }
    let (year, month, day) = (born / 10_000, born / 100 % 100, born % 100);
    let kinds: [(&str, Rates); 4] = [
        ("lunar", Rates([0.1, 0.3, 2.5, 1.5])),
        ("year off by one", Rates([0.0, 0.1, 0.6, 0.8])),
        ("first of January", Rates([0.2, 0.2, 1.0, 3.0])),
        ("day and month swapped", Rates([0.0, 0.05, 0.2, 0.2])),
    ];
    for (kind, rates) in kinds {
        if !rates.hit(class, factor, dice) {
            continue;
        }
        let changed = match kind {
            // The lunar calendar runs 20 to 50 days behind.
            "lunar" if month > 2 => year * 10_000 + (month - 1) * 100 + dice.between(1, 28),
            "year off by one" => (year - 1) * 10_000 + month * 100 + day,
            "first of January" => year * 10_000 + 101,
            "day and month swapped" if day <= 12 && day != month => {
                year * 10_000 + day * 100 + month
            }
            _ => continue,
        };
        row.birth = changed.to_string();
        log.push(("birth", kind));
        return;
    }
}

fn former_place(people: &People, at: usize, row: &mut Ident, log: &mut Vec<Mark>) {
    let former = people.former_township(at);
    if !former.is_empty() {
        row.township = former.to_owned();
        log.push(("township", "former name"));
    }
    let village = &people.villages[people.all[at].village];
    if !village.former.is_empty() {
        row.village.clone_from(&village.former);
        log.push(("village", "former name"));
    }
}
