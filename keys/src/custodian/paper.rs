//! A share on paper. In: a share and the people who are to keep it. Out: sheets of which some restore it;
//! and back, from what people typed. Invariant: fewer sheets than the threshold say nothing about the share
//! (Shamir over the group's order); every typed line has check digits, so that a slip is found on its line.
//! Specification: protocol/SPEC.md, "Share on paper".

use std::collections::BTreeMap;
use std::fmt::Write as _;

use curve25519_dalek::scalar::Scalar;
use hedui_protocol::label::Label;
use hedui_protocol::primitive::{hex, labelled_sha256};
use zeroize::Zeroizing;

use crate::oprf::OprfError;
use crate::oprf::suite::decode_scalar;
use crate::oprf::threshold::{Index, Threshold};

/// Bytes per line of a sheet.
const LINE_BYTES: usize = 8;
/// First words of a sheet's key line.
const KEY_LINE: &str = "hedui-paper/1";

/// What the sheets of one backup have in common.
#[derive(Clone, PartialEq, Eq)]
pub struct Heading {
    /// Custodian.
    pub custodian: String,
    /// Folder name of agreement and epoch.
    pub place: String,
    /// Sheets made and needed.
    pub people: Threshold,
}

/// Why typed sheets do not restore a share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaperError {
    /// A line is missing or its check digits do not fit.
    #[error("sheet {sheet}: line {line} is mistyped or missing")]
    Line {
        /// Sheet, as given, from 1.
        sheet: usize,
        /// Line, from 1.
        line: usize,
    },
    /// The key line is missing or wrong; the check digits of all others cover it.
    #[error("sheet {sheet}: the line that begins with hedui-paper/1 is mistyped or missing")]
    KeyLine {
        /// Sheet, as given, from 1.
        sheet: usize,
    },
    /// Sheets of another backup, or the same one twice.
    #[error("the sheets do not belong together, or one was given twice")]
    Mixed,
    /// Fewer sheets than are needed.
    #[error("{needed} sheets are needed, {given} were given")]
    TooFew {
        /// Sheets needed.
        needed: u16,
        /// Sheets given.
        given: usize,
    },
}

/// Makes the sheets.
pub fn sheets(
    heading: &Heading,
    share: &Scalar,
    coefficients: &[Scalar],
) -> Result<Vec<Zeroizing<String>>, OprfError> {
    let parts = heading.people.split(share, coefficients)?;
    Ok(parts
        .iter()
        .map(|(index, part)| sheet(heading, *index, part))
        .collect())
}

fn sheet(heading: &Heading, index: Index, part: &Scalar) -> Zeroizing<String> {
    let Threshold { custodians, needed } = heading.people;
    let mut text = Zeroizing::new(String::with_capacity(1024));
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "密钥份额纸质备份  A custodian's share on paper\n\n\
         保管方 custodian: {}\n第 {index} 张，共 {custodians} 张，任意 {needed} 张可恢复\n\
         sheet {index} of {custodians}, any {needed} restore the share\n\n\
         请封存于信封，交由一名保管人单独保管；不得拍照、复印或录入联网计算机。\n\
         Seal it in an envelope and give it to one person. Do not photograph, copy or type it into a\n\
         networked machine.\n\n",
        heading.custodian
    );
    let _ = writeln!(text, "{}", key_line(heading, index));
    for (number, bytes) in (1..).zip(part.as_bytes().chunks(LINE_BYTES)) {
        let digits = Zeroizing::new(hex(bytes));
        let groups: Vec<&str> = (0..4)
            .filter_map(|at| digits.get(4 * at..4 * at + 4))
            .collect();
        let check = check(heading, index, number, bytes);
        let _ = writeln!(text, "{number}:  {}   {check}", groups.join(" "));
    }
    text
}

/// Puts a share together from typed sheets.
pub fn restore(typed: &[Zeroizing<String>]) -> Result<(Heading, Zeroizing<Scalar>), PaperError> {
    let mut common: Option<Heading> = None;
    let mut parts: BTreeMap<Index, Zeroizing<Scalar>> = BTreeMap::new();
    for (at, text) in (1..).zip(typed) {
        let (heading, index, part) = read(at, text)?;
        if common.as_ref().is_some_and(|first| *first != heading)
            || parts.insert(index, part).is_some()
        {
            return Err(PaperError::Mixed);
        }
        common = Some(heading);
    }
    let heading = common.ok_or(PaperError::TooFew {
        needed: 2,
        given: 0,
    })?;
    let needed = heading.people.needed;
    if parts.len() < usize::from(needed) {
        let given = parts.len();
        return Err(PaperError::TooFew { needed, given });
    }
    let some: Vec<_> = parts.into_iter().take(usize::from(needed)).collect();
    let share = heading.people.join(&some).map_err(|_| PaperError::Mixed)?;
    Ok((heading, share))
}

