//! Strict reading of TOML. In: text. Out: a value, or a refusal that names the line and, for a
//! misspelt word, the nearest right one. Invariant: nothing unknown is ever ignored.
//! Used for agreements, mappings and rules alike.
//! Specification: protocol/SPEC.md, "Agreement".

use serde::de::DeserializeOwned;

use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::refusal::Refusal;

/// Parses TOML into `T`, which must deny unknown fields.
pub fn parse<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Refusal> {
    let (found, allowed) = (text.len() as u64, TEXT_FILE_BYTES_MAX);
    if found > allowed {
        return Err(Refusal::Oversize {
            what,
            found,
            allowed,
        });
    }
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| {
            text.bytes()
                .take(span.start)
                .filter(|b| *b == b'\n')
                .count()
                + 1
        });
        let message = error.message();
        let hint = nearest(message).map(|word| format!("; did you mean `{word}`?"));
        let place = if line > 0 {
            format!("line {line}: ")
        } else {
            String::new()
        };
        Refusal::malformed(
            what,
            format!("{place}{message}{}", hint.unwrap_or_default()),
        )
    })
}

/// The expected word nearest to the unknown one in a message of serde
/// (`unknown field `x`, expected one of `a`, `b``).
fn nearest(message: &str) -> Option<String> {
    let known = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let mut words = message.split('`').skip(1).step_by(2);
    let unknown = words.next().filter(|_| known)?;
    nearest_of(unknown, words)
}

/// The candidate most like `word`, if any is like it at all (Jaro–Winkler at least 0.7).
pub fn nearest_of<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only parsed")]
        purpose: String,
    }

    #[test]
    fn a_misspelt_key_names_its_line_and_the_nearest_right_one() {
        let refusal = parse::<Sample>("agreement", "\npurpos = 'x'\n")
            .err()
            .unwrap()
            .to_string();
        assert!(refusal.contains("line 2") && refusal.contains("did you mean `purpose`?"));
    }
}
