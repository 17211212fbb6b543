//! Background rows: what registers hold about everybody else. In: people, planted registers. Out: registers of
//! their usual size. Invariant: persons of the roll never get a row that would make a clue, so the planted
//! truth is the whole truth. Sizes: shared evidence on county registers.

use std::collections::{BTreeMap, BTreeSet};

use super::dice::{Dice, day};
use super::people::People;
use super::plant::Unit;
use super::registers::{Register, business, cells, forest, house, machine, vehicle};
use super::{SNAPSHOT, Scale};

/// Fills all registers around the planted rows up to their usual size.
pub fn fill(
    scale: Scale,
    people: &mut People,
    units: &[Unit],
    on_roll: &BTreeSet<usize>,
    registers: &mut BTreeMap<&'static str, Register>,
    dice: &mut Dice,
) {
    let living: Vec<usize> = (0..people.all.len())
        .filter(|p| people.all[*p].died == 0 && !people.all[*p].outsider)
        .collect();
    let free: Vec<usize> = living
        .iter()
        .copied()
        .filter(|p| !on_roll.contains(p) && people.age(*p) >= 18)
        .collect();
    let dead: Vec<usize> = (0..people.all.len())
        .filter(|p| people.all[*p].died > 0 && !on_roll.contains(p))
        .collect();
    let outsiders: Vec<usize> = (0..people.all.len())
        .filter(|p| people.all[*p].outsider)
        .collect();
    let mut fill = Fill {
        scale,
        people,
        registers,
        dice,
    };
    fill.everyone(&living, &dead);
    fill.dead(&dead);
    fill.assets(&free, &outsiders);
    fill.incomes(&free);
    fill.assistance(&free);
    fill.harmless(units, &living);
}

struct Fill<'a> {
    scale: Scale,
    people: &'a People,
    registers: &'a mut BTreeMap<&'static str, Register>,
    dice: &'a mut Dice,
}