fn read(sheet: usize, text: &str) -> Result<(Heading, Index, Zeroizing<Scalar>), PaperError> {
    let wrong = |line| PaperError::Line { sheet, line };
    let key_line = || PaperError::KeyLine { sheet };
    let lines = || text.lines().map(str::trim);
    let key = lines()
        .find(|line| line.starts_with(KEY_LINE))
        .ok_or_else(key_line)?;
    let words: Vec<&str> = key.split_whitespace().collect();
    let [_, custodian, place, index, of] = words[..] else {
        return Err(key_line());
    };
    let numbers: Vec<u16> = of.split('/').filter_map(|n| n.parse().ok()).collect();
    let ([needed, made], Ok(index)) = (&numbers[..], index.parse::<Index>()) else {
        return Err(key_line());
    };
    let heading = Heading {
        custodian: custodian.to_owned(),
        place: place.to_owned(),
        people: Threshold::new(*made, *needed).map_err(|_| key_line())?,
    };
    let mut bytes = Zeroizing::new([0_u8; 32]);
    let mut misfits = Vec::new();
    for (number, out) in (1..).zip(bytes.chunks_mut(LINE_BYTES)) {
        let line = lines().find_map(|line| {
            let rest = line.strip_prefix(char::from_digit(u32::try_from(number).ok()?, 10)?)?;
            // A Chinese keyboard writes a colon of its own.
            rest.strip_prefix([':', '：'])
        });
        let digits: Zeroizing<String> = Zeroizing::new(
            line.ok_or_else(|| wrong(number))?
                .chars()
                .filter(|c| !c.is_whitespace())
                .map(|c| c.to_ascii_lowercase())
                .collect(),
        );
        let (value, written) = digits
            .split_at_checked(2 * LINE_BYTES)
            .ok_or_else(|| wrong(number))?;
        let parsed = hedui_protocol::primitive::unhex::<LINE_BYTES>(value);
        out.copy_from_slice(&parsed.ok_or_else(|| wrong(number))?);
        if check(&heading, index, number, out) != written {
            misfits.push(number);
        }
    }
    match misfits[..] {
        [] => {}
        // Four slips in four lines, or one in the line that all of them vouch for.
        [_, _, _, _] => return Err(key_line()),
        [first, ..] => return Err(wrong(first)),
    }
    let part = decode_scalar(&bytes).map_err(|_| key_line())?;
    Ok((heading, index, Zeroizing::new(part)))
}

fn key_line(heading: &Heading, index: Index) -> String {
    let Threshold { custodians, needed } = heading.people;
    let (custodian, place) = (&heading.custodian, &heading.place);
    format!("{KEY_LINE} {custodian} {place} {index} {needed}/{custodians}")
}

/// Four check digits: SHA-256 over heading, line number and bytes, 16 bits.
fn check(heading: &Heading, index: Index, line: usize, bytes: &[u8]) -> String {
    let key = key_line(heading, index);
    let line = [u8::try_from(line).unwrap_or(0)];
    let digest = labelled_sha256(Label::PaperShare, &[key.as_bytes(), &[0], &line, bytes]);
    hex(&digest[..2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oprf::suite::{Mode, hash_to_scalar};

    fn scalar(seed: u8) -> Scalar {
        hash_to_scalar(Mode::Oprf, &[&[seed]])
    }

    fn heading() -> Heading {
        Heading {
            custodian: "anquan".to_owned(),
            place: "0123456789abcdef-1".to_owned(),
            people: Threshold::new(3, 2).unwrap(),
        }
    }

    #[test]
    fn any_two_of_three_sheets_restore_and_one_does_not() {
        let sheets = sheets(&heading(), &scalar(1), &[scalar(2)]).unwrap();
        for (a, b) in [(0, 1), (0, 2), (2, 1)] {
            let typed = [sheets[a].clone(), sheets[b].clone()];
            let (found, share) = restore(&typed).ok().unwrap();
            assert!(found == heading() && *share == scalar(1));
        }
        let few = PaperError::TooFew {
            needed: 2,
            given: 1,
        };
        assert_eq!(restore(&sheets[..1]).err(), Some(few));
        let twice = [sheets[0].clone(), sheets[0].clone()];
        assert_eq!(restore(&twice).err(), Some(PaperError::Mixed));
    }

    /// A slip in any digit is found on its line; spaces and capitals do not matter.
    #[test]
    fn a_slip_is_found_on_its_line() {
        let sheets = sheets(&heading(), &scalar(1), &[scalar(2)]).unwrap();
        let upper = Zeroizing::new(sheets[0].replace("  ", " ").replace("1:", "1: "));
        assert!(restore(&[upper, sheets[1].clone()]).is_ok());
        let lines: Vec<&str> = sheets[0].lines().collect();
        let mut found = 0;
        for (at, line) in lines.iter().enumerate() {
            let Some(number) = line
                .strip_suffix(|_: char| true)
                .and_then(|l| l.split(':').next())
            else {
                continue;
            };
            let Ok(number) = number.parse::<usize>() else {
                continue;
            };
            for place in 4..line.len() {
                let old = line.as_bytes()[place];
                if !old.is_ascii_hexdigit() {
                    continue;
                }
                let new = if old == b'0' { '1' } else { '0' };
                let mut wrong = (*line).to_owned();
                wrong.replace_range(place..=place, &new.to_string());
                let mut all: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
                all[at] = wrong;
                let typed = [Zeroizing::new(all.join("\n")), sheets[1].clone()];
                let expected = PaperError::Line {
                    sheet: 1,
                    line: number,
                };
                assert_eq!(restore(&typed).err(), Some(expected), "{number} {place}");
                found += 1;
            }
        }
        assert_eq!(found, 4 * 20);
    }

    #[test]
    fn a_slip_in_the_key_line_is_found_there_and_full_width_colons_pass() {
        let sheets = sheets(&heading(), &scalar(1), &[scalar(2)]).unwrap();
        let wide = Zeroizing::new(sheets[0].replace("1:", "1：").replace("4:", "4："));
        assert!(restore(&[wide, sheets[1].clone()]).is_ok());
        for (from, to) in [
            ("anquan", "anqaun"),
            ("-1 1 2/3", "-2 1 2/3"),
            ("hedui-paper/1", "hedui-paper/"),
        ] {
            assert!(sheets[0].contains(from), "{from}");
            let typed = Zeroizing::new(sheets[0].replace(from, to));
            let expected = PaperError::KeyLine { sheet: 1 };
            assert_eq!(
                restore(&[typed, sheets[1].clone()]).err(),
                Some(expected),
                "{to}"
            );
        }
    }
}
