//! Tokens of a value: what two spellings share. In: a normalised cell. Out: distinct tokens, in a fixed order.
//! Invariant: pure; repeated tokens are numbered, so that a multiset becomes a set.
//! Han names have two views: their sound (one wrong character of the same reading leaves it) and the shape of their
//! characters (one wrong character that looks alike leaves most of it); bigrams would leave neither. SPEC.md, "Filters".

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::shape;
use crate::field::{FieldKind, Form, Normal, cn_name};

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
    /// Syllables of a Han name with and without their tone; bigrams for other scripts.
    Sound,
    /// Pairs of components of each character of a Han name, every character with the same weight; bigrams for other
    /// scripts.
    Shape,
    /// The value itself.
    Whole,
}

/// The tokens of one value, one after the other in one buffer; wiped on drop.
#[derive(Default)]
pub struct Tokens {
    text: String,
    /// Of each token: where it begins, where it ends without its number, where it ends.
    places: Vec<[u32; 3]>,
    /// Of each token without its number: its first four bytes and its length, which tell most apart.
    marks: Vec<u64>,
}

impl Tokens {
    /// A single token.
    pub fn one(token: &str) -> Self {
        let mut tokens = Self::default();
        tokens.push(|text| text.push_str(token));
        tokens
    }

    /// The tokens of two values in an order that does not depend on which is which; equal ones are numbered.
    pub fn together(one: &Self, other: &Self) -> Self {
        let mut all: Vec<&str> = one.iter().chain(other.iter()).collect();
        all.sort_unstable();
        let mut tokens = Self::default();
        for (at, token) in all.iter().enumerate() {
            let again = at > 0 && all[at - 1] == *token;
            tokens.reserve(token.len() + 1);
            tokens.push(|text| {
                text.push_str(token);
                if again {
                    text.push('#');
                }
            });
        }
        tokens
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The tokens in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let token = |place: &[u32; 3]| self.text.get(place[0] as usize..place[2] as usize);
        self.places.iter().filter_map(token)
    }

    /// Empties the buffer for the next value.
    pub fn clear(&mut self) {
        self.text.clear();
        self.places.clear();
        self.marks.clear();
    }

    /// Empties the buffer and wipes what stood in it.
    pub fn wipe(&mut self) {
        self.text.zeroize();
        self.marks.zeroize();
        self.places.clear();
    }

    /// Makes room; where the buffer must move, its old place is wiped.
    fn reserve(&mut self, more: usize) {
        if self.text.capacity() - self.text.len() < more {
            let room = (self.text.len() + more).next_power_of_two().max(256);
            let mut larger = String::with_capacity(room);
            larger.push_str(&self.text);
            self.text.zeroize();
            self.text = larger;
        }
    }

    /// Adds a token, which `write` appends; the second `an` becomes `an#2`.
    fn push(&mut self, write: impl FnOnce(&mut String)) {
        let place = |text: &String| u32::try_from(text.len()).unwrap_or(u32::MAX);
        let start = place(&self.text);
        write(&mut self.text);
        let base = place(&self.text);
        let token = &self.text.as_bytes()[start as usize..];
        let first = token.iter().take(4).fold(0, |n, b| n << 8 | u64::from(*b));
        let mark = first << 32 | token.len() as u64;
        let alike = |(place, other): (&[u32; 3], &u64)| {
            let same = || &self.text.as_bytes()[place[0] as usize..place[1] as usize] == token;
            *other == mark && (token.len() <= 4 || same())
        };
        let before = self.places.iter().zip(&self.marks);
        let count = before.filter(|token| alike(*token)).count();
        if count > 0 {
            self.text.push('#');
            push_number(&mut self.text, count + 1);
        }
        self.marks.push(mark);
        self.places.push([start, base, place(&self.text)]);
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.text.zeroize();
        self.marks.zeroize();
    }
}

fn push_number(text: &mut String, number: usize) {
    if number >= 10 {
        push_number(text, number / 10);
    }
    let digit = u32::try_from(number % 10).unwrap_or(0);
    text.extend(char::from_digit(digit, 10));
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

    /// Whether a field of `kind` has tokens of this kind to speak of: views of Han names are of Han names only.
    pub fn fits(self, kind: FieldKind) -> bool {
        kind == FieldKind::CnName || !matches!(self, Self::Han | Self::Sound | Self::Shape)
    }

    /// Tokens of a cell of a field of `kind`; none where it holds nothing. What is left of a damaged value counts.
    pub fn tokens(self, kind: FieldKind, cell: &Normal) -> Tokens {
        let mut tokens = Tokens::default();
        self.fill(kind, cell, &mut tokens);
        tokens
    }

    /// The same into a buffer that is used again and again.
    pub fn fill(self, kind: FieldKind, cell: &Normal, tokens: &mut Tokens) {
        tokens.clear();
        let Some(value) = cell.value.as_deref().or(cell.remnant.as_deref()) else {
            return;
        };
        // No token list is longer than twelve pieces of seven bytes per character.
        tokens.reserve(value.len() * 12 + 64);
        match self {
            Self::Bigrams => bigrams(value, tokens),
            Self::Digits => {
                for (at, c) in value.chars().enumerate() {
                    tokens.reserve(32);
                    tokens.push(|text| {
                        push_number(text, at);
                        text.push(':');
                        text.push(c);
                    });
                }
            }
            Self::Whole => tokens.push(|text| text.push_str(value)),
            Self::Han | Self::Sound | Self::Shape if value.is_ascii() => bigrams(value, tokens),
            Self::Han => {
                for c in value.chars() {
                    tokens.push(|text| {
                        text.push_str("c:");
                        text.push(c);
                    });
                }
                let sound = Form::Pinyin.of(kind, cell).unwrap_or_default();
                for syllable in sound.split(' ').filter(|syllable| !syllable.is_empty()) {
                    tokens.reserve(syllable.len() + 8);
                    tokens.push(|text| {
                        text.push_str("p:");
                        text.push_str(syllable);
                    });
                }
            }
            Self::Sound => {
                for (plain, toned) in cn_name::readings(value) {
                    tokens.reserve(plain.len() + toned.len() + 16);
                    tokens.push(|text| {
                        text.push_str("p:");
                        text.push_str(&plain);
                    });
                    tokens.push(|text| {
                        text.push_str("t:");
                        text.push_str(&toned);
                    });
                }
            }
            Self::Shape => value.chars().for_each(|c| shapes(c, tokens)),
        }
    }
}

