//! Malformed inputs: envelopes with each part broken in turn, agreements, mappings, text files, workbooks,
//! key files. In: a good one of each. Out: passes, or the breakage that was not refused.
//! Invariant under test: refused with its own exit code, nothing written.

use std::fs;
use std::path::Path;

use hedui_tests::county_run::files_below;
use hedui_tests::run::Site;

use super::{assert_refused, sealed, site};

/// Everything that a refused command must leave as it was.
fn tree(site: &Site, party: &str) -> Vec<(String, u64)> {
    let size = |path: &Path| fs::metadata(path).map_or(0, |m| m.len());
    files_below(&site.home(party))
        .iter()
        .filter(|path| {
            let path = path.to_string_lossy();
            !path.contains("ledger.sqlite") && !path.ends_with("/lock")
        })
        .map(|path| (path.to_string_lossy().into_owned(), size(path)))
        .collect()
}

#[test]
fn envelopes_with_each_part_broken_are_refused_with_their_own_code() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site(folder.path());
    site.must(
        "hedui-agent",
        "office",
        &["submit", "roll.csv", "--dataset", "roll"],
        &[0],
    );
    let good_path = sealed(&site, "submission").remove(0);
    let good = fs::read(&good_path).expect("submission");
    let head = good
        .windows(5)
        .position(|w| w == b"\n---\n")
        .expect("header")
        + 5;
    let text = String::from_utf8(good[..head].to_vec()).expect("ASCII");
    let mut cases: Vec<(String, Vec<u8>, Vec<i32>)> = Vec::new();
    let mut case =
        |name: String, bytes: Vec<u8>, codes: &[i32]| cases.push((name, bytes, codes.to_vec()));
    // Every line of the header: removed, doubled, emptied, with another value.
    for (at, line) in text.lines().enumerate() {
        let with =
            |lines: Vec<String>| [(lines.join("\n") + "\n").as_bytes(), &good[head..]].concat();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut copy = lines.clone();
        copy.remove(at);
        case(format!("line {at} removed"), with(copy), &[10]);
        let mut copy = lines.clone();
        copy.insert(at, line.to_owned());
        // The closing line doubled leaves a good header and four bytes too many.
        case(
            format!("line {at} doubled"),
            with(copy),
            if line == "---" { &[12] } else { &[10] },
        );
        let word = line.split(' ').next().unwrap_or_default();
        for other in ["", " ", "x", "-1", "00", "é", "99999999999999999999999"] {
            let mut copy = lines.clone();
            copy[at] = format!("{word} {other}");
            case(format!("line {at} = {word} {other:?}"), with(copy), &[10]);
        }
    }
    let replace =
        |from: &str, to: &str| [text.replacen(from, to, 1).as_bytes(), &good[head..]].concat();
    let value = |name: &str| {
        text.lines()
            .find_map(|l| l.strip_prefix(name))
            .expect("line")
            .trim()
            .to_owned()
    };
    case(
        "agreement".into(),
        replace(&value("agreement"), &"ab".repeat(32)),
        &[15],
    );
    case("epoch".into(), replace("epoch 1\n", "epoch 2\n"), &[16]);
    case(
        "type result".into(),
        replace("hedui/1 submission", "hedui/1 result"),
        &[22],
    );
    case(
        "sender".into(),
        replace("from office", "from nobody"),
        &[13],
    );
    case(
        "sender's key".into(),
        replace(&value("from office"), "0123456789abcdef"),
        &[13],
    );
    case("recipient".into(), replace("to centre", "to police"), &[14]);
    case(
        "recipient's key".into(),
        replace(&value("to centre"), "0123456789abcdef"),
        &[14],
    );
    case(
        "body longer".into(),
        replace(&format!("body {}", value("body")), "body 99999999"),
        &[11],
    );
    case(
        "body shorter".into(),
        replace(&format!("body {}", value("body")), "body 5"),
        &[12],
    );
    case(
        "body beyond the limit".into(),
        replace(&format!("body {}", value("body")), "body 9999999999999"),
        &[12],
    );
    case(
        "number changed".into(),
        replace("seq 1\n", "seq 2\n"),
        &[20],
    );
    case(
        "time changed".into(),
        replace("created 2026", "created 2027"),
        &[20],
    );
    case(
        "request changed".into(),
        replace(&value("request"), &"ab".repeat(16)),
        &[20],
    );
    for cut in [
        0,
        1,
        50,
        head - 1,
        head,
        head + 16,
        head + 100,
        good.len() / 2,
        good.len() - 64,
        good.len() - 1,
    ] {
        case(format!("cut at {cut}"), good[..cut].to_vec(), &[10, 11]);
    }
    for at in [
        head,
        head + 31,
        head + 32,
        head + 1000,
        good.len() / 2,
        good.len() - 65,
        good.len() - 64,
        good.len() - 1,
    ] {
        let mut copy = good.clone();
        copy[at] ^= 1;
        case(format!("bit at {at}"), copy, &[20]);
    }
    for extra in [1, 64, 65_552] {
        case(
            format!("{extra} bytes more"),
            [&good[..], &vec![0; extra]].concat(),
            &[12],
        );
    }
    case(
        "not an envelope".into(),
        b"PK\x03\x04nothing".to_vec(),
        &[10],
    );
    let count = cases.len();
    assert!(count >= 150, "{count} cases");
    // Opening the matcher's key takes a moment, so the state is compared once at the end.
    let before = tree(&site, "centre");
    for (name, bytes, codes) in cases {
        let path = site.root.join("broken.hedui");
        fs::write(&path, bytes).expect("written");
        let done = site.run("hedui-matcher", "centre", &["intake", "broken.hedui"]);
        assert_refused(&done, &codes, &name);
    }
    let after = tree(&site, "centre");
    assert_eq!(before, after, "a refused file left something behind");
    // The good one is still accepted, the second time it is a duplicate, by whatever name.
    let good_name = good_path.to_string_lossy().into_owned();
    site.must("hedui-matcher", "centre", &["intake", &good_name], &[0]);
    let done = site.run("hedui-matcher", "centre", &["intake", &good_name]);
    assert_refused(&done, &[19], "duplicate");
}

