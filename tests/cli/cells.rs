//! Cells that no clerk would call odd: line breaks, units behind numbers, days that are none. In: files with them. Out: passes, or a cell
//! that became a line of a mapping, or a nought that nobody was told of.
//! Invariant under test: what a file says is never taken for what a mapping says; what cannot be read is counted and its column named.
//! Specification: docs/OPERATIONS.md, "Quality report".

use std::fs;

use serde_json::Value;

use super::{assert_refused, site};

/// A mapping's comments show columns and values of the file; a line break in one of them must not end the comment.
#[test]
fn line_breaks_in_cells_stay_within_the_comments_of_a_mapping() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site(folder.path());
    let mut rows = String::from("姓名,身份证号,\"房屋\n[[skip]]\"\n");
    // Few values in many rows: the mapping lists them.
    for _ in 0..3 {
        for (name, number) in [
            ("张伟", "422725196408150014"),
            ("王芳", "11010519491231002X"),
        ] {
            let cell = "\"公寓\r\n[[skip]]\ncolumn = '姓名'\nvalues = ['张伟']\"";
            rows.push_str(&format!("{name},{number},{cell}\n"));
        }
    }
    fs::write(site.root.join("houses.csv"), rows).expect("register");
    let args = [
        "map",
        "houses.csv",
        "--dataset",
        "police",
        "--yes",
        "--out",
        "houses.map.toml",
    ];
    site.must("hedui-agent", "police", &args, &[0]);
    let mapping = fs::read_to_string(site.root.join("houses.map.toml")).expect("mapping");
    assert!(
        mapping.contains("look coded") && mapping.contains("公寓"),
        "{mapping}"
    );
    let args = ["check", "houses.map.toml", "--json"];
    let done = site.must("hedui-agent", "police", &args, &[0]);
    let said: Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!(said["rows"], 6, "a row was skipped: {said}");
}

/// Numbers and days of the roll's own columns decide rules: where one cannot be read, its column is named.
#[test]
fn numbers_and_days_that_cannot_be_read_are_counted_by_column() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site(folder.path());
    let roll = "证件号码,姓名,金额,停发日期,户号\n\
        422725196408150014,张伟,约380,,1\n\
        422725640815003,李秀英,\"1,234.50\",2016-03-05,2\n\
        11010519491231002x,王芳,,三月五日,3\n\
        420525196001010017,赵六,0,99991231,4\n";
    fs::write(site.root.join("own.csv"), roll).expect("roll");
    let mapping = "version = 1\ndataset = \"roll\"\n[source]\nfile = \"own.csv\"\n\
        [field.id]\ncolumns = [\"证件号码\"]\n[field.name]\ncolumns = [\"姓名\"]\n\
        [local.amount]\ncolumns = [\"金额\"]\nkind = \"integer\"\n\
        [local.until]\ncolumns = [\"停发日期\"]\nkind = \"date\"\n[local.unit]\ncolumns = [\"户号\"]\n";
    fs::write(site.root.join("own.map.toml"), mapping).expect("mapping");
    let check = |more: &[&str]| {
        let args = [&["check", "own.map.toml"], more].concat();
        site.must("hedui-agent", "office", &args, &[1])
    };
    let said: Value = serde_json::from_str(&check(&["--json"]).stdout).expect("JSON");
    assert_eq!(
        said["unknown"],
        serde_json::json!({ "local.amount": 1, "local.until": 1 }),
        "{said}"
    );
    let done = check(&[]);
    assert_refused(&done, &[1], "check");
    for column in ["local.amount（金额）: 1", "local.until（停发日期）: 1"] {
        assert!(done.stdout.contains(column), "{}", done.stdout);
        assert!(done.stderr.contains(column), "{}", done.stderr);
    }
    // Its own file: nobody else can send it again, and it is named.
    let wrong = mapping.replace("columns = [\"停发日期\"]", "columns = [\"停发日朝\"]");
    fs::write(site.root.join("own.map.toml"), wrong).expect("mapping");
    let done = site.run("hedui-agent", "office", &["check", "own.map.toml"]);
    assert_refused(&done, &[10], "a column that is not there");
    for words in ["own.map.toml", "did you mean", "请按提示修改该文件"] {
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
}
