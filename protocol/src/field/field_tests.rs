//! Field kinds: one test per error pattern of real registers. In: raw cells. Out: quality and value.
//! Invariant under test: repairs have one outcome, guesses are never made.
//! The golden vectors of all kinds stand in protocol/vectors/field-kinds.json.

use super::*;

fn places() -> Gazetteer {
    Gazetteer::parse(
        "code,name,former\n420525,远安县\n420525100,鸣凤镇\n420525102,嫘祖镇,荷花镇\n\
         420525100201,双路村民委员会\n420525100202,九子村民委员会,白云村\n420525102201,盐池村民委员会\n",
    )
    .unwrap()
}

fn check(kind: FieldKind, raw: &str, quality: Quality, value: Option<&str>) {
    let cell = kind.normalise(raw, &places());
    assert!(
        cell.quality == quality && cell.value.as_deref() == value,
        "{kind:?} {raw:?}: {:?} {:?}",
        cell.quality,
        cell.value
    );
}

#[test]
fn resident_ids_and_their_error_patterns() {
    use Quality::*;
    let id = "422725196408150014";
    for (raw, quality, value) in [
        (id, Valid, Some(id)),
        ("420525200101011235", Valid, Some("420525200101011235")),
        (" 422725196408150014\t", Valid, Some(id)),
        ("'422725196408150014", Repaired, Some(id)),
        ("４２２７２５１９６４０８１５００１４", Repaired, Some(id)),
        ("422725 19640815 0014", Repaired, Some(id)),
        ("422725\u{a0}196408150014", Repaired, Some(id)),
        ("422725640815001", Repaired, Some(id)),
        ("422725640815999", Repaired, Some("422725186408159992")),
        ("11010519491231002X", Valid, Some("11010519491231002X")),
        ("11010519491231002x", Repaired, Some("11010519491231002X")),
        ("11010519491231002Ｘ", Repaired, Some("11010519491231002X")),
        ("11010519491231002Х", Repaired, Some("11010519491231002X")),
        ("11010519491231002×", Repaired, Some("11010519491231002X")),
        ("11010519491231002*", Repaired, Some("11010519491231002X")),
        ("422725196408150000", Damaged, None),
        ("422725196408150015", Damaged, None),
        ("422725196408510014", Damaged, None),
        ("4.22725E+17", Damaged, None),
        ("4227**********0014", Masked, None),
        ("000000000000000000", Placeholder, None),
        ("111111111111111111", Placeholder, None),
        ("无", Absent, None),
        ("", Absent, None),
        ("-", Absent, None),
        ("军字第0012345号", Damaged, None),
    ] {
        check(FieldKind::CnResidentId, raw, quality, value);
    }
}

/// ISO 7064 MOD 11-2 finds every single substitution and every adjacent transposition.
#[test]
fn one_typing_error_never_stays_valid() {
    let id = b"422725196408150014";
    for at in 0..17 {
        for digit in b'0'..=b'9' {
            let mut typed = *id;
            typed[at] = digit;
            if typed != *id {
                assert!(
                    resident_id::normalise(std::str::from_utf8(&typed).unwrap())
                        .value
                        .is_none()
                );
            }
        }
        let mut typed = *id;
        typed.swap(at, at + 1);
        if typed != *id {
            assert!(
                resident_id::normalise(std::str::from_utf8(&typed).unwrap())
                    .value
                    .is_none()
            );
        }
    }
}

#[test]
fn parts_of_an_id_survive_damage_elsewhere() {
    let cell = FieldKind::CnResidentId.normalise("422725196408150000", &places());
    assert_eq!(
        Form::Birth.of(FieldKind::CnResidentId, &cell).as_deref(),
        Some("19640815")
    );
    assert_eq!(Form::Sex.of(FieldKind::CnResidentId, &cell), None);
    assert_eq!(Form::Sequence.of(FieldKind::CnResidentId, &cell), None);
    let cell = FieldKind::CnResidentId.normalise("422725196408150014", &places());
    assert_eq!(
        Form::Sex.of(FieldKind::CnResidentId, &cell).as_deref(),
        Some("1")
    );
    assert_eq!(
        Form::Sequence.of(FieldKind::CnResidentId, &cell).as_deref(),
        Some("001")
    );
    assert_eq!(
        Form::Body.of(FieldKind::CnResidentId, &cell).as_deref(),
        Some("19640815001")
    );
}

