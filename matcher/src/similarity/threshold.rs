//! Thresholds in whole numbers. In: a measure and a decimal. Out: for every sum of set bits the common bits that a pair
//! needs, and the Hamming distance that it may have. Invariant: exact: no pair is lost or won by rounding.
//! With I common bits and s = |a| + |b|: Dice = 2I / s, Jaccard = I / (s − I), Hamming = s − 2I.
//! Two empty filters have nothing in common: similarity 0 (as in anonlink), Hamming distance 0.

/// How similar two filters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// 2I / (|a| + |b|).
    Dice,
    /// I / (|a| + |b| − I).
    Jaccard,
    /// |a| + |b| − 2I, as a distance in bits.
    Hamming,
}

/// A measure with its bound, as tables over s = |a| + |b|.
#[derive(Clone, Debug)]
pub struct Threshold {
    measure: Measure,
    need: Vec<u32>,
    radius: Vec<i32>,
}

/// More common bits than any pair has.
const NEVER: u32 = u32::MAX;

impl Threshold {
    /// Reads a bound: a decimal in (0, 1] with at most nine places for Dice and Jaccard, a whole number of bits for
    /// Hamming. `bits` is the width of the filters.
    pub fn parse(measure: Measure, text: &str, bits: usize) -> Option<Self> {
        let bits = u32::try_from(bits).ok()?;
        let sums = 0..=2 * bits;
        let need: Vec<u32> = match measure {
            Measure::Hamming => {
                let most: u32 = text.parse().ok()?;
                sums.map(|s| s.saturating_sub(most).div_ceil(2)).collect()
            }
            Measure::Dice | Measure::Jaccard => {
                let (p, q) = decimal(text).filter(|(p, q)| *p > 0 && p <= q)?;
                // 2I / s >= p / q  <=>  I >= p·s / 2q;  I / (s − I) >= p / q  <=>  I >= p·s / (p + q)
                let divisor = if measure == Measure::Dice {
                    2 * q
                } else {
                    p + q
                };
                let least = |s: u32| (p * u64::from(s)).div_ceil(divisor);
                sums.map(|s| {
                    if s == 0 {
                        NEVER
                    } else {
                        u32::try_from(least(s)).unwrap_or(NEVER)
                    }
                })
                .collect()
            }
        };
        let radius = |(s, need): (usize, &u32)| -> i32 {
            let (s, need) = (i64::try_from(s).unwrap_or(i64::MAX), i64::from(*need));
            i32::try_from((s - 2 * need).max(-1)).unwrap_or(i32::MAX)
        };
        // The largest distance over all sums up to s: it may only grow, so that one bound serves a range of rows.
        let mut most = -1;
        let radius = need
            .iter()
            .enumerate()
            .map(radius)
            .map(|r| {
                most = most.max(r);
                most
            })
            .collect();
        Some(Self {
            measure,
            need,
            radius,
        })
    }

    /// The measure.
    pub fn measure(&self) -> Measure {
        self.measure
    }

    /// Whether a pair with that many set bits in all and that many in common reaches the bound.
    #[inline]
    pub fn reached(&self, sum: u32, common: u32) -> bool {
        self.need
            .get(sum as usize)
            .is_some_and(|need| common >= *need)
    }

    /// Largest Hamming distance that a pair may have whose set bits are at most `sum` in all; −1: none.
    #[inline]
    pub fn radius(&self, sum: u32) -> i32 {
        let at = (sum as usize).min(self.radius.len() - 1);
        self.radius[at]
    }

    /// Whether filters of `a` and `b` set bits can reach the bound at all.
    pub fn possible(&self, a: u32, b: u32) -> bool {
        self.reached(a + b, a.min(b))
    }

    /// Similarity of a pair: Dice or Jaccard in [0, 1], Hamming in bits.
    pub fn value(&self, sum: u32, common: u32) -> f64 {
        let (s, i) = (f64::from(sum), f64::from(common));
        match self.measure {
            Measure::Dice if sum > 0 => 2.0 * i / s,
            Measure::Jaccard if sum > 0 => i / (s - i),
            Measure::Hamming => s - 2.0 * i,
            _ => 0.0,
        }
    }
}

/// Numerator and denominator of a decimal with at most nine places.
fn decimal(text: &str) -> Option<(u64, u64)> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() > 1 || places.len() > 9 || !digits(whole) || !digits(places) || text.is_empty() {
        return None;
    }
    let q = 10_u64.pow(u32::try_from(places.len()).ok()?);
    let number = |part: &str| {
        if part.is_empty() {
            Some(0)
        } else {
            part.parse::<u64>().ok()
        }
    };
    Some((number(whole)? * q + number(places)?, q))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables against the definitions in fractions, over every sum and every number of common bits.
    #[test]
    fn a_pair_reaches_the_bound_exactly_if_the_fraction_does() {
        for (text, p, q) in [
            ("0.8", 4, 5),
            ("0.85", 17, 20),
            ("1", 1, 1),
            ("0.7", 7, 10),
            ("0.333", 333, 1000),
        ] {
            let dice = Threshold::parse(Measure::Dice, text, 128).unwrap();
            let jaccard = Threshold::parse(Measure::Jaccard, text, 128).unwrap();
            for s in 1..=256_u32 {
                for i in 0..=s / 2 {
                    assert_eq!(dice.reached(s, i), 2 * i * q >= p * s, "{text} {s} {i}");
                    assert_eq!(
                        jaccard.reached(s, i),
                        i * q >= p * (s - i),
                        "{text} {s} {i}"
                    );
                    if dice.reached(s, i) {
                        assert!(i64::from(s) - 2 * i64::from(i) <= i64::from(dice.radius(s)));
                    }
                }
            }
            assert!(!dice.reached(0, 0));
        }
        let hamming = Threshold::parse(Measure::Hamming, "9", 128).unwrap();
        for s in 0..=256_u32 {
            for i in 0..=s / 2 {
                assert_eq!(hamming.reached(s, i), s - 2 * i <= 9);
            }
        }
    }

    #[test]
    fn what_is_no_bound_is_refused() {
        for text in [
            "",
            "0",
            "0.0",
            "1.1",
            "-0.5",
            "0.5x",
            "2",
            "1e-3",
            ".",
            "0.0000000001",
            "٠.٥",
        ] {
            assert!(
                Threshold::parse(Measure::Dice, text, 1024).is_none(),
                "{text}"
            );
        }
        for text in ["", "-1", "1.5", "x"] {
            assert!(
                Threshold::parse(Measure::Hamming, text, 1024).is_none(),
                "{text}"
            );
        }
    }
}
