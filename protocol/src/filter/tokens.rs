//! Tokens of a value: what two spellings share. In: a normalised cell. Out: distinct tokens, in a fixed order.
//! Invariant: pure; repeated tokens are numbered, so that a multiset becomes a set.
//! Han names have characters and toneless syllables (surname readings): one wrong character leaves the sound, one wrong
//! sound leaves the other characters; bigrams would leave neither. SPEC.md, "Filters".

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::field::{FieldKind, Form, Normal};

/// How a value is cut into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Pairs of neighbouring characters, the ends padded.
    Bigrams,
    /// Each character with its place.
    Digits,
    /// Characters and syllables of a Han name; bigrams for other scripts.
    Han,
    /// The value itself.
    Whole,
}

impl TokenKind {
    /// The usual tokens of a kind of field.
    pub fn of(kind: FieldKind) -> Self {
        match kind {
            FieldKind::CnName => Self::Han,
            FieldKind::PersonName | FieldKind::Text => Self::Bigrams,
            FieldKind::CnResidentId
            | FieldKind::CnDivision
            | FieldKind::Date
            | FieldKind::Integer
            | FieldKind::Phone
            | FieldKind::Plate
            | FieldKind::Uscc => Self::Digits,
            FieldKind::Exact | FieldKind::Sex => Self::Whole,
        }
    }

    /// Tokens of a cell of a field of `kind`; none where it holds nothing. What is left of a damaged value counts.
    pub fn tokens(self, kind: FieldKind, cell: &Normal) -> Zeroizing<Vec<String>> {
        let Some(value) = cell.value.as_deref().or(cell.remnant.as_deref()) else {
            return Zeroizing::new(Vec::new());
        };
        let mut tokens = match self {
            Self::Bigrams => bigrams(value),
            Self::Digits => (0..)
                .zip(value.chars())
                .map(|(at, c)| format!("{at}:{c}"))
                .collect(),
            Self::Whole => vec![value.to_owned()],
            Self::Han if value.is_ascii() => bigrams(value),
            Self::Han => {
                let characters = value.chars().map(|c| format!("c:{c}"));
                let sound = Form::Pinyin.of(kind, cell).unwrap_or_default();
                characters
                    .chain(
                        sound
                            .split(' ')
                            .filter(|s| !s.is_empty())
                            .map(|s| format!("p:{s}")),
                    )
                    .collect()
            }
        };
        number_repeats(&mut tokens);
        Zeroizing::new(tokens)
    }
}

fn bigrams(value: &str) -> Vec<String> {
    if value.is_ascii() {
        let padded = format!("_{value}_");
        let pairs = padded.as_bytes().windows(2);
        return pairs
            .map(|pair| pair.iter().map(|byte| char::from(*byte)).collect())
            .collect();
    }
    let padded: Vec<char> = std::iter::once('_')
        .chain(value.chars())
        .chain(std::iter::once('_'))
        .collect();
    padded
        .windows(2)
        .map(|pair| pair.iter().collect())
        .collect()
}

/// The second `an` becomes `an#2`.
fn number_repeats(tokens: &mut [String]) {
    // Four bytes of each and its length tell most tokens apart without a call.
    let brief = |token: &String| {
        let first = token.bytes().take(4).fold(0, |n, b| n << 8 | u64::from(b));
        first << 32 | token.len() as u64
    };
    let marks: Vec<u64> = tokens.iter().map(brief).collect();
    // From the end, so that those before are as they were; values have a few dozen tokens.
    for at in (1..tokens.len()).rev() {
        let alike = |(mark, token): &(&u64, &String)| **mark == marks[at] && **token == tokens[at];
        let count = marks[..at].iter().zip(&tokens[..at]).filter(alike).count() + 1;
        if count > 1 {
            tokens[at] = format!("{}#{count}", tokens[at]);
        }
    }
}
