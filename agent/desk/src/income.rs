//! What somebody who owes support and lives apart is reckoned to contribute (赡养费核算). In: the form, the terms.
//! Out: a monthly contribution in fen with every step. Invariant: whole fen, rounded down in favour of the
//! household; nothing is confirmed on the strength of a relative's office or car, only of this figure.
//! Source of the formula: local practice as the terms state it, for example: income above a multiple of the guaranteed
//! line per head of the supporter's household, a stated share of it, divided among those supported.

use serde::{Deserialize, Serialize};

use crate::refused::Refused;
use crate::terms::IncomeTerms;

/// Most persons of a household, and of those one supports.
const PERSONS_MAX: u32 = 30;
/// Highest monthly income that is taken for one, in fen: 10 million yuan.
const INCOME_FEN_MAX: i64 = 1_000_000_000;

/// What the visitor fills in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncomeForm {
    /// Persons of the supporter's own household, the supporter included.
    pub persons: u32,
    /// Net income of that household per month, fen.
    pub income_fen: i64,
    /// Persons whom the supporter owes support.
    pub supported: u32,
    /// Where the figures come from.
    pub source: String,
}

/// What follows from the form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contribution {
    /// Guaranteed line × multiple × persons, fen per month.
    pub exempt_fen: i64,
    /// Income above it, fen per month.
    pub above_fen: i64,
    /// Contribution to each supported person, fen per month.
    pub monthly_fen: i64,
}

/// `max(0, income − line × multiple × persons) × share ÷ supported`.
pub fn compute(form: &IncomeForm, terms: &IncomeTerms) -> Result<Contribution, Refused> {
    let counts = [form.persons, form.supported];
    if counts.iter().any(|n| *n == 0 || *n > PERSONS_MAX) {
        return Err(Refused::new(
            format!("人数应为 1 至 {PERSONS_MAX} the number of persons is out of range"),
            "请核对家庭人口和被赡养人数 check both numbers of persons",
        ));
    }
    if !(0..=INCOME_FEN_MAX).contains(&form.income_fen) {
        return Err(Refused::new(
            "家庭月收入超出范围 the income is out of range",
            "请填写每月净收入，单位为元 give the monthly income in yuan",
        ));
    }
    if form.source.trim().is_empty() {
        return Err(Refused::new(
            "未填收入证明材料 the source of the income is missing",
            "请填写工资单、社保基数、扣缴记录等依据 name the payslip or record",
        ));
    }
    let line = i128::from(terms.line_fen) * i128::from(terms.multiple_percent);
    let exempt = line * i128::from(form.persons) / 100;
    let above = (i128::from(form.income_fen) - exempt).max(0);
    let monthly = above * i128::from(terms.share_percent) / 100 / i128::from(form.supported);
    let fen = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
    Ok(Contribution {
        exempt_fen: fen(exempt),
        above_fen: fen(above),
        monthly_fen: fen(monthly),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> IncomeTerms {
        IncomeTerms {
            line_fen: 48_000,
            multiple_percent: 150,
            share_percent: 50,
            clause: "条款".to_owned(),
            before: Vec::new(),
        }
    }

    fn form(persons: u32, income_fen: i64, supported: u32) -> IncomeForm {
        IncomeForm {
            persons,
            income_fen,
            supported,
            source: "工资单".to_owned(),
        }
    }

    #[test]
    fn the_contribution_is_what_a_clerk_reckons_by_hand() {
        // 480 × 1.5 × 3 = 2160; 8000 − 2160 = 5840; half of it 2920; for two parents 1460 each.
        let done = compute(&form(3, 800_000, 2), &terms()).unwrap();
        assert_eq!(
            (done.exempt_fen, done.above_fen, done.monthly_fen),
            (216_000, 584_000, 146_000)
        );
        assert_eq!(
            compute(&form(3, 216_000, 1), &terms()).unwrap().monthly_fen,
            0
        );
        // Rounded down: 1 fen above, halved.
        assert_eq!(
            compute(&form(3, 216_001, 1), &terms()).unwrap().monthly_fen,
            0
        );
        assert_eq!(
            compute(&form(3, 216_002, 1), &terms()).unwrap().monthly_fen,
            1
        );
        for bad in [
            form(0, 1, 1),
            form(1, 1, 0),
            form(31, 1, 1),
            form(1, -1, 1),
            form(1, INCOME_FEN_MAX + 1, 1),
        ] {
            assert!(compute(&bad, &terms()).is_err());
        }
        let mut unsourced = form(1, 1, 1);
        unsourced.source = " ".to_owned();
        assert!(compute(&unsourced, &terms()).is_err());
    }
}
