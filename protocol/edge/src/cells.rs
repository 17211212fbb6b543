//! Cells of the lists that people open in a spreadsheet program. In: text that somebody else wrote: a name, a village, a remark. Out: the
//! same text as such a program shows it.
//! Invariant: no cell is taken for a formula, whoever wrote it; what programs read back does not come through here.
//! Source: OWASP, "CSV Injection" (the first characters that make a formula).

/// What begins a formula; the wide signs do so in East Asian settings of Excel.
const SIGNS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Marks a cell as text that a spreadsheet program would take for a formula.
pub fn harmless(cell: impl AsRef<str>) -> String {
    let cell = cell.as_ref();
    let first = cell.trim_start_matches([' ', '\u{3000}']);
    if first.starts_with(SIGNS) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn formulas_are_text_and_the_rest_is_as_it_was() {
        for formula in [
            "=1+1", "+86", "-3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠A",
            " =1", "　=1",
        ] {
            assert_eq!(harmless(formula), format!("'{formula}"));
        }
        for text in ["", "鸣凤镇", "a=b", "2016-07-01", " x"] {
            assert_eq!(harmless(text), text);
        }
    }
}