#[test]
fn han_names_and_their_error_patterns() {
    use Quality::*;
    for (raw, quality, value) in [
        ("张伟", Valid, Some("张伟")),
        ("张 伟", Repaired, Some("张伟")),
        ("张　伟", Repaired, Some("张伟")),
        ("萧楚女", Repaired, Some("肖楚女")),
        ("傅强", Repaired, Some("付强")),
        ("葉問", Repaired, Some("叶问")),
        ("张三(又名张山)", Repaired, Some("张三")),
        ("张三（已故）", Repaired, Some("张三")),
        ("张三又名张山", Repaired, Some("张三")),
        ("张三 户主代领", Repaired, Some("张三")),
        ("张三1", Repaired, Some("张三")),
        ("张三先生", Repaired, Some("张三")),
        ("王某", Damaged, None),
        ("王某某", Damaged, None),
        ("李四之妻", Damaged, None),
        ("王氏", Damaged, None),
        ("张?", Damaged, None),
        ("张*", Masked, None),
        ("张\u{e5f1}", Damaged, None),
        ("张\u{e863}", Repaired, Some("张\u{4dae}")),
        ("阿依古丽·买买提", Valid, Some("阿依古丽·买买提")),
        ("阿依古丽•买买提", Repaired, Some("阿依古丽·买买提")),
        ("阿依古丽.买买提", Repaired, Some("阿依古丽·买买提")),
        ("张\u{20bb7}", Valid, Some("张\u{20bb7}")),
        ("张喆", Valid, Some("张喆")),
        ("无", Absent, None),
    ] {
        check(FieldKind::CnName, raw, quality, value);
    }
}

#[test]
fn surnames_are_split_and_read_as_surnames() {
    for (raw, surname, pinyin) in [
        ("张伟", "张", "zhang wei"),
        ("单雄信", "单", "shan xiong xin"),
        ("仇英", "仇", "qiu ying"),
        ("区大为", "区", "ou da wei"),
        ("欧阳修", "欧阳", "ou yang xiu"),
        ("欧阳", "欧", "ou yang"),
    ] {
        let cell = FieldKind::CnName.normalise(raw, &places());
        assert_eq!(
            Form::Surname.of(FieldKind::CnName, &cell).as_deref(),
            Some(surname)
        );
        assert_eq!(
            Form::Pinyin.of(FieldKind::CnName, &cell).as_deref(),
            Some(pinyin)
        );
    }
}