#[test]
fn replays_and_old_numbers_are_told_apart() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site(folder.path());
    let submit = ["submit", "roll.csv", "--dataset", "roll"];
    site.must("hedui-agent", "office", &submit, &[0]);
    let first = sealed(&site, "submission").remove(0);
    fs::write(
        site.root.join("roll.csv"),
        super::ROLL.replace("13907171235", "13907171299"),
    )
    .expect("roll");
    site.must("hedui-agent", "office", &submit, &[0]);
    let second = sealed(&site, "submission")
        .into_iter()
        .find(|path| *path != first)
        .expect("second");
    let take = |path: &Path| {
        site.run(
            "hedui-matcher",
            "centre",
            &["intake", &path.to_string_lossy()],
        )
    };
    assert_eq!(take(&second).code, 0);
    assert_refused(&take(&first), &[17], "an older number");
    assert_refused(&take(&second), &[19], "the same file");
    // Going back to the first content is a new message, and other datasets may arrive out of order.
    fs::write(site.root.join("roll.csv"), super::ROLL).expect("roll");
    site.must("hedui-agent", "office", &submit, &[0]);
    let all = sealed(&site, "submission");
    assert_eq!(all.len(), 3);
    let third = all
        .into_iter()
        .find(|path| *path != first && *path != second)
        .expect("third");
    assert_eq!(take(&third).code, 0);
}

#[test]
fn agreements_with_each_line_broken_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site(folder.path());
    let good = fs::read_to_string(site.agreement()).expect("agreement");
    let signatures = fs::read_to_string(site.root.join("agreement.sig")).expect("signatures");
    let mut count = 0;
    let mut refused = |text: &str, signatures: &str, codes: &[i32], what: &str| {
        fs::write(site.agreement(), text).expect("written");
        fs::write(site.root.join("agreement.sig"), signatures).expect("written");
        assert_refused(
            &site.run("hedui-agent", "office", &["agreement", "check"]),
            codes,
            what,
        );
        count += 1;
    };
    for (at, line) in good
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains(" = "))
    {
        let with = |other: &str| {
            let lines: Vec<&str> = good
                .lines()
                .enumerate()
                .map(|(i, l)| if i == at { other } else { l })
                .collect();
            lines.join("\n")
        };
        let (key, value) = line.split_once(" = ").expect("key");
        refused(
            &with(&format!("{key}q = {value}")),
            &signatures,
            &[10],
            &format!("misspelt {key}"),
        );
        refused(
            &with(&format!("{key} = ")),
            &signatures,
            &[10],
            &format!("{key} without value"),
        );
    }
    for (what, from, to) in [
        ("purpose", "purpose = \"test\"", "purpose = \"other\""),
        ("rows", "rows_max = 10000000", "rows_max = 10000001"),
        ("cap", "multiplicity_cap = 5", "multiplicity_cap = 6"),
    ] {
        refused(&good.replacen(from, to, 1), &signatures, &[23], what);
    }
    refused(&good, "", &[23], "no signature");
    refused(
        &good,
        &signatures.replacen('a', "b", 3),
        &[23],
        "changed signatures",
    );
    let one: String = signatures
        .lines()
        .take(2)
        .map(|l| format!("{l}\n"))
        .collect();
    refused(&good, &one, &[23], "one signature missing");
    assert!(count >= 100, "{count} agreements");
    fs::write(site.agreement(), &good).expect("written");
    fs::write(site.root.join("agreement.sig"), &signatures).expect("written");
    site.must("hedui-agent", "office", &["agreement", "check"], &[0]);
    let mut late = Site::new(folder.path(), &site.bins, "2030-01-01");
    assert_refused(
        &late.run("hedui-agent", "office", &["agreement", "check"]),
        &[23],
        "expired",
    );
    late.today = "2020-01-01".to_owned();
    assert_refused(
        &late.run("hedui-agent", "office", &["agreement", "check"]),
        &[23],
        "too early",
    );
}

