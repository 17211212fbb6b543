//! Spot checks of units without clues (抽查). In: the list of units, a published seed, shares per stratum. Out: the units
//! drawn, at random and by risk, apart. Invariant: whoever has the list and the seed draws the same units; the order
//! of the list does not matter; a unit with an open case is never drawn.
//! Source: draw by ranking keyed digests: SHA-256(`seed` ‖ 0 ‖ stratum ‖ 0 ‖ unit), lowest first, as docs/DESK.md says.

use std::collections::{BTreeMap, BTreeSet};

use hedui_protocol::primitive::sha256;
use serde::{Deserialize, Serialize};

use crate::refused::Refused;

/// A benefit unit of the roll as the agent lists it.
#[derive(Clone, PartialEq, Eq)]
pub struct Unit {
    /// Name of the unit.
    pub unit: String,
    /// Township.
    pub township: String,
    /// Village.
    pub village: String,
    /// Registers in which one of its members was found, whether or not anything followed.
    pub registers: u32,
    /// All columns of the list, by name.
    pub columns: BTreeMap<String, String>,
}

/// A stratum: units that fulfil a condition, and the share of them to draw.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stratum {
    /// What people call it; no part of the draw.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Column, `None` for the rest.
    pub column: Option<String>,
    /// How it compares: `=` or `>=`.
    pub at_least: bool,
    /// Value.
    pub value: String,
    /// Share, in thousandths.
    pub permille: u32,
}

impl Stratum {
    /// Reads `column=value:share%` or `column>=value:share%`, and `rest:share%`, each with `label:` before it or without.
    pub fn read(text: &str) -> Result<Self, Refused> {
        let text = text.replace('：', ":");
        let wrong = || {
            Refused::new(
                "抽样分层写法不对 a stratum is written `column=value:30%`, `column>=value:50%` or `rest:30%`",
                "例如 --stratum 备案对象:filed=yes:100% --stratum rest:30%",
            )
        };
        let (which, share) = text.rsplit_once(':').ok_or_else(wrong)?;
        let share: f64 = share
            .trim()
            .strip_suffix('%')
            .and_then(|share| share.parse().ok())
            .ok_or_else(wrong)?;
        if !(0.0..=100.0).contains(&share) {
            return Err(wrong());
        }
        let labelled = which
            .split_once(':')
            .filter(|(label, _)| !label.contains('='));
        let (label, which) = labelled.unwrap_or(("", which));
        // At most 1000 by the test above.
        let permille = (share * 10.0).round() as u32;
        let (column, at_least, value) = match which.split_once(">=") {
            Some((column, value)) => (Some(column), true, value),
            None => match which.split_once('=') {
                Some((column, value)) => (Some(column), false, value),
                None if which == "rest" => (None, false, ""),
                None => return Err(wrong()),
            },
        };
        let mut value = value.trim().to_owned();
        if at_least && value.parse::<i64>().is_err() {
            value = crate::day::Day::read(&value)
                .map(|day| day.to_string().replace('-', ""))
                .ok_or_else(|| {
                    Refused::new(
                        "`>=` 之后须是整数或日期 after `>=` comes a whole number or a day",
                        "例如 since>=20160701 或 or since>=2016-07-01",
                    )
                })?;
        }
        Ok(Self {
            label: label.trim().to_owned(),
            column: column.map(|c| c.trim().to_owned()),
            at_least,
            value,
            permille,
        })
    }

    /// Reads all strata of a draw, in their order.
    pub fn read_all(texts: &[String]) -> Result<Vec<Self>, Refused> {
        let strata: Vec<Self> = texts
            .iter()
            .map(|text| Self::read(text))
            .collect::<Result<_, _>>()?;
        let names: BTreeSet<String> = strata.iter().map(Self::name).collect();
        let last = strata.len().saturating_sub(1);
        let early = strata.iter().take(last).any(|s| s.column.is_none());
        if names.len() < strata.len() || early {
            return Err(Refused::new(
                "同一条件不能写两次，`rest` 须在最后 no condition stands twice, and `rest` comes last",
                "每户属于第一个符合的层 a unit belongs to the first stratum that it fulfils",
            ));
        }
        Ok(strata)
    }

    /// What people read.
    pub fn words(&self) -> String {
        match (self.label.as_str(), &self.column) {
            ("", None) => "其余随机抽取".to_owned(),
            ("", Some(_)) => self.name(),
            (label, _) => label.to_owned(),
        }
    }

    /// Its name in the digest.
    pub fn name(&self) -> String {
        match &self.column {
            None => "rest".to_owned(),
            Some(column) if self.at_least => format!("{column}>={}", self.value),
            Some(column) => format!("{column}={}", self.value),
        }
    }

