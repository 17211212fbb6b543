//! The synthetic county: people, registers as departments keep them, planted clues, decoys, truth.
//! In: scale and seed. Out: a [`County`] and its files. Invariant: knows nothing of the linkage code (no
//! import from any other crate of ours), and is the same for the same scale and seed.
//! Model and figures: shared evidence on county registers; every person is fictitious.

pub mod background;
pub mod decoys;
pub mod dice;
pub mod errors;
pub mod later;
pub mod names;
pub mod people;
pub mod plant;
pub mod registers;
pub mod roll;
pub mod write;

use std::collections::BTreeMap;

use dice::Dice;
use people::People;
use plant::{Clue, Unit};
use registers::Register;

/// Snapshot day of all registers.
pub const SNAPSHOT: u32 = 20_160_630;

/// How large the county is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scale {
    /// 20,000 persons, all 567 clues, a tenth of the decoys.
    Town,
    /// 190,000 persons, all 567 clues, all 3,567 decoys.
    County,
}

impl Scale {
    /// Living registered persons.
    pub fn population(self) -> usize {
        match self {
            Self::Town => 20_000,
            Self::County => 190_000,
        }
    }

    /// A county figure brought to this scale; at least 1.
    pub fn of(self, county: usize) -> usize {
        match self {
            Self::Town => (county / 10).max(1),
            Self::County => county,
        }
    }
}

/// Everything that was generated.
pub struct County {
    /// Persons and places.
    pub people: People,
    /// Benefit units of the roll.
    pub units: Vec<Unit>,
    /// The roll and all registers by name.
    pub registers: BTreeMap<&'static str, Register>,
    /// The planted truth.
    pub clues: Vec<Clue>,
    /// Decoys: type and benefit unit.
    pub decoys: Vec<(&'static str, usize)>,
    /// Reverse truths (应保未保): register and person.
    pub reverse: Vec<(&'static str, usize)>,
}

/// Generates a county.
pub fn generate(scale: Scale, seed: u64) -> County {
    let mut dice = Dice::new(seed);
    let mut people = People::new(scale, &mut dice);
    let mut registers = registers::empty();
    let mut planter = plant::Planter::new(scale, &mut people, &mut registers, &mut dice);
    planter.plant_clues();
    planter.plant_decoys();
    planter.plant_reverse();
    planter.plain_units();
    let plant::Planted {
        units,
        clues,
        decoys,
        reverse,
        on_roll,
    } = planter.finish();
    background::fill(
        scale,
        &mut people,
        &units,
        &on_roll,
        &mut registers,
        &mut dice,
    );
    roll::write(&people, &units, &mut registers, &mut dice);
    for register in registers.values_mut() {
        register.shuffle(&mut dice);
    }
    County {
        people,
        units,
        registers,
        clues,
        decoys,
        reverse,
    }
}
