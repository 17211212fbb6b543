//! Departments that deliver whole once and then what has changed. In: the county's files as they are each quarter. Out: files of changes,
//! delivered through the agents. Invariant: what has changed is found by comparing rows as text, so it knows nothing of what the county's
//! generator did; a register that has not changed, or changed too much, is delivered whole.
//! Specification: docs/OPERATIONS.md, "Changes".

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hedui_agent::mapping::Mapping;
use hedui_agent::source;

use crate::county_run::{SUBMISSIONS, mapping_of};
use crate::run::Site;

/// What a mapping says of changes.
const CHANGES: &str = "\n[changes]\nkey = [\"序号\"]\noperation = \"操作\"\n\
    codes = { \"新增\" = \"add\", \"变更\" = \"change\", \"注销\" = \"withdraw\" }\n";

/// Rows of a register by a number that its department gave them.
#[derive(Default)]
struct Numbered {
    columns: Vec<String>,
    rows: BTreeMap<u64, Vec<String>>,
    next: u64,
    /// Whether the last delivery was the one of the quarter before once more.
    is_old: bool,
}

/// A row of a file of changes: number, cells, word.
type Change = (u64, Vec<String>, &'static str);

/// How registers were delivered in a quarter.
#[derive(Default)]
pub struct Delivered {
    /// As changes.
    pub changed: usize,
    /// Whole.
    pub whole: usize,
    /// Rows in files of changes.
    pub rows: usize,
}

/// All registers of a year.
#[derive(Default)]
pub struct Departments(BTreeMap<&'static str, Numbered>);

impl Departments {
    /// Delivers the roll whole and every register as it is best.
    pub fn deliver(&mut self, site: &Site) -> Delivered {
        let mut done = Delivered::default();
        for (at, (register, party)) in SUBMISSIONS.iter().enumerate() {
            if at == 0 {
                submit(site, party, &mapping_of(site, register), &[], false);
                continue;
            }
            let own = self.0.entry(register).or_default();
            let first = own.columns.is_empty();
            let mapping = own.mapping(site, register);
            let changes = own.turn(site, register);
            let few = changes.len() <= 1000.max(own.rows.len() / 5);
            let path = keyed(site, register, "changes.csv");
            let options = ["--changes", &path.to_string_lossy()];
            let count = changes.len();
            let is_old = std::mem::take(&mut own.is_old);
            if !first && count > 0 && few {
                own.write(&path, changes.into_iter());
                if submit(site, party, &mapping, &options, is_old) {
                    done.changed += 1;
                    done.rows += count;
                    continue;
                }
            } else if !first && count == 0 {
                // The same a quarter later is still the earlier delivery, which the matcher deletes on its day; two quarters later it
                // is a new one.
                own.is_old = !is_old;
            }
            let rows = own.rows.iter();
            let rows = rows.map(|(number, row)| (*number, row.clone(), ""));
            own.write(&keyed(site, register, "csv"), rows);
            submit(site, party, &mapping, &[], false);
            done.whole += 1;
        }
        done
    }
}

/// Delivers, with rows left out perhaps (1); whether it was taken. Where nothing new came for longer than the matcher keeps what it
/// has, changes are refused (75), and nowhere else.
fn submit(site: &Site, party: &str, mapping: &str, options: &[&str], is_late: bool) -> bool {
    let args = [
        &["submit", mapping, "--gazetteer", "county/gazetteer.csv"][..],
        options,
    ]
    .concat();
    let codes: &[i32] = if is_late { &[75] } else { &[0, 1] };
    site.must("hedui-agent", party, &args, codes);
    !is_late
}

fn keyed(site: &Site, register: &str, ending: &str) -> PathBuf {
    site.root.join(format!("county/{register}.keyed.{ending}"))
}

impl Numbered {
    /// Mapping of the register with numbered rows.
    fn mapping(&self, site: &Site, register: &str) -> String {
        let text = fs::read_to_string(mapping_of(site, register)).expect("mapping");
        let (head, rest) = text.split_once("[source]\n").expect("source");
        let fields = rest.find("\n[").map_or("", |at| &rest[at..]);
        let text = format!("{head}[source]\nfile = \"{register}.keyed.csv\"\n{fields}{CHANGES}");
        let path = keyed(site, register, "map.toml");
        fs::write(&path, text).expect("mapping");
        path.to_string_lossy().into_owned()
    }

    /// Takes the register's rows as they are now; what is other than before.
    fn turn(&mut self, site: &Site, register: &str) -> Vec<Change> {
        let mapping = mapping_of(site, register);
        let read = Mapping::read(mapping.as_ref()).expect("mapping");
        let path = read.source_path(mapping.as_ref());
        let mut held: BTreeMap<Vec<String>, Vec<u64>> = BTreeMap::new();
        for (number, row) in std::mem::take(&mut self.rows) {
            held.entry(row).or_default().push(number);
        }
        let mut changes = Vec::new();
        let reading = source::read(&path, &read.source, &mut |batch| {
            for row in batch {
                let known = held.get_mut(&row.cells).and_then(Vec::pop);
                let number = known.unwrap_or_else(|| {
                    self.next += 1;
                    changes.push((self.next, row.cells.clone(), "新增"));
                    self.next
                });
                self.rows.insert(number, row.cells);
            }
            Ok(())
        });
        self.columns = reading.expect("the register").columns;
        for (row, numbers) in held {
            changes.extend(
                numbers
                    .into_iter()
                    .map(|number| (number, row.clone(), "注销")),
            );
        }
        changes
    }

    fn write(&self, path: &Path, rows: impl Iterator<Item = Change>) {
        let mut out = csv::Writer::from_path(path).expect("file");
        let mut head = vec!["序号"];
        head.extend(self.columns.iter().map(String::as_str));
        head.push("操作");
        out.write_record(head).expect("written");
        for (number, cells, word) in rows {
            let number = number.to_string();
            let cells = cells.iter().map(String::as_str);
            let line = std::iter::once(number.as_str()).chain(cells).chain([word]);
            out.write_record(line).expect("written");
        }
        out.flush().expect("written");
    }
}
