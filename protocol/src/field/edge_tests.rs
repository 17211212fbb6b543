//! Field kinds at their edges: the longest, first and last that is taken, and what comes just behind. In: raw cells. Out:
//! passes, or the cell that was judged wrongly.
//! Invariant under test: a value is taken whole or not at all; SPEC.md, "Field kinds".

use super::*;

fn cell(kind: FieldKind, raw: &str) -> Normal {
    kind.normalise(raw, &Gazetteer::default())
}

fn value(kind: FieldKind, raw: &str) -> Option<String> {
    cell(kind, raw).value
}

#[test]
fn dates_are_of_the_calendar_and_of_three_centuries_and_a_half() {
    let date = |raw: &str| value(FieldKind::Date, raw);
    for good in [
        "18500101", "21991231", "20000229", "20160229", "20150228", "20160430", "20160831",
    ] {
        assert_eq!(date(good).as_deref(), Some(good));
    }
    for bad in [
        "18491231", "22000101", "19000229", "21000229", "20150229", "20160431", "20160832",
        "20161301", "20160100",
    ] {
        assert_eq!(date(bad), None, "{bad}");
        assert_eq!(date::parse(bad.as_bytes()), None, "{bad}");
    }
    for filler in ["19000101", "18991231", "18991230", "99991231", "1899-12-31"] {
        assert_eq!(
            cell(FieldKind::Date, filler).quality,
            Quality::Placeholder,
            "{filler}"
        );
    }
    for raw in [
        "20160701 08:00:00",
        "20160701080000",
        "2016-7-1 8:00",
        "2016年7月1日",
    ] {
        assert_eq!(date(raw).as_deref(), Some("20160701"), "{raw}");
    }
    assert!(date::is_plausible_birth(b"20991231") && !date::is_plausible_birth(b"21000101"));
}

/// A date that names no day keeps the parts that are possible.
#[test]
fn a_damaged_date_keeps_what_it_has() {
    for (raw, remnant, year, month) in [
        ("1983-13-40", Some("19831340"), Some("1983"), None),
        ("1964-08-00", Some("196408"), Some("1964"), Some("196408")),
        ("1964-13-00", Some("1964"), Some("1964"), None),
        ("1964-00-00", Some("1964"), Some("1964"), None),
        ("1964-08", Some("196408"), Some("1964"), Some("196408")),
        ("1964-12", Some("196412"), Some("1964"), Some("196412")),
        ("1964-13", None, None, None),
        ("1964", Some("1964"), Some("1964"), None),
        ("1849", None, None, None),
        ("2199", Some("2199"), Some("2199"), None),
        ("2200", None, None, None),
    ] {
        let cell = cell(FieldKind::Date, raw);
        assert_eq!(cell.quality, Quality::Damaged, "{raw}");
        assert_eq!(cell.remnant.as_deref(), remnant, "{raw}");
        let of = |form: Form| form.of(FieldKind::Date, &cell);
        assert_eq!(of(Form::Year).as_deref(), year, "{raw}");
        assert_eq!(of(Form::YearMonth).as_deref(), month, "{raw}");
        assert_eq!(of(Form::MonthDay), None, "{raw}");
    }
}

#[test]
fn a_value_is_looked_at_up_to_its_longest() {
    for letter in ["a", "é", "张"] {
        let longest = letter.repeat(VALUE_CHARS_MAX);
        assert!(value(FieldKind::Text, &longest).is_some());
        let beyond = letter.repeat(VALUE_CHARS_MAX + 1);
        assert_eq!(cell(FieldKind::Text, &beyond).quality, Quality::Damaged);
    }
    assert!(value(FieldKind::CnName, &"张".repeat(30)).is_some());
    assert!(value(FieldKind::CnName, &"张".repeat(31)).is_none());
    for (digits, usable) in [(6, false), (7, true), (15, true), (16, false)] {
        let number = "1234567890123456".get(..digits).unwrap();
        assert_eq!(
            value(FieldKind::Phone, number).is_some(),
            usable,
            "{digits}"
        );
    }
    for (plate, usable) in [
        ("鄂E12", false),
        ("鄂E123", true),
        ("鄂E12345678", true),
        ("鄂E123456789", false),
    ] {
        assert_eq!(value(FieldKind::Plate, plate).is_some(), usable, "{plate}");
    }
}

#[test]
fn names_lose_notes_and_nothing_else() {
    for (raw, name) in [
        ("(张三)", Some("张三")),
        ("张三A", Some("张三")),
        ("Anna 1", Some("ANNA")),
        ("户主张三", None),
        ("张三户主", Some("张三")),
        ("又名", None),
        ("·张三", Some("张三")),
        ("阿依··古丽·", Some("阿依·古丽")),
    ] {
        assert_eq!(value(FieldKind::CnName, raw).as_deref(), name, "{raw}");
    }
    assert_eq!(cell(FieldKind::CnName, "户主*").quality, Quality::Masked);
}