    fn holds(&self, unit: &Unit) -> bool {
        let Some(column) = &self.column else {
            return true;
        };
        let Some(value) = unit.columns.get(column) else {
            return false;
        };
        if self.at_least {
            // Days are numbers too, YYYYMMDD; a cell that is none, an empty one above all, is at least nothing.
            match (value.parse::<i64>(), self.value.parse::<i64>()) {
                (Ok(value), Ok(bound)) => value >= bound,
                _ => false,
            }
        } else {
            *value == self.value
        }
    }
}

/// One unit that was drawn.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawn {
    /// Unit.
    pub unit: String,
    /// Township.
    pub township: String,
    /// Village.
    pub village: String,
    /// Stratum, or `risk`.
    pub stratum: String,
}

/// A draw as it is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draw {
    /// Seed as it was published.
    pub seed: String,
    /// SHA-256 of the list of units, hexadecimal.
    pub list: String,
    /// Strata in the order in which they were tried.
    pub strata: Vec<Stratum>,
    /// Units per stratum: how many there were, how many were drawn.
    pub counts: BTreeMap<String, (u64, u64)>,
    /// Units drawn by risk, at most.
    pub risk: u32,
    /// Units of the list that were left out because they had an open case.
    pub left_out: Vec<String>,
    /// Those drawn.
    pub drawn: Vec<Drawn>,
}

/// Draws. A unit belongs to the first stratum that it fulfils; those of `busy` have an open case and are left out.
pub fn draw(
    units: &[Unit],
    busy: &BTreeSet<&str>,
    seed: &str,
    list: &str,
    strata: &[Stratum],
    risk: u32,
) -> Draw {
    let left_out: BTreeSet<String> = units
        .iter()
        .filter(|unit| busy.contains(unit.unit.as_str()))
        .map(|unit| unit.unit.clone())
        .collect();
    let mut free: Vec<&Unit> = units
        .iter()
        .filter(|unit| !busy.contains(unit.unit.as_str()))
        .collect();
    free.sort_by(|a, b| a.unit.cmp(&b.unit));
    free.dedup_by(|a, b| a.unit == b.unit);
    let mut groups: BTreeMap<usize, Vec<&Unit>> = BTreeMap::new();
    for unit in &free {
        if let Some(at) = strata.iter().position(|stratum| stratum.holds(unit)) {
            groups.entry(at).or_default().push(unit);
        }
    }
    let (mut counts, mut drawn, mut taken) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    for (at, stratum) in strata.iter().enumerate() {
        let group = groups.remove(&at).unwrap_or_default();
        let name = stratum.name();
        let wanted = (group.len() as u64 * u64::from(stratum.permille)).div_ceil(1000);
        counts.insert(name.clone(), (group.len() as u64, wanted));
        let count = usize::try_from(wanted).unwrap_or(usize::MAX);
        for unit in ranked(group, seed, &name).into_iter().take(count) {
            taken.insert(unit.unit.as_str());
            drawn.push(drawn_of(unit, &name));
        }
    }
    // By risk: those found in most registers, of the units that chance did not draw.
    let mut rest: Vec<&Unit> = ranked(free, seed, "risk")
        .into_iter()
        .filter(|unit| !taken.contains(unit.unit.as_str()) && unit.registers > 0)
        .collect();
    rest.sort_by_key(|unit| std::cmp::Reverse(unit.registers));
    let count = usize::try_from(risk).unwrap_or(usize::MAX);
    drawn.extend(
        rest.into_iter()
            .take(count)
            .map(|unit| drawn_of(unit, "risk")),
    );
    Draw {
        seed: seed.to_owned(),
        list: list.to_owned(),
        strata: strata.to_vec(),
        counts,
        risk,
        left_out: left_out.into_iter().collect(),
        drawn,
    }
}

fn drawn_of(unit: &Unit, stratum: &str) -> Drawn {
    Drawn {
        unit: unit.unit.clone(),
        township: unit.township.clone(),
        village: unit.village.clone(),
        stratum: stratum.to_owned(),
    }
}

