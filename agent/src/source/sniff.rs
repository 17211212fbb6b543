//! Finding out the encoding and delimiter of a text file. In: its first megabyte. Out: both, or a
//! refusal that names the candidates. Invariant: a finding is shown to the user and never contradicts
//! the bytes; where two readings are equally good, the user must say.
//! Specification: docs/OPERATIONS.md, "Sources".

use encoding_rs::{Encoding, GB18030, UTF_8};
use hedui_edge::Problem;

/// Bytes looked at.
pub const SAMPLE_BYTES: usize = 1 << 20;
/// Delimiters considered, with their words in the mapping.
const DELIMITERS: [(u8, &str); 4] = [(b',', ","), (b'\t', "\\t"), (b';', ";"), (b'|', "|")];

/// The encoding: a byte-order mark, else UTF-8 if the bytes are UTF-8, else GB 18030 if they are that.
pub fn encoding(sample: &[u8], whole: bool) -> Result<&'static Encoding, Problem> {
    if let Some((encoding, _)) = Encoding::for_bom(sample) {
        return Ok(encoding);
    }
    // A sample may end inside a character.
    let utf8 = match std::str::from_utf8(sample) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && !whole,
    };
    if utf8 {
        return Ok(UTF_8);
    }
    let end = if whole {
        sample.len()
    } else {
        sample.len().saturating_sub(4)
    };
    let (_, malformed) = GB18030.decode_without_bom_handling(&sample[..end]);
    // At the cut a half character may be left over; inside the sample nothing may be malformed.
    let cut_only = !whole && malformed && {
        let line = sample[..end].iter().rposition(|b| *b == b'\n').unwrap_or(0);
        !GB18030.decode_without_bom_handling(&sample[..line]).1
    };
    if !malformed || cut_only {
        return Ok(GB18030);
    }
    Err(Problem::data(
        "the file is neither UTF-8 nor GB 18030 text",
        "state the encoding in the mapping's [source], for example `encoding = \"big5\"` or \"windows-1252\"",
    ))
}

/// The delimiter under which the first lines all have the same number of cells, more than one.
pub fn delimiter(sample: &str) -> Result<u8, Problem> {
    let mut found: Vec<(usize, u8, &str)> = Vec::new();
    let mut in_header: Vec<u8> = Vec::new();
    for (delimiter, word) in DELIMITERS {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(sample.as_bytes());
        let widths: Vec<usize> = reader
            .records()
            .take(50)
            .map_while(Result::ok)
            .map(|record| record.len())
            .collect();
        let first = widths.first().copied().unwrap_or(0);
        if first > 1 {
            in_header.push(delimiter);
        }
        let alike = widths.iter().filter(|width| **width == first).count();
        if first > 1 && alike * 10 >= widths.len() * 9 {
            found.push((first, delimiter, word));
        }
    }
    found.sort_unstable_by_key(|(width, _, _)| std::cmp::Reverse(*width));
    match &found[..] {
        // Ragged rows everywhere: the header alone may still tell.
        [] => Ok(if let [only] = in_header[..] {
            only
        } else {
            b','
        }),
        [(_, delimiter, _)] => Ok(*delimiter),
        [(width, _, word), (next, _, other), ..] if width == next => Err(Problem::data(
            format!("the file can be read with `{word}` or with `{other}` between its cells"),
            "state `delimiter` in the mapping's [source]",
        )),
        [(_, delimiter, _), ..] => Ok(*delimiter),
    }
}

/// The byte that a delimiter's word in the mapping stands for.
pub fn delimiter_of_word(word: &str) -> Result<u8, Problem> {
    match word {
        "\t" | "\\t" | "tab" => Ok(b'\t'),
        _ => match word.as_bytes() {
            [byte] if byte.is_ascii_punctuation() => Ok(*byte),
            _ => Err(Problem::data(
                "the mapping's `delimiter` is not one character",
                "write for example `delimiter = \",\"` or \"\\t\"",
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_by_their_bytes() {
        assert_eq!(encoding("姓名,张伟".as_bytes(), true).ok().unwrap(), UTF_8);
        let (bytes, _, _) = GB18030.encode("姓名,张伟,㐂");
        assert_eq!(encoding(&bytes, true).ok().unwrap(), GB18030);
        assert_eq!(
            encoding(b"\xff\xfea\0", true).ok().unwrap(),
            encoding_rs::UTF_16LE
        );
        assert!(encoding(b"caf\xe9,1\n", true).is_err());
    }

    #[test]
    fn delimiters_are_told_by_equal_widths_and_doubts_are_refused() {
        assert_eq!(delimiter("a;b;c\n1,5;2;3\n").ok().unwrap(), b';');
        assert_eq!(delimiter("a,b\n\"x,y\",2\n").ok().unwrap(), b',');
        assert_eq!(delimiter("a\tb\n1\t2\n").ok().unwrap(), b'\t');
        assert!(delimiter("a,b;c\n1,2;3\n").is_err());
        assert_eq!(delimiter("a;b\n1;2;3\n4;5\n").ok().unwrap(), b';');
    }
}