#[test]
fn mappings_and_data_files_of_every_broken_kind_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site(folder.path());
    let path = |name: &str| site.root.join(name);
    let mapping = "version = 1\ndataset = 'police'\n[source]\nfile = 'register.csv'\n\
        [field.id]\ncolumns = ['身份证号']\n[field.name]\ncolumns = ['姓名']\n";
    let check = |text: &str| {
        fs::write(path("m.map.toml"), text).expect("written");
        site.run("hedui-agent", "police", &["check", "m.map.toml"])
    };
    assert_eq!(check(mapping).code, 0);
    for (from, to, codes) in [
        ("version = 1", "version = 2", &[10][..]),
        ("version = 1", "verson = 1", &[10]),
        ("'police'", "'polce'", &[10]),
        ("[field.id]", "[feild.id]", &[10]),
        ("[field.id]", "[field.idd]", &[10]),
        ("'身份证号'", "'身份证'", &[10]),
        ("columns = ['姓名']", "columns = []", &[10]),
        ("columns = ['姓名']", "column = ['姓名']", &[10]),
        ("file = 'register.csv'", "file = 'missing.csv'", &[2]),
        (
            "file = 'register.csv'",
            "file = 'register.csv'\nencoding = 'utf-9'",
            &[2],
        ),
        (
            "file = 'register.csv'",
            "file = 'register.csv'\ndelimiter = ',,'",
            &[2],
        ),
        (
            "file = 'register.csv'",
            "file = 'register.csv'\nformat = 'excell'",
            &[10],
        ),
        (
            "file = 'register.csv'",
            "file = 'register.csv'\nformat = 'parquet'",
            &[2],
        ),
        (
            "file = 'register.csv'",
            "file = 'register.csv'\nformat = 'excel'",
            &[2],
        ),
        (
            "file = 'register.csv'",
            "file = 'register.csv'\nheader_row = 99",
            &[2],
        ),
        (
            "[field.id]",
            "[fact.x]\ncolumns = ['姓名']\n[field.id]",
            &[10],
        ),
        (
            "[field.id]",
            "[local.x]\ncolumns = ['姓名']\n[field.id]",
            &[10],
        ),
        (
            "[field.id]",
            "[[skip]]\ncolumn = 'x'\nvalues = []\n[field.id]",
            &[10],
        ),
        (
            "columns = ['姓名']",
            "columns = ['姓名']\ndate = 'ydm'",
            &[10],
        ),
        (
            "columns = ['姓名']",
            "columns = ['姓名']\ndate = 'ym'",
            &[10],
        ),
        (
            "dataset = 'police'",
            "dataset = 'police'\nas_of = '2016-13-01'",
            &[10],
        ),
    ] {
        assert_refused(
            &check(&mapping.replacen(from, to, 1)),
            codes,
            &format!("{from} -> {to}"),
        );
    }
    let file = |name: &str, bytes: &[u8]| {
        fs::write(path(name), bytes).expect("written");
        check(&mapping.replace("register.csv", name))
    };
    let good = super::REGISTER.as_bytes();
    for (what, name, bytes) in [
        ("empty", "a.csv", &b""[..]),
        ("header only", "a.csv", "姓名,身份证号\n".as_bytes()),
        (
            "duplicate column",
            "a.csv",
            "姓名,姓名,身份证号\na,b,c\n".as_bytes(),
        ),
        (
            "neither UTF-8 nor GB 18030",
            "a.csv",
            b"\xff\x00\xff\x01,\xfe\n\x80\xff,\xff\n",
        ),
        ("zero bytes", "a.csv", "姓名\0,身份证号\n1\0,2\n".as_bytes()),
        ("workbook named csv", "a.csv", b"PK\x03\x04\x14\0"),
        (
            "ambiguous delimiter",
            "a.csv",
            "姓名,身份证号;x\n1,2;3\n".as_bytes(),
        ),
        ("text named xlsx", "a.xlsx", good),
        ("text named parquet", "a.parquet", good),
        ("unknown ending", "a.dbf", good),
        (
            "zip that is no workbook",
            "a.xlsx",
            b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ),
        ("parquet magic only", "a.parquet", b"PAR1\0\0\0\0PAR1"),
    ] {
        assert_refused(&file(name, bytes), &[2, 10], what);
    }
    fs::write(path("m.map.toml"), mapping).expect("written");
    for (dataset, code) in [("polce", 64), ("roll", 2), ("police", 0)] {
        let done = site.run(
            "hedui-agent",
            "police",
            &["check", "m.map.toml", "--dataset", dataset],
        );
        assert_eq!(done.code, code, "--dataset {dataset}: {}", done.stderr);
    }
    // Ragged rows are left out, counted and make exit code 1.
    let done = file(
        "a.csv",
        "姓名;身份证号\n张伟;422725196408150014;x\n王芳;11010519491231002X\n".as_bytes(),
    );
    assert_refused(&done, &[1], "ragged row");
    workbooks(&site, &check, mapping);
}