#[test]
fn dates_phones_sexes_places_and_codes() {
    use Quality::*;
    for (kind, raw, quality, value) in [
        (FieldKind::Date, "19640815", Valid, Some("19640815")),
        (FieldKind::Date, "1964-08-15", Repaired, Some("19640815")),
        (
            FieldKind::Date,
            "1964/8/5 0:00:00",
            Repaired,
            Some("19640805"),
        ),
        (FieldKind::Date, "1964年8月5日", Repaired, Some("19640805")),
        (FieldKind::Date, "1964.8.5", Repaired, Some("19640805")),
        (FieldKind::Date, "1964-02-30", Damaged, None),
        (FieldKind::Date, "1900-01-01", Placeholder, None),
        (FieldKind::Date, "1964", Damaged, None),
        (FieldKind::Date, "15/8/1964", Damaged, None),
        (FieldKind::Sex, "男", Repaired, Some("1")),
        (FieldKind::Sex, "F", Repaired, Some("2")),
        (FieldKind::Sex, "9", Absent, None),
        (FieldKind::Sex, "?!x", Damaged, None),
        (
            FieldKind::Phone,
            "+86 138-0717-1234",
            Repaired,
            Some("13807171234"),
        ),
        (FieldKind::Phone, "13807171234", Valid, Some("13807171234")),
        (
            FieldKind::Phone,
            "0086 86 13807171234",
            Repaired,
            Some("13807171234"),
        ),
        (FieldKind::Phone, "00000000000", Placeholder, None),
        (FieldKind::Phone, "138****1234", Masked, None),
        (FieldKind::Phone, "123", Damaged, None),
        (
            FieldKind::CnDivision,
            "420525100201",
            Valid,
            Some("420525100201"),
        ),
        (
            FieldKind::CnDivision,
            "湖北省远安县鸣凤镇双路村3组",
            Repaired,
            Some("420525100201"),
        ),
        (
            FieldKind::CnDivision,
            "荷花镇盐池村",
            Repaired,
            Some("420525102201"),
        ),
        (
            FieldKind::CnDivision,
            "鸣凤镇白云村",
            Repaired,
            Some("420525100202"),
        ),
        (
            FieldKind::CnDivision,
            "九子村",
            Repaired,
            Some("420525100202"),
        ),
        (FieldKind::CnDivision, "鸣凤镇", Repaired, Some("420525100")),
        (FieldKind::CnDivision, "某地", Damaged, None),
        (FieldKind::Plate, "鄂E·1O3I5", Repaired, Some("鄂E10315")),
        (
            FieldKind::Uscc,
            "91350100M000100Y43",
            Valid,
            Some("91350100M000100Y43"),
        ),
        (FieldKind::Uscc, "91350100M000100Y44", Damaged, None),
        (FieldKind::Integer, "1,234.00", Repaired, Some("1234")),
        (FieldKind::Integer, "1.5", Damaged, None),
        (
            FieldKind::PersonName,
            "Dr. Zoë O'Brien-Müller",
            Repaired,
            Some("zoe obrien muller"),
        ),
        (
            FieldKind::Text,
            "  12, High St. ",
            Repaired,
            Some("12 high st"),
        ),
        (FieldKind::Exact, "aB", Valid, Some("aB")),
    ] {
        check(kind, raw, quality, value);
    }
}

/// Every single substitution and exchange of neighbours fails the check and is among the variants of the number
/// it came from; what a register has of it is the text as it stands.
#[test]
fn one_slip_of_an_identity_number_is_found_from_both_sides() {
    let kind = FieldKind::CnResidentId;
    for valid in [
        "422725196408150014",
        "11010519491231002X",
        "420525200101011233",
    ] {
        let roll = kind.normalise(valid, &places());
        if roll.value.is_none() {
            continue;
        }
        let variants = Form::OneError.all_of_roll(kind, &roll);
        assert!(
            Form::OneError.of(kind, &roll).is_none(),
            "a right number is not damaged"
        );
        assert!((170..=resident_id::ONE_ERROR_MAX).contains(&variants.len()));
        let distinct: std::collections::BTreeSet<&String> = variants.iter().collect();
        assert_eq!(distinct.len(), variants.len());
        let bytes = valid.as_bytes();
        for at in 0..18 {
            for digit in b'0'..=b'9' {
                let mut slip = bytes.to_vec();
                slip[at] = digit;
                if slip == bytes {
                    continue;
                }
                let slip = String::from_utf8(slip).unwrap();
                let cell = kind.normalise(&slip, &places());
                let held = Form::OneError.of(kind, &cell);
                assert_eq!(held.as_ref(), Some(&slip), "the check notices");
                assert!(distinct.contains(&slip));
                assert!(Form::OneError.all_of_roll(kind, &cell).is_empty());
            }
        }
        for at in 0..17 {
            let mut slip = bytes.to_vec();
            slip.swap(at, at + 1);
            let slip = String::from_utf8(slip).unwrap();
            assert!(slip == valid || distinct.contains(&slip));
        }
    }
}

/// Soundex examples of the US National Archives.
#[test]
fn soundex_follows_the_national_archives() {
    for (name, code) in [
        ("robert", "R163"),
        ("rupert", "R163"),
        ("ashcraft", "A261"),
        ("tymczak", "T522"),
        ("pfister", "P236"),
        ("honeyman", "H555"),
    ] {
        let cell = FieldKind::PersonName.normalise(name, &places());
        assert_eq!(
            Form::Soundex.of(FieldKind::PersonName, &cell).as_deref(),
            Some(code)
        );
    }
}