/// Twelve tokens per character, whatever the number of its components, so that every character counts the same.
const SHAPE_TOKENS: usize = 12;

/// Pairs of neighbouring components of a character, the ends padded, each several times.
fn shapes(c: char, tokens: &mut Tokens) {
    let Some(code) = shape::of(c) else {
        for _ in 0..SHAPE_TOKENS {
            tokens.reserve(16);
            tokens.push(|text| {
                text.push_str("c:");
                text.push(c);
            });
        }
        return;
    };
    let pairs = code.len() + 1;
    let component = |at: usize| {
        let byte = at.checked_sub(1).and_then(|at| code.as_bytes().get(at));
        byte.map_or('_', |byte| char::from(*byte))
    };
    for at in 0..pairs {
        let copies = SHAPE_TOKENS / pairs + usize::from(at < SHAPE_TOKENS % pairs);
        for _ in 0..copies {
            tokens.reserve(16);
            tokens.push(|text| {
                text.push_str("s:");
                text.push(component(at));
                text.push(component(at + 1));
            });
        }
    }
}

fn bigrams(value: &str, tokens: &mut Tokens) {
    tokens.reserve(value.len() * 8 + 64);
    if value.is_ascii() {
        let pair = |text: &mut String, one: u8, two: u8| {
            text.push(char::from(one));
            text.push(char::from(two));
        };
        let mut last = b'_';
        for next in value.bytes().chain(std::iter::once(b'_')) {
            tokens.push(|text| pair(text, last, next));
            last = next;
        }
        return;
    }
    let mut last = '_';
    for next in value.chars().chain(std::iter::once('_')) {
        tokens.reserve(16);
        tokens.push(|text| {
            text.push(last);
            text.push(next);
        });
        last = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Gazetteer;

    fn of(tokens: TokenKind, kind: FieldKind, raw: &str) -> Vec<String> {
        let cell = kind.normalise(raw, &Gazetteer::default());
        let tokens = tokens.tokens(kind, &cell);
        tokens.iter().map(str::to_owned).collect()
    }

    #[test]
    fn every_kind_of_token() {
        use FieldKind::{CnName, Date, PersonName, Text};
        assert_eq!(
            of(TokenKind::Bigrams, PersonName, "Anna"),
            ["_a", "an", "nn", "na", "a_"]
        );
        assert_eq!(
            of(TokenKind::Bigrams, Text, "ananan"),
            ["_a", "an", "na", "an#2", "na#2", "an#3", "n_"]
        );
        assert_eq!(
            of(TokenKind::Digits, Date, "2016-07-01"),
            ["0:2", "1:0", "2:1", "3:6", "4:0", "5:7", "6:0", "7:1"]
        );
        assert_eq!(
            of(TokenKind::Han, CnName, "单伟伟"),
            ["c:单", "c:伟", "c:伟#2", "p:shan", "p:wei", "p:wei#2"]
        );
        // A surname's reading has no tone in the table of surnames.
        assert_eq!(
            of(TokenKind::Sound, CnName, "单伟"),
            ["p:shan", "t:shan", "p:wei", "t:wei3"]
        );
        let shape = of(TokenKind::Shape, CnName, "丁一");
        assert_eq!(shape.len(), 2 * SHAPE_TOKENS);
        assert_eq!(shape[0], "s:_M");
        assert!(TokenKind::Shape.fits(CnName) && !TokenKind::Sound.fits(PersonName));
        assert!(of(TokenKind::Sound, CnName, "").is_empty());
    }

    #[test]
    fn two_values_together_do_not_depend_on_the_order() {
        let bigrams = |raw: &str| {
            let cell = FieldKind::PersonName.normalise(raw, &Gazetteer::default());
            TokenKind::Bigrams.tokens(FieldKind::PersonName, &cell)
        };
        let (one, other) = (bigrams("li"), bigrams("lin"));
        let both = Tokens::together(&one, &other);
        let all: Vec<&str> = both.iter().collect();
        assert!(all == Tokens::together(&other, &one).iter().collect::<Vec<_>>());
        assert_eq!(all, ["_l", "_l#", "i_", "in", "li", "li#", "n_"]);
    }

    /// Every character has as many tokens of shape as every other, whatever the number of its components.
    #[test]
    fn every_character_counts_the_same_by_its_shape() {
        for point in (0x4e00..0x9fa6).step_by(7) {
            let mut tokens = Tokens::default();
            shapes(char::from_u32(point).unwrap(), &mut tokens);
            assert_eq!(tokens.len(), SHAPE_TOKENS, "{point:x}");
        }
    }
}