/// GB 18030-2022, annex D.
#[test]
fn characters_of_older_converters_are_read() {
    for (old, new) in [
        ('\u{e81e}', '\u{9fb4}'),
        ('\u{e826}', '\u{9fb5}'),
        ('\u{e82b}', '\u{9fb6}'),
        ('\u{e82c}', '\u{9fb7}'),
        ('\u{e832}', '\u{9fb8}'),
        ('\u{e843}', '\u{9fb9}'),
        ('\u{e854}', '\u{9fba}'),
        ('\u{e863}', '\u{4dae}'),
        ('\u{e864}', '\u{9fbb}'),
        ('\u{e865}', '\u{e865}'),
    ] {
        assert_eq!(folding::from_gb18030_private_use(old), new);
    }
}

/// A Han character among Latin letters counts however it was encoded, so that a normal form is its own.
#[test]
fn a_character_of_older_converters_among_letters_is_han() {
    for raw in ["van\u{e863}", "van\u{4dae}"] {
        assert_eq!(cell(FieldKind::CnName, raw).quality, Quality::Damaged);
    }
    for raw in ["van\u{e863}\u{e864}", "van\u{4dae}\u{9fbb}"] {
        assert_eq!(
            value(FieldKind::CnName, raw).as_deref(),
            Some("\u{4dae}\u{9fbb}")
        );
    }
}

/// Of I and O only those behind the office letter are digits.
#[test]
fn the_office_letter_of_a_plate_stays() {
    for (raw, plate) in [
        ("鄂O·12I4O", "鄂O12140"),
        ("鄂I12345", "鄂I12345"),
        ("OI234O", "O12340"),
    ] {
        assert_eq!(value(FieldKind::Plate, raw).as_deref(), Some(plate));
    }
}

#[test]
fn codes_and_numbers_keep_remnants_of_their_length() {
    let code = "91350100M000100Y43";
    assert_eq!(
        value(FieldKind::Uscc, "91350100-M000100Y43").as_deref(),
        Some(code)
    );
    let remnant = |kind: FieldKind, raw: &str| cell(kind, raw).remnant;
    assert_eq!(
        remnant(FieldKind::Uscc, "420525000012345").as_deref(),
        Some("420525000012345")
    );
    assert_eq!(remnant(FieldKind::Uscc, "42052500001234"), None);
    assert_eq!(remnant(FieldKind::Uscc, "4205250000123456"), None);
    for hidden in ["4227251964081500*4", "422725#", "42272519640815001*0"] {
        assert_eq!(
            cell(FieldKind::CnResidentId, hidden).quality,
            Quality::Masked,
            "{hidden}"
        );
    }
    let id = value(FieldKind::CnResidentId, "422725(19640815):0014");
    assert_eq!(id.as_deref(), Some("422725196408150014"));
    for (len, kept) in [(13, false), (14, true), (17, true), (18, true), (19, false)] {
        let digits = "4227251964081500159".get(..len).unwrap();
        assert_eq!(
            remnant(FieldKind::CnResidentId, digits).is_some(),
            kept,
            "{len}"
        );
    }
    assert_eq!(
        cell(FieldKind::CnResidentId, "111111").quality,
        Quality::Placeholder
    );
    assert_eq!(
        cell(FieldKind::CnResidentId, "11111").quality,
        Quality::Damaged
    );
}

/// The longest name wins; of two as long, the one code that both have, or none.
#[test]
fn places_are_found_by_their_longest_name_or_not_at_all() {
    let places = Gazetteer::parse(
        "# code,name\n420525,远安县\n420525100,鸣凤镇,凤鸣镇\n420525101,新鸣凤镇\n420525102,嫘祖镇\n\
         420525100201,双路村\n420525102201,双路村\n420525102202,大双路村\n",
    )
    .unwrap();
    for (raw, code) in [
        ("新鸣凤镇", Some("420525101")),
        ("鸣凤镇凤鸣镇", Some("420525100")),
        ("鸣凤镇嫘祖镇", None),
        ("双路村", None),
        ("鸣凤镇双路村", Some("420525100201")),
        ("嫘祖镇双路村", Some("420525102201")),
        ("大双路村", Some("420525102202")),
        ("420525100000", Some("420525100")),
        ("420525000000", Some("420525")),
        ("420525100201", Some("420525100201")),
        ("42052510020", None),
    ] {
        let found = FieldKind::CnDivision.normalise(raw, &places).value;
        assert_eq!(found.as_deref(), code, "{raw}");
    }
    for bad in ["42052x,name", "42052,name", "4205251002011,name", "x,name"] {
        assert!(Gazetteer::parse(bad).is_err(), "{bad}");
    }
    assert!(Gazetteer::parse("\u{feff}code,name\n\n420525,a,,b\n").is_ok());
}
