//! The roll's rows. In: people, benefit units. Out: one row for every person, supporter and relative of a unit.
//! Invariant: rows of units with a planted clue are clean, so that the clue's difficulty class describes the pair; the others have the
//! errors of their class.
//! Counts and subtypes: shared evidence, §5.5.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::errors::{distort, ident};
use super::people::People;
use super::plant::Unit;
use super::registers::{Register, cells, dashed};

/// Writes them.
pub fn write(
    people: &People,
    units: &[Unit],
    registers: &mut BTreeMap<&'static str, Register>,
    dice: &mut Dice,
) {
    let Some(roll) = registers.get_mut("dibao") else {
        return;
    };
    let class = roll.class;
    for unit in units {
        let persons = unit
            .persons
            .iter()
            .enumerate()
            .map(|(at, p)| (*p, if at == 0 { "申请人" } else { "共同生活" }));
        let apart = unit.supporters.iter().map(|p| (*p, "赡养人"));
        let kin = unit.kin.iter().map(|p| (*p, "近亲属"));
        for (person, role) in persons.chain(apart).chain(kin) {
            let (row, changes) = if unit.clean {
                (ident(people, person), Vec::new())
            } else {
                distort(people, person, class, 1.0, dice)
            };
            let relation = match role {
                "申请人" => "本人",
                "共同生活" => "家庭成员",
                _ => "子女",
            };
            let until = if unit.until == 0 {
                String::new()
            } else {
                dashed(unit.until)
            };
            let facts = cells(&[
                &unit.number,
                relation,
                role,
                if unit.urban { "城市" } else { "农村" },
                "185",
                &dashed(unit.since),
                &until,
                &dashed(unit.paid),
                if unit.filed { "是" } else { "否" },
                &unit.income.to_string(),
                "280",
            ]);
            roll.push(person, &row, &facts, changes);
        }
    }
}