/// A good workbook cut and flipped at many places: refused or read, never a panic.
fn workbooks(site: &Site, check: &dyn Fn(&str) -> hedui_tests::run::Done, mapping: &str) {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for (row, cells) in [("姓名", "身份证号"), ("张伟", "422725196408150014")]
        .iter()
        .enumerate()
    {
        let row = u32::try_from(row).expect("small");
        sheet.write_string(row, 0, cells.0).expect("cell");
        sheet.write_string(row, 1, cells.1).expect("cell");
    }
    let good = book.save_to_buffer().expect("workbook");
    let text = mapping.replace("register.csv", "w.xlsx");
    let run = |bytes: &[u8]| {
        fs::write(site.root.join("w.xlsx"), bytes).expect("written");
        check(&text)
    };
    assert_eq!(run(&good).code, 0);
    for part in 1..20 {
        let done = run(&good[..good.len() * part / 20]);
        assert_refused(&done, &[2], &format!("workbook cut at {part}/20"));
    }
    for part in 0..40 {
        let mut copy = good.clone();
        let at = copy.len() * part / 40;
        copy[at] ^= 0xff;
        let done = run(&copy);
        assert!(
            [0, 2, 10].contains(&done.code),
            "flipped at {at}: exit {}\n{}",
            done.code,
            done.stderr
        );
        assert!(
            !done.stderr.contains("internal error"),
            "flipped at {at}: panic"
        );
    }
}

#[test]
fn keys_passphrases_and_folders_are_checked() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site(folder.path());
    fs::write(site.root.join("wrong"), "not the passphrase\n").expect("written");
    let home = site.home("police").to_string_lossy().into_owned();
    let run =
        |args: &[&str]| hedui_tests::run::run(&site.bins.join("hedui-agent"), args, &site.root);
    let sign = [
        "agreement",
        "sign",
        "--home",
        &home,
        "--agreement",
        "agreement.toml",
    ];
    let with = |more: &[&'static str]| run(&[&sign[..], more].concat());
    assert_refused(
        &with(&["--passphrase-file", "wrong"]),
        &[24],
        "wrong passphrase",
    );
    assert_refused(
        &with(&["--passphrase-file", "missing"]),
        &[2],
        "no passphrase file",
    );
    assert_refused(&with(&[]), &[64], "no terminal");
    assert_refused(
        &with(&["--passphrase", "secret"]),
        &[64],
        "a passphrase on the command line",
    );
    assert_refused(
        &site.run("hedui-keys", "police", &["new", "police"]),
        &[2],
        "key file exists",
    );
    assert_refused(
        &site.run("hedui-keys", "x", &["new", "Ünlaut"]),
        &[64],
        "bad name",
    );
    fs::write(&site.passphrase, "short\n").expect("written");
    assert_refused(
        &site.run("hedui-keys", "y", &["new", "y"]),
        &[2],
        "weak passphrase",
    );
    assert!(
        !site.home("y").exists(),
        "nothing is written for a weak passphrase"
    );
    fs::write(&site.passphrase, "correct horse battery staple\n").expect("written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let key = site.home("police").join("identity.key");
        assert_eq!(
            fs::metadata(&key).expect("key").permissions().mode() & 0o777,
            0o600
        );
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("mode");
        assert_refused(
            &site.run("hedui-agent", "police", &["agreement", "sign"]),
            &[2],
            "readable key",
        );
    }
    assert_refused(
        &site.run("hedui-matcher", "office", &["run"]),
        &[2],
        "not the matcher",
    );
    assert_refused(
        &site.run("hedui-matcher", "centre", &["run"]),
        &[75],
        "nothing submitted",
    );
    assert_refused(
        &site.run("hedui-agent", "office", &["results"]),
        &[75],
        "no result yet",
    );
}
