//! Tidy: the house rules that a program can check. In: the source tree. Out: passes, or the file that
//! breaks a rule. Invariant under test: docs/ARCHITECTURE.md, "Rooms and the direction of dependence".
//! A file without a header, a room without a name, a forbidden import: all fail here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hedui_tests::run::workspace;

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["protocol", "keys", "agent", "matcher", "tests"]
        .iter()
        .map(|f| workspace().join(f))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("folder").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 60);
    found
}

#[test]
fn every_file_says_which_room_it_is_and_none_is_a_warehouse() {
    for path in sources() {
        let text = fs::read_to_string(&path).expect("source");
        let header = text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .count();
        assert!(
            header >= 3,
            "{}: its header has {header} lines",
            path.display()
        );
        let lines = text.lines().count();
        let limit = if path.starts_with(workspace().join("tests")) {
            700
        } else {
            600
        };
        assert!(lines <= limit, "{}: {lines} lines", path.display());
        for name in ["utils.rs", "common.rs", "helpers.rs", "types.rs"] {
            assert!(
                !path.ends_with(name),
                "{}: a room needs a name",
                path.display()
            );
        }
    }
}

fn depends(package: &str, on: &str) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--offline",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
        ])
        .current_dir(workspace())
        .output()
        .expect("cargo tree");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .any(|line| line.starts_with(&format!("{on} v")))
}

/// The centre's binary cannot even name a linkage secret.
#[test]
fn the_matcher_depends_on_neither_keys_nor_agent() {
    assert!(depends("hedui-agent", "hedui-keys"), "positive control");
    assert!(
        depends("hedui-matcher", "hedui-protocol"),
        "positive control"
    );
    for (package, on) in [
        ("hedui-matcher", "hedui-keys"),
        ("hedui-matcher", "hedui-agent"),
        ("hedui-protocol", "hedui-keys"),
        ("hedui-protocol", "hedui-edge"),
        ("hedui-keys", "hedui-agent"),
        ("hedui-keys", "hedui-matcher"),
        ("hedui-edge", "hedui-keys"),
        ("hedui-audit", "hedui-keys"),
        ("hedui-desk", "hedui-agent"),
        ("hedui-desk", "hedui-matcher"),
    ] {
        assert!(!depends(package, on), "{package} depends on {on}");
    }
}

/// The generator of the county must not know what the linkage knows.
#[test]
fn the_county_imports_nothing_of_the_product() {
    let folder = workspace().join("tests/support/county");
    for path in sources().iter().filter(|path| path.starts_with(&folder)) {
        let text = fs::read_to_string(path).expect("source");
        for name in [
            "hedui_protocol",
            "hedui_keys",
            "hedui_agent",
            "hedui_matcher",
        ] {
            assert!(!text.contains(name), "{}: imports {name}", path.display());
        }
    }
}

/// Only the door prints.
#[test]
fn only_the_console_prints() {
    let door = workspace().join("protocol/edge/src/console.rs");
    let product = |path: &Path| !path.starts_with(workspace().join("tests"));
    for path in sources()
        .iter()
        .filter(|path| product(path) && **path != door)
    {
        let text = fs::read_to_string(path).expect("source");
        for word in ["println!", "eprintln!", "dbg!"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

/// A claim of the threat model names the test that would fail without it.
#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let text = fs::read_to_string(workspace().join("docs/THREAT_MODEL.md")).expect("document");
    let all: String = sources()
        .iter()
        .map(|path| fs::read_to_string(path).expect("source"))
        .collect();
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let names: Vec<&str> = rows
        .filter_map(|row| row.trim_end_matches('|').rsplit('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| name.contains('_'))
        .collect();
    assert!(names.len() >= 25, "only {} tests are named", names.len());
    for name in names {
        if name.ends_with(".vp") {
            let model = workspace().join("tests/models").join(name);
            assert!(model.exists(), "no model `{name}`");
            continue;
        }
        assert!(all.contains(&format!("fn {name}()")), "no test `{name}`");
    }
}

/// The list of dependencies names every direct one with the version that is locked.
#[test]
fn the_dependency_list_is_what_is_locked() {
    let read = |name: &str| fs::read_to_string(workspace().join(name)).expect("file");
    let (manifest, lock, list) = (
        read("Cargo.toml"),
        read("Cargo.lock"),
        read("docs/DEPENDENCIES.md"),
    );
    let section = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .expect("dependencies");
    let mut seen = 0;
    for line in section.lines() {
        let Some((name, rest)) = line.split_once(" = ") else {
            continue;
        };
        if line.starts_with('#') || rest.contains("path = ") {
            continue;
        }
        let renamed = rest
            .split("package = \"")
            .nth(1)
            .and_then(|r| r.split('"').next());
        let name = renamed.unwrap_or(name);
        let row = list
            .lines()
            .find(|row| row.starts_with(&format!("| {name} | ")))
            .unwrap_or_else(|| panic!("{name} is not in docs/DEPENDENCIES.md"));
        let version = row.split(" | ").nth(1).expect("version");
        let locked = format!("name = \"{name}\"\nversion = \"{version}\"");
        assert!(
            lock.contains(&locked),
            "{name}: {version} is not what is locked"
        );
        seen += 1;
    }
    let rows = list.lines().filter(|l| l.starts_with("| ")).count() - 1;
    assert_eq!(rows, seen, "the list names what is no direct dependency");
}