fn ranked<'a>(mut units: Vec<&'a Unit>, seed: &str, stratum: &str) -> Vec<&'a Unit> {
    let rank = |unit: &&Unit| {
        sha256(&[
            seed.as_bytes(),
            &[0],
            stratum.as_bytes(),
            &[0],
            unit.unit.as_bytes(),
        ])
    };
    units.sort_by_cached_key(rank);
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_for_people_and_no_part_of_the_draw() {
        let plain = Stratum::read("filed=yes:100%").ok().unwrap();
        let named = Stratum::read("备案对象:filed=yes:100%").ok().unwrap();
        assert_eq!(
            (plain.name(), named.name()),
            ("filed=yes".to_owned(), "filed=yes".to_owned())
        );
        assert_eq!(
            (plain.words(), named.words()),
            ("filed=yes".to_owned(), "备案对象".to_owned())
        );
        let rest = Stratum::read("新增对象:rest:30%").ok().unwrap();
        assert_eq!((rest.words(), rest.permille), ("新增对象".to_owned(), 300));
        assert!(Stratum::read("备案对象:filed").is_err());
        assert!(Stratum::read("备案对象:100%").is_err());
        let wide = Stratum::read("备案对象：filed=yes：100%").ok().unwrap();
        assert!(wide == named);
    }

    #[test]
    fn bounds_are_numbers_or_days_and_no_condition_stands_twice() {
        let day = Stratum::read("since>=2016-07-01:50%").ok().unwrap();
        assert_eq!(day.name(), "since>=20160701");
        let unit = |since: &str| Unit {
            columns: BTreeMap::from([("since".to_owned(), since.to_owned())]),
            ..units(1).remove(0)
        };
        assert!(day.holds(&unit("20160701")) && !day.holds(&unit("20160301")));
        assert!(!day.holds(&unit("")) && !day.holds(&unit("2016-07-02")));
        assert!(Stratum::read("since>=july:50%").is_err());
        let all = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            Stratum::read_all(&texts).map(|strata| strata.len()).ok()
        };
        assert_eq!(all(&["a=b:10%", "rest:30%"]), Some(2));
        assert_eq!(all(&["甲:a=b:10%", "乙:a=b:30%"]), None);
        assert_eq!(all(&["rest:10%", "a=b:30%"]), None);
    }

    fn units(count: usize) -> Vec<Unit> {
        (0..count)
            .map(|at| Unit {
                unit: format!("unit-{at}"),
                township: "鸣凤镇".to_owned(),
                village: "凤山村".to_owned(),
                registers: u32::try_from(at % 5).unwrap(),
                columns: BTreeMap::from([
                    (
                        "filed".to_owned(),
                        if at % 10 == 0 { "yes" } else { "no" }.to_owned(),
                    ),
                    ("since".to_owned(), (20_150_000 + at).to_string()),
                ]),
            })
            .collect()
    }

    fn strata() -> Vec<Stratum> {
        ["filed=yes:100%", "since>=20150150:50%", "rest:30%"]
            .iter()
            .map(|text| Stratum::read(text).unwrap())
            .collect()
    }

    #[test]
    fn the_draw_is_the_same_in_any_order_and_leaves_out_busy_units() {
        let list = units(200);
        let busy = BTreeSet::from(["unit-0", "unit-1"]);
        let first = draw(
            &list,
            &busy,
            "体彩 2016185 期 3 1 4 1 5",
            "list",
            &strata(),
            7,
        );
        let mut turned = list.clone();
        turned.reverse();
        turned.push(list[5].clone());
        assert!(
            draw(
                &turned,
                &busy,
                "体彩 2016185 期 3 1 4 1 5",
                "list",
                &strata(),
                7
            ) == first
        );
        assert!(draw(&list, &busy, "other", "list", &strata(), 7) != first);
        assert!(first.drawn.iter().all(|d| !busy.contains(d.unit.as_str())));
        // 19 filed and free; 45 of since ≥ 20150150 not filed; 134 of the rest.
        assert_eq!(first.counts["filed=yes"], (19, 19));
        assert_eq!(first.counts["since>=20150150"], (45, 23));
        assert_eq!(first.counts["rest"], (134, 41));
        let risk: Vec<&Drawn> = first.drawn.iter().filter(|d| d.stratum == "risk").collect();
        assert_eq!(risk.len(), 7);
        let mut all: Vec<&str> = first.drawn.iter().map(|d| d.unit.as_str()).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), first.drawn.len(), "nobody is drawn twice");
    }

    #[test]
    fn every_unit_is_drawn_about_as_often_as_its_share() {
        let list = units(50);
        let strata = [Stratum::read("rest:30%").unwrap()];
        let mut times = BTreeMap::new();
        for seed in 0..400 {
            for drawn in draw(&list, &BTreeSet::new(), &seed.to_string(), "", &strata, 0).drawn {
                *times.entry(drawn.unit).or_insert(0_u32) += 1;
            }
        }
        // 120 expected; five standard deviations are 46.
        assert_eq!(times.len(), 50);
        assert!(times.values().all(|n| (74..=166).contains(n)), "{times:?}");
    }

    #[test]
    fn strata_are_read_or_refused() {
        assert_eq!(Stratum::read("rest:12.5%").unwrap().permille, 125);
        for bad in ["rest", "rest:30", "rest:101%", "a:3%", "a=b:x%", "rest:-1%"] {
            assert!(Stratum::read(bad).is_err(), "{bad}");
        }
    }
}
