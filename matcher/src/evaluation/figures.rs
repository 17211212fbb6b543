//! Quality figures. In: counts of true and false pairs. Out: precision, recall, F1 with intervals of 95 %.
//! Invariant: every figure is a share of counted pairs, its interval Wilson's (1927); an empty share is none, not 0.
//! F1 = 2F*/(1 + F*) with F* = TP/(TP + FP + FN) (Hand, Christen and Kirielle 2021), so its interval follows F*'s.

use serde::Serialize;

/// Normal deviate of 95 %.
const Z: f64 = 1.959_964;

/// A share with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// The share; `None` where there is nothing to share.
    pub value: Option<f64>,
    /// Lower end of the interval of 95 %.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Share {
    /// `part` of `whole`.
    pub fn of(part: u64, whole: u64) -> Self {
        let n = whole as f64;
        if whole == 0 {
            return Self {
                value: None,
                low: 0.0,
                high: 1.0,
            };
        }
        let p = part as f64 / n;
        let middle = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        Self {
            value: Some(p),
            low: ((middle - half) / scale).max(0.0),
            high: ((middle + half) / scale).min(1.0),
        }
    }

    fn map(self, to: impl Fn(f64) -> f64) -> Self {
        Self {
            value: self.value.map(&to),
            low: to(self.low),
            high: to(self.high),
        }
    }

    /// `0.982 [0.978–0.985]`.
    pub fn text(&self) -> String {
        match self.value {
            Some(value) => format!("{value:.4} [{:.4}–{:.4}]", self.low, self.high),
            None => "—".to_owned(),
        }
    }
}

/// Figures of one decision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// True pairs found.
    pub true_positives: u64,
    /// Pairs found that are not true.
    pub false_positives: u64,
    /// True pairs not found.
    pub false_negatives: u64,
    /// Share of the found that is true.
    pub precision: Share,
    /// Share of the true that is found.
    pub recall: Share,
    /// Harmonic mean of both.
    pub f1: Share,
}

impl Figures {
    /// From counts: pairs found, true ones among them, true ones in all.
    pub fn new(found: u64, correct: u64, truth: u64) -> Self {
        let star = Share::of(correct, found + truth.saturating_sub(correct));
        Self {
            true_positives: correct,
            false_positives: found - correct,
            false_negatives: truth.saturating_sub(correct),
            precision: Share::of(correct, found),
            recall: Share::of(correct, truth),
            f1: star.map(|star| 2.0 * star / (1.0 + star)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wilson's interval of 8 in 10 is 0.490 to 0.943 (Newcombe 1998, method 3, computed by hand).
    #[test]
    fn shares_have_wilsons_interval() {
        let share = Share::of(8, 10);
        assert!(
            (share.low - 0.4902).abs() < 1e-4 && (share.high - 0.9433).abs() < 1e-4,
            "{share:?}"
        );
        assert_eq!(Share::of(0, 0).value, None);
        assert_eq!(Share::of(5, 5).high, 1.0);
    }

    #[test]
    fn f1_is_the_harmonic_mean() {
        let figures = Figures::new(90, 81, 100);
        let (p, r) = (0.9, 0.81);
        let f1 = figures.f1.value.unwrap();
        assert!((f1 - 2.0 * p * r / (p + r)).abs() < 1e-12);
        assert!(figures.f1.low < f1 && f1 < figures.f1.high);
        assert_eq!((figures.false_positives, figures.false_negatives), (9, 19));
    }
}