impl Fill<'_> {
    fn write(&mut self, register: &'static str, person: usize, facts: &[String]) {
        if let Some(register) = self.registers.get_mut(register) {
            register.write(self.people, person, facts, self.dice);
        }
    }

    /// Rows of `register` until it has its usual size.
    fn up_to(
        &mut self,
        register: &'static str,
        county: usize,
        from: &[usize],
        facts: impl Fn(&mut Dice, usize) -> Vec<String>,
    ) {
        let held = self.registers.get(register).map_or(0, |r| r.rows.len());
        for number in held..self.scale.of(county).max(held) {
            let person = *self.dice.pick(from);
            let cells = facts(self.dice, number);
            self.write(register, person, &cells);
        }
    }

    fn everyone(&mut self, living: &[usize], dead: &[usize]) {
        for person in living {
            let household = self.people.all[*person].household.to_string();
            let changed = day(self.dice, 2000, 2013).to_string();
            self.write(
                "hukou",
                *person,
                &cells(&[&household, "家庭成员", "汉族", "正常", &changed]),
            );
        }
        for person in dead {
            if self.dice.percent(75.0) {
                let died = self.people.all[*person].died.to_string();
                self.write("hukou", *person, &cells(&["", "", "汉族", "注销", &died]));
            }
        }
        self.up_to("hunyin", 38_000, living, |dice, number| {
            cells(&[
                &format!("J4205-{number:06}"),
                &day(dice, 1990, 2015).to_string(),
                "结婚",
            ])
        });
    }

    fn dead(&mut self, dead: &[usize]) {
        for person in dead {
            let died = self.people.all[*person].died;
            if self.dice.percent(87.0) {
                let later = (died + 100).min(SNAPSHOT);
                let facts = cells(&[&died.to_string(), &later.to_string(), "注销"]);
                self.write("siwang", *person, &facts);
            }
            if self.dice.percent(45.0) {
                let number = format!("HH{:07}", self.dice.below(10_000_000));
                let facts = cells(&[&number, &died.to_string(), &(died + 2).to_string()]);
                self.write("huohua", *person, &facts);
            }
            if self.dice.percent(44.0) {
                self.write("siwangzheng", *person, &cells(&[&died.to_string(), "I63"]));
            }
        }
    }

    fn assets(&mut self, free: &[usize], outsiders: &[usize]) {
        let mut owners = free.to_vec();
        owners.extend_from_slice(outsiders);
        self.up_to("jidongche", 62_000, &owners, |dice, number| {
            let (plate, kind) = [("02", "K33"), ("07", "M21"), ("13", "N11"), ("01", "H31")]
                [dice.weighted(&[28, 58, 6, 8])];
            let state = ["A", "M", "E", "B"][dice.weighted(&[88, 6, 4, 2])];
            vehicle(number, plate, kind, "A", day(dice, 2002, 2015), state)
        });
        self.up_to("budongchan", 29_000, &owners, |dice, number| {
            let usage = ["住宅", "商业", "车库"][dice.weighted(&[86, 8, 6])];
            let share = ["100", "50", "33"][dice.weighted(&[78, 18, 4])];
            house(number, usage, share, "购买", day(dice, 2000, 2015), "现势")
        });
        self.up_to("zhaijidi", 12_000, free, |dice, number| {
            cells(&[
                &format!("ZD{number:07}"),
                &dice.between(80, 200).to_string(),
                &day(dice, 1990, 2012).to_string(),
            ])
        });
        self.up_to("nongji", 7_000, free, |dice, _| {
            machine(dice.between(300, 45_000), day(dice, 2012, 2015))
        });
        self.up_to("linye", 38_000, free, |dice, _| {
            forest(dice.between(50, 2_500), dice.between(2014, 2016))
        });
        self.up_to("gongshang", 17_000, &owners, |dice, _| {
            let role = ["经营者", "法定代表人", "股东", "监事"][dice.weighted(&[70, 12, 14, 4])];
            let kind =
                ["个体工商户", "有限责任公司", "农民专业合作社"][dice.weighted(&[70, 20, 10])];
            business(
                role,
                kind,
                dice.between(1, 300),
                day(dice, 2005, 2015),
                "存续",
            )
        });
    }

    fn incomes(&mut self, free: &[usize]) {
        let workers: Vec<usize> = free
            .iter()
            .copied()
            .filter(|p| (22..60).contains(&self.people.age(*p)))
            .collect();
        self.up_to("caizheng", 10_700, &workers, |dice, _| {
            cells(&[
                ["行政", "事业"][dice.below(2)],
                ["在职", "退休"][dice.weighted(&[80, 20])],
            ])
        });
        self.up_to("cungan", 620, &workers, |dice, _| {
            cells(&[
                ["村支书", "村委会主任", "村会计", "组长"][dice.below(4)],
                "在任",
            ])
        });
        self.up_to("gongjijin", 11_800, &workers, |dice, _| {
            cells(&[&dice.between(200, 3_000).to_string(), "正常"])
        });
        self.up_to("shuiwu", 12_000, &workers, |dice, _| {
            cells(&[&dice.between(20_000, 180_000).to_string(), "2015"])
        });
        let employees = self.scale.of(24_000);
        for _ in 0..employees {
            let person = *self.dice.pick(&workers);
            let base = self.dice.between(1_800, 9_000).to_string();
            self.write(
                "shebao",
                person,
                &cells(&["职工养老", &base, "0", "正常参保"]),
            );
        }
        self.up_to("shebao", 142_000, free, |_, _| {
            cells(&["居民养老", "100", "70", "正常参保"])
        });
    }

    fn assistance(&mut self, free: &[usize]) {
        let old: Vec<usize> = free
            .iter()
            .copied()
            .filter(|p| self.people.age(*p) >= 60)
            .collect();
        self.up_to("tekun", 1_450, &old, |dice, _| {
            cells(&[
                ["集中", "分散"][dice.below(2)],
                &day(dice, 2008, 2015).to_string(),
                "",
            ])
        });
        self.up_to("linshi", 4_000, free, |dice, _| {
            cells(&[
                "临时救助",
                &dice.between(300, 5_000).to_string(),
                &day(dice, 2015, 2015).to_string(),
            ])
        });
    }

    /// What half of all recipients have and what makes no clue: resident pension, small forestry payments.
    fn harmless(&mut self, units: &[Unit], living: &[usize]) {
        let alive: BTreeSet<usize> = living.iter().copied().collect();
        for unit in units {
            let person = unit.persons[0];
            if !alive.contains(&person) {
                continue;
            }
            if self.dice.percent(50.0) {
                self.write(
                    "shebao",
                    person,
                    &cells(&["居民养老", "100", "70", "正常参保"]),
                );
            }
            if self.dice.percent(30.0) {
                let facts = forest(self.dice.between(50, 1_500), 2016);
                self.write("linye", person, &facts);
            }
        }
    }
}
