//! The shape of a Han character. In: a character. Out: its components as letters of the Cangjie code.
//! Invariant: the table is frozen; characters that look alike have codes that share letters.
//! Table: protocol/tables/shapes.tsv (derive_shapes.py, Unicode's Unihan kCangjie, UAX #38). SPEC.md, "Filters".

use std::sync::OnceLock;

/// Codes of one run of characters.
struct Run {
    first: u32,
    codes: Vec<&'static str>,
}

/// The code of a character: 1 to 5 capital letters; `None` where the table has none.
pub fn of(c: char) -> Option<&'static str> {
    static TABLE: OnceLock<Vec<Run>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let lines = include_str!("../../tables/shapes.tsv").lines();
        let runs = lines.filter(|line| !line.starts_with('#'));
        let run = |line: &'static str| {
            let (first, codes) = line.split_once('\t')?;
            Some(Run {
                first: u32::from(first.chars().next()?),
                codes: codes.split(' ').collect(),
            })
        };
        runs.filter_map(run).collect()
    });
    let point = u32::from(c);
    let code = table.iter().find_map(|run| {
        let at = usize::try_from(point.checked_sub(run.first)?).ok()?;
        run.codes.get(at).copied()
    });
    code.filter(|code| *code != "-")
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn codes_of_known_characters() {
        assert_eq!(of('一'), Some("M"));
        assert_eq!(of('明'), Some("AB"));
        assert_eq!(of('丁'), Some("MN"));
        assert_eq!(of('a'), None);
        assert_eq!(of('\u{20bb7}'), None);
    }

    /// Every character of everyday names has a code, in both blocks.
    #[test]
    fn the_table_is_whole() {
        let known = (0x4e00..0x9fa6).filter(|point| {
            let c = char::from_u32(*point);
            c.and_then(of).is_some_and(|code| {
                (1..=5).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_uppercase())
            })
        });
        assert!(known.count() > 20_000);
        assert!(of('\u{3400}').is_some());
    }
}
