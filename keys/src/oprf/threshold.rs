//! Shamir's sharing of an OPRF key and what `t` answers add up to. In: a polynomial's value or shares of it.
//! Out: shares, whole-number Lagrange coefficients, the epoch's public key.
//! Invariant: the key of an epoch is `K = 4·D·f(0)`, D the least number that makes every coefficient whole;
//! so combining costs a few additions. Specification: protocol/SPEC.md, "OPRF lock"; decision 0006.

use std::collections::BTreeMap;

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use hedui_protocol::limits::CUSTODIANS_MAX;
use zeroize::Zeroizing;

use super::OprfError;

/// A custodian's place in the sharing, from 1.
pub type Index = u16;

/// How many custodians there are and how many of them are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// Custodians.
    pub custodians: u16,
    /// Answers needed.
    pub needed: u16,
}

impl Threshold {
    /// Checks `2 ≤ needed ≤ custodians ≤ 9`.
    pub fn new(custodians: u16, needed: u16) -> Result<Self, OprfError> {
        let ok = needed >= 2 && needed <= custodians && usize::from(custodians) <= CUSTODIANS_MAX;
        ok.then_some(Self { custodians, needed })
            .ok_or(OprfError::Threshold)
    }

    /// D: the least common multiple of the denominators of all Lagrange coefficients at 0, over all sets of
    /// `needed` custodians (Shoup 2000 uses `custodians!`, a multiple of it).
    pub fn denominator(self) -> i64 {
        let mut lcm = 1;
        for set in self.sets() {
            for index in &set {
                let (_, below) = fraction(&set, *index);
                lcm = lcm / gcd(lcm, below) * below;
            }
        }
        lcm
    }

    /// `c_i = D·λ_i(0)` for a set of distinct custodians, all whole numbers.
    pub fn coefficients(self, set: &[Index]) -> Result<Vec<i64>, OprfError> {
        let mut sorted = set.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let known = sorted.iter().all(|i| (1..=self.custodians).contains(i));
        if sorted.len() != set.len() || set.len() != usize::from(self.needed) || !known {
            return Err(OprfError::Threshold);
        }
        let d = self.denominator();
        let whole = |index: &Index| {
            let (above, below) = fraction(set, *index);
            d / below * above
        };
        Ok(set.iter().map(whole).collect())
    }

    /// `4·D`: what the shared value is multiplied by to give the epoch's key.
    pub fn scale(self) -> Scalar {
        Scalar::from(self.denominator().unsigned_abs() * 4)
    }

    /// All sets of `needed` custodians, in order.
    pub fn sets(self) -> Vec<Vec<Index>> {
        let mut sets = vec![Vec::new()];
        for index in 1..=self.custodians {
            let more: Vec<Vec<Index>> = sets
                .iter()
                .filter(|set| set.len() < usize::from(self.needed))
                .map(|set| set.iter().copied().chain([index]).collect())
                .collect();
            sets.extend(more);
        }
        sets.retain(|set| set.len() == usize::from(self.needed));
        sets
    }

    /// Splits `secret`: `f(0) = secret`, the other `needed − 1` coefficients random; shares `f(1) … f(n)`.
    pub fn split(
        self,
        secret: &Scalar,
        coefficients: &[Scalar],
    ) -> Result<Vec<(Index, Zeroizing<Scalar>)>, OprfError> {
        if coefficients.len() + 1 != usize::from(self.needed) {
            return Err(OprfError::Threshold);
        }
        let mut polynomial = Zeroizing::new(Vec::with_capacity(usize::from(self.needed)));
        polynomial.push(*secret);
        polynomial.extend_from_slice(coefficients);
        Ok((1..=self.custodians)
            .map(|index| {
                let x = Scalar::from(index);
                let value = polynomial
                    .iter()
                    .rev()
                    .fold(Scalar::ZERO, |sum, c| sum * x + c);
                (index, Zeroizing::new(value))
            })
            .collect())
    }

    /// `f(0)` from shares of `needed` distinct custodians.
    pub fn join(
        self,
        shares: &[(Index, Zeroizing<Scalar>)],
    ) -> Result<Zeroizing<Scalar>, OprfError> {
        let set: Vec<Index> = shares.iter().map(|(index, _)| *index).collect();
        let sum = self
            .coefficients(&set)?
            .into_iter()
            .zip(shares)
            .fold(Scalar::ZERO, |sum, (c, (_, share))| {
                sum + signed(c) * **share
            });
        let d = Scalar::from(self.denominator().unsigned_abs());
        Ok(Zeroizing::new(sum * d.invert()))
    }

    /// Checks that public shares lie on one polynomial of degree `needed − 1` and returns `4·D·f(0)·G`.
    pub fn group_key(
        self,
        shares: &BTreeMap<Index, RistrettoPoint>,
    ) -> Result<RistrettoPoint, OprfError> {
        if shares.len() != usize::from(self.custodians) {
            return Err(OprfError::Threshold);
        }
        let at_zero = |set: &Vec<Index>| -> Result<RistrettoPoint, OprfError> {
            let points: Vec<_> = set.iter().filter_map(|i| shares.get(i)).collect();
            let coefficients = self.coefficients(set)?;
            if points.len() != set.len() {
                return Err(OprfError::Threshold);
            }
            Ok(combine(&coefficients, &points))
        };
        let mut values = self.sets().into_iter().map(|set| at_zero(&set));
        let first = values.next().ok_or(OprfError::Threshold)??;
        for value in values {
            if value? != first {
                return Err(OprfError::Inconsistent);
            }
        }
        Ok(first * Scalar::from(4_u8))
    }
}

/// `Σ c_i · P_i` for small whole `c_i`, by doubling and adding all bits together. Variable time in the
/// coefficients, which are public.
pub fn combine(coefficients: &[i64], points: &[&RistrettoPoint]) -> RistrettoPoint {
    let bits = coefficients
        .iter()
        .map(|c| u64::BITS - c.unsigned_abs().leading_zeros())
        .max()
        .unwrap_or(0);
    let mut sum: Option<RistrettoPoint> = None;
    for bit in (0..bits).rev() {
        sum = sum.map(|sum| sum + sum);
        for (c, point) in coefficients.iter().zip(points) {
            if c.unsigned_abs() >> bit & 1 == 1 {
                sum = Some(match (sum, *c < 0) {
                    (Some(sum), false) => sum + *point,
                    (Some(sum), true) => sum - *point,
                    (None, false) => **point,
                    (None, true) => -*point,
                });
            }
        }
    }
    sum.unwrap_or_else(RistrettoPoint::identity)
}

/// `λ_i(0) = Π_{j≠i} j / (j − i)`, reduced, with a positive denominator.
fn fraction(set: &[Index], index: Index) -> (i64, i64) {
    let (mut above, mut below) = (1_i64, 1_i64);
    for other in set.iter().filter(|other| **other != index) {
        above *= i64::from(*other);
        below *= i64::from(*other) - i64::from(index);
        let common = gcd(above, below);
        (above, below) = (above / common, below / common);
    }
    if below < 0 {
        (-above, -below)
    } else {
        (above, below)
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

fn signed(value: i64) -> Scalar {
    let size = Scalar::from(value.unsigned_abs());
    if value < 0 { -size } else { size }
}
