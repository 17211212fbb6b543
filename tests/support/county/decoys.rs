//! Decoys: what a matcher without roles, statuses and dates would report. In: the planter. Out: rows that
//! look like clues and are none, one benefit unit each. Invariant: no decoy makes its unit a true clue.
//! Types and counts: shared evidence, §5.5.

use super::errors::{ident, log_of};
use super::plant::Planter;
use super::registers::{business, cells, forest, house, machine, vehicle};

impl<'a> Planter<'a> {
    /// Decoys by type, brought to scale.
    pub fn plant_decoys(&mut self) {
        type Plant<'a> = fn(&mut Planter<'a>, usize);
        let plan: [(&'static str, usize, Plant<'a>); 11] = [
            ("public servant living apart", 260, Self::servant_apart),
            ("relative living apart", 760, Self::relative_apart),
            ("vehicle not property", 880, Self::no_property),
            ("house exempt", 420, Self::exempt_house),
            ("same name and township", 310, Self::same_name),
            ("same name and birth date", 240, Self::same_name_and_birth),
            ("small payment", 300, Self::small_payment),
            ("death false", 172, Self::false_death),
            ("filed relative", 85, Self::filed_relative),
            ("legitimate switch", 70, Self::switch),
            ("company not counted", 70, Self::no_company),
        ];
        for (kind, count, plant) in plan {
            for at in 0..self.scale.of(count) {
                let unit = self.unit();
                plant(self, unit);
                self.out.decoys.push((kind, unit));
                let _ = at;
            }
        }
    }

    fn servant_apart(&mut self, unit: usize) {
        let supporter = self.loner();
        self.out.units[unit].supporters.push(supporter);
        self.row("caizheng", supporter, "exact", &cells(&["行政", "在职"]));
    }

    fn relative_apart(&mut self, unit: usize) {
        let supporter = self.loner();
        self.out.units[unit].supporters.push(supporter);
        let serial = self.serial();
        if self.dice.percent(60.0) {
            self.row(
                "jidongche",
                supporter,
                "exact",
                &vehicle(serial, "02", "K33", "A", 20_140_101, "A"),
            );
        } else {
            self.row(
                "budongchan",
                supporter,
                "exact",
                &house(serial, "商业", "100", "购买", 20_140_101, "现势"),
            );
        }
    }

    fn no_property(&mut self, unit: usize) {
        let (person, serial) = (self.applicant(unit), self.serial());
        let facts = match self.dice.weighted(&[25, 10, 10, 5, 30, 8, 8, 4]) {
            0 => vehicle(serial, "02", "K33", "A", 20_040_101, "M"),
            1 => vehicle(serial, "02", "K33", "A", 20_080_101, "E"),
            2 => vehicle(serial, "02", "K33", "A", 20_080_101, "B"),
            3 => vehicle(serial, "02", "K33", "A", 20_120_101, "Q"),
            4 => vehicle(serial, "07", "M21", "A", 20_120_101, "A"),
            5 => vehicle(serial, "07", "M15", "A", 20_120_101, "A"),
            6 => vehicle(serial, "13", "N11", "A", 20_120_101, "A"),
            _ => vehicle(serial, "02", "K33", "Z", 20_130_101, "A"),
        };
        self.row("jidongche", person, "exact", &facts);
    }

    fn exempt_house(&mut self, unit: usize) {
        let (person, serial) = (self.applicant(unit), self.serial());
        let since = self.out.units[unit].since;
        let facts = match self.dice.below(5) {
            0 => house(serial, "住宅", "100", "购买", 20_030_101, "现势"),
            1 => house(serial, "住宅", "33", "继承", since + 10_000, "现势"),
            2 => house(
                serial,
                "住宅",
                "100",
                "易地搬迁安置",
                since + 10_000,
                "现势",
            ),
            3 => house(serial, "住宅", "100", "购买", since + 10_000, "已拆除"),
            _ => {
                let parcel = format!("ZD{serial:07}");
                self.row(
                    "zhaijidi",
                    person,
                    "exact",
                    &cells(&[&parcel, "120", "1998-03-04"]),
                );
                house(serial, "住宅", "100", "自建", 20_030_101, "现势")
            }
        };
        self.row("budongchan", person, "exact", &facts);
    }

    fn same_name(&mut self, unit: usize) {
        let (person, other, serial) = (self.applicant(unit), self.loner(), self.serial());
        self.people.all[other].name = self.people.all[person].name.clone();
        self.people.all[other].village = self.people.all[person].village;
        let facts = vehicle(serial, "02", "K33", "A", 20_140_101, "A");
        self.row("jidongche", other, "exact", &facts);
    }

    fn same_name_and_birth(&mut self, unit: usize) {
        let (person, other, serial) = (self.applicant(unit), self.loner(), self.serial());
        let copy = self.people.all[person].clone();
        let target = &mut self.people.all[other];
        (target.name, target.birth, target.male) = (copy.name, copy.birth, copy.male);
        target.village = (copy.village + 40) % 117;
        self.people.renumber(other, 422_725, self.dice);
        match self.dice.below(3) {
            0 => self.row(
                "jidongche",
                other,
                "exact",
                &vehicle(serial, "02", "K33", "A", 20_140_101, "A"),
            ),
            1 => self.row(
                "budongchan",
                other,
                "exact",
                &house(serial, "商业", "100", "购买", 20_140_101, "现势"),
            ),
            _ => self.row("tekun", other, "exact", &cells(&["分散", "2013-05-01", ""])),
        }
    }

    fn small_payment(&mut self, unit: usize) {
        let person = self.applicant(unit);
        if self.dice.percent(40.0) {
            let facts = machine(self.dice.between(200, 3_000), 20_150_401);
            self.row("nongji", person, "exact", &facts);
        } else {
            let facts = forest(self.dice.between(50, 2_500), 2016);
            self.row("linye", person, "exact", &facts);
        }
    }

    fn false_death(&mut self, unit: usize) {
        let person = self.applicant(unit);
        match self.dice.weighted(&[120, 46, 6]) {
            0 => {
                // Died, and the benefit was stopped in time.
                let died = 20_150_000 + self.dice.between(1, 12) * 100 + 10;
                self.people.all[person].died = died;
                self.out.units[unit].until = died + 15;
                self.out.units[unit].paid = died + 15;
                self.row(
                    "siwang",
                    person,
                    "exact",
                    &cells(&[&died.to_string(), &died.to_string(), "注销"]),
                );
            }
            1 => {
                // Somebody else's death, typed under this living person's number.
                let other = self.loner();
                let clean = ident(self.people, other);
                let mut row = clean.clone();
                row.id.clone_from(&self.people.all[person].id);
                if self.dice.percent(50.0) {
                    row.name.clone_from(&self.people.all[person].name);
                }
                let number = format!("HH{:07}", self.serial());
                let facts = cells(&[&number, "20150312", "20150314"]);
                if let Some(register) = self.registers.get_mut("huohua") {
                    let changes = log_of(&clean, &row, vec![("id", "another's")]);
                    register.push(other, &row, &facts, changes);
                }
            }
            _ => self.row(
                "siwang",
                person,
                "exact",
                &cells(&["20140203", "20140301", "恢复户口"]),
            ),
        }
    }

    fn filed_relative(&mut self, unit: usize) {
        let cadre = self.loner();
        self.out.units[unit].kin.push(cadre);
        self.out.units[unit].filed = true;
        self.row("cungan", cadre, "exact", &cells(&["组长", "在任"]));
    }

    fn switch(&mut self, unit: usize) {
        let person = self.applicant(unit);
        self.out.units[unit].until = 20_160_331;
        self.out.units[unit].paid = 20_160_315;
        self.row(
            "tekun",
            person,
            "exact",
            &cells(&["集中", "2016-03-20", ""]),
        );
    }

    fn no_company(&mut self, unit: usize) {
        let person = self.applicant(unit);
        let facts = match self.dice.below(4) {
            0 => business("法定代表人", "有限责任公司", 50, 20_100_304, "注销"),
            1 => business("股东", "有限责任公司", 10, 20_140_304, "冒名登记"),
            2 => business("股东", "农民专业合作社", 1, 20_120_304, "存续"),
            _ => business("经营者", "个体工商户", 1, 20_120_304, "存续"),
        };
        self.row("gongshang", person, "exact", &facts);
    }
}
