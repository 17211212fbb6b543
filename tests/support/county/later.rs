//! What comes after or beside the snapshot: quarterly deltas and month-level payments. In: a county, chance of
//! its own stream. Out: files. Invariant: the snapshot does not depend on whether these are written, and
//! every delta that touches the roll stands in `truth/quarters.csv`.
//! Sizes: shared evidence on county registers (eight to eleven payments per resident and year).

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::County;
use super::dice::Dice;
use super::registers::{Register, cells, dashed, empty, house, vehicle};
use super::write::{file_name, one};

/// Quarters after the snapshot, first month of each.
pub const QUARTERS: [(&str, u32); 6] = [
    ("2016Q3", 20_160_700),
    ("2016Q4", 20_161_000),
    ("2017Q1", 20_170_100),
    ("2017Q2", 20_170_400),
    ("2017Q3", 20_170_700),
    ("2017Q4", 20_171_000),
];

/// Persons of the roll per quarter and kind who get a row that makes a new clue.
const NEW_CLUES: usize = 3;

/// New rows of one quarter and the truth about those that touch the roll.
pub struct Delta {
    /// Quarter.
    pub quarter: &'static str,
    /// New rows by register.
    pub registers: BTreeMap<&'static str, Register>,
    /// Register, unit and person of every new row of somebody on the roll.
    pub truth: Vec<(&'static str, usize, usize)>,
}

/// New rows of every quarter after the snapshot.
pub fn deltas(county: &County, seed: u64) -> Vec<Delta> {
    let mut dice = Dice::new(seed ^ 0x5155_4152);
    let people = &county.people;
    let living: Vec<usize> = (0..people.all.len())
        .filter(|p| people.all[*p].died == 0 && !people.all[*p].outsider && people.age(*p) >= 18)
        .collect();
    let running: Vec<usize> = (0..county.units.len())
        .filter(|u| {
            county.units[*u].until == 0 && people.all[county.units[*u].persons[0]].died == 0
        })
        .collect();
    let on_roll: std::collections::BTreeSet<usize> = county
        .units
        .iter()
        .flat_map(|unit| unit.persons.iter().chain(&unit.supporters).chain(&unit.kin))
        .copied()
        .collect();
    let quarter = |(quarter, first): (&'static str, u32)| {
        let mut registers = empty();
        let mut truth = Vec::new();
        // Per 10,000 residents and quarter: vehicles 55, houses 25, deaths 21.
        for (name, rate) in [("jidongche", 55), ("budongchan", 25), ("siwang", 21)] {
            let Some(register) = registers.get_mut(name) else {
                continue;
            };
            for number in 0..living.len() * rate / 10_000 + NEW_CLUES {
                let planted = number < NEW_CLUES;
                let unit = *dice.pick(&running);
                let person = if planted {
                    county.units[unit].persons[0]
                } else {
                    *dice.pick(&living)
                };
                if !planted && on_roll.contains(&person) {
                    continue;
                }
                let day = first + dice.between(0, 2) * 100 + dice.between(1, 28);
                let serial = 900_000 + dice.below(90_000);
                let facts = match name {
                    "jidongche" => vehicle(serial, "02", "K33", "A", day, "A"),
                    "budongchan" => house(serial, "商业", "100", "购买", day, "现势"),
                    _ => cells(&[&day.to_string(), &day.to_string(), "注销"]),
                };
                register.write(people, person, &facts, &mut dice);
                if planted {
                    truth.push((name, unit, person));
                }
            }
            register.shuffle(&mut dice);
        }
        Delta {
            quarter,
            registers,
            truth,
        }
    };
    QUARTERS.into_iter().map(quarter).collect()
}

/// Writes `quarters/<quarter>/` with the new rows of three registers, and the truth about them.
pub fn quarters(county: &County, seed: u64, folder: &Path) -> io::Result<()> {
    let mut truth = csv::Writer::from_path(folder.join("truth/quarters.csv"))?;
    truth.write_record(["quarter", "register", "unit", "person"])?;
    for delta in deltas(county, seed) {
        let target = folder.join("quarters").join(delta.quarter);
        std::fs::create_dir_all(&target)?;
        for register in delta.registers.values().filter(|r| !r.rows.is_empty()) {
            one(register, register.format, &target.join(file_name(register)))?;
        }
        for (name, unit, person) in &delta.truth {
            let number = &county.units[*unit].number;
            truth.write_record([delta.quarter, name, number, &person.to_string()])?;
        }
    }
    truth.flush()
}

/// Writes `一卡通发放明细.csv`: one row per payment of the twelve months before the snapshot.
pub fn payments(county: &County, seed: u64, folder: &Path) -> io::Result<u64> {
    let mut dice = Dice::new(seed ^ 0x5041_5953);
    let file = std::fs::File::create(folder.join("一卡通发放明细.csv"))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut line = |text: &str| out.write_all(&encoding_rs::GB18030.encode(text).0);
    line("身份证号,姓名,乡镇,发放项目,发放日期,金额（元）\r\n")?;
    let months = [
        201_507, 201_508, 201_509, 201_510, 201_511, 201_512, 201_601, 201_602, 201_603, 201_604,
        201_605, 201_606,
    ];
    let people = &county.people;
    let mut rows = 0;
    for (at, person) in people.all.iter().enumerate() {
        if person.outsider || person.died > 0 {
            continue;
        }
        let head = people
            .households
            .get(person.household)
            .is_some_and(|h| h[0] == at);
        for month in months {
            let kinds = [
                (people.age(at) >= 60, 100.0, "城乡居民养老", 70),
                (people.age(at) >= 80, 100.0, "高龄津贴", 50),
                (head, 70.0, "惠农补贴", 120),
                (head, 45.0, "公益林补偿", 35),
                (people.age(at) < 16, 55.0, "营养改善", 80),
            ];
            for (due, share, kind, amount) in kinds {
                if due && dice.percent(share) {
                    let day = dashed(month * 100 + dice.between(5, 25));
                    let (id, name, town) = (&person.id, &person.name, people.township(at));
                    line(&format!("{id},{name},{town},{kind},{day},{amount}\r\n"))?;
                    rows += 1;
                }
            }
        }
    }
    out.flush()?;
    Ok(rows)
}
