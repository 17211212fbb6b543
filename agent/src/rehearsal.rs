//! Practising before any real data (演练). In: a department's mapping and the head of its file, a seed. Out: a file of invented
//! persons in the department's own columns, codes and date order, and a mapping that points to it. Invariant: not a cell
//! of the real file but its head is read; the same seed gives the same persons to every department, so that a practice
//! comparison finds some of them; all of it is marked as practice.
//! Specification: docs/OPERATIONS.md, "Rehearsal".

use std::collections::BTreeMap;
use std::path::Path;

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::{Dataset, DatasetKind, FactKind};
use hedui_protocol::field::FieldKind;
use hedui_protocol::field::resident_id::check_character;
use hedui_protocol::primitive::sha256;

use crate::mapping::{Column, DateOrder, LocalKind, Mapping};
use crate::source::{self, Format};

/// Surnames in order of their frequency in China, by common knowledge; invented persons need no more.
const SURNAMES: &str = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗";
/// Characters of given names.
const GIVEN: &str = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂英华建国文玉春梅金凤红志";
/// Division that invented identity numbers name: none of the code list in use.
const DIVISION: &str = "429099";
/// Share of all invented persons that a dataset holds, in a hundred.
const HELD: u64 = 40;

/// What is practised.
pub struct Rehearsal<'a> {
    /// Agreement.
    pub agreement: &'a Agreement,
    /// The department's mapping.
    pub mapping: &'a Mapping,
    /// Where the mapping lies.
    pub mapping_file: &'a Path,
    /// Words that the parties agreed on for this practice.
    pub seed: &'a str,
    /// Rows to write.
    pub rows: u64,
}

/// Writes the file and the mapping; gives the mapping's path.
pub fn write(rehearsal: &Rehearsal<'_>, folder: &Path) -> Result<std::path::PathBuf, Problem> {
    let mapping = rehearsal.mapping;
    let dataset = rehearsal.agreement.dataset_or_nearest(&mapping.dataset)?;
    let source = mapping.source_path(rehearsal.mapping_file);
    let head = source::read_header(&source, &mapping.source)?.columns;
    mapping
        .check(rehearsal.agreement, &head)
        .map_err(|problem| problem.at(rehearsal.mapping_file))?;
    let name = format!("演练-{}.csv", dataset.name);
    let path = folder.join(&name);
    if path.exists() {
        return Err(Problem::data(
            format!("{} 已存在 exists already", path.display()),
            "换一个 --out choose another --out",
        ));
    }
    if !folder.exists() {
        files::private_folder(folder)?;
    }
    files::deliver(&path, |out| {
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        writer.write_record(&head).map_err(failed)?;
        let places: BTreeMap<&str, usize> = head
            .iter()
            .enumerate()
            .map(|(at, c)| (c.as_str(), at))
            .collect();
        let mut person = 0;
        let mut written = 0;
        while written < rehearsal.rows {
            let held = draw(
                rehearsal.seed,
                &format!("held {}", dataset.name),
                person,
                100,
            ) < HELD;
            if held {
                let cells = row(rehearsal, dataset, (&places, head.len()), person);
                writer.write_record(&cells).map_err(failed)?;
                written += 1;
            }
            person += 1;
        }
        writer.flush().map_err(|error| Problem::io(&path, error))
    })?;
    let mut practice = mapping.clone();
    practice.source.file = name;
    practice.source.format = Some(Format::Csv);
    practice.source.encoding = Some("utf-8".to_owned());
    practice.source.delimiter = None;
    practice.source.sheet = None;
    practice.source.header_row = 1;
    practice.odbc = None;
    practice.authorisations = None;
    let text = toml::to_string(&practice)
        .map_err(|error| Problem::data(error.to_string(), "report this"))?;
    let target = folder.join(format!("演练-{}.map.toml", dataset.name));
    let note = "# 演练用：数据全部为虚构 For practice: every person is invented.\n";
    files::deliver_bytes(&target, format!("{note}{text}").as_bytes())?;
    Ok(target)
}

/// A number below `below` that belongs to a person and a purpose.
fn draw(seed: &str, what: &str, person: u64, below: u64) -> u64 {
    let digest = sha256(&[
        seed.as_bytes(),
        &[0],
        what.as_bytes(),
        &[0],
        &person.to_be_bytes(),
    ]);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first) % below
}

/// An invented person.
struct Invented<'a> {
    seed: &'a str,
    person: u64,
}

impl Invented<'_> {
    fn draw(&self, what: &str, below: u64) -> u64 {
        draw(self.seed, what, self.person, below)
    }

    fn pick(&self, what: &str, from: &str) -> String {
        let all: Vec<char> = from.chars().collect();
        let at = usize::try_from(self.draw(what, all.len() as u64)).unwrap_or(0);
        all.get(at).map(char::to_string).unwrap_or_default()
    }

    /// Year, month, day.
    fn birth(&self) -> (u64, u64, u64) {
        (
            1935 + self.draw("year", 75),
            1 + self.draw("month", 12),
            1 + self.draw("day", 28),
        )
    }

    fn is_male(&self) -> bool {
        self.draw("sex", 2) == 1
    }

    fn resident_id(&self) -> String {
        let (year, month, day) = self.birth();
        let sequence = 2 * self.draw("sequence", 499) + u64::from(self.is_male());
        let digits = format!("{DIVISION}{year}{month:02}{day:02}{sequence:03}");
        let check = check_character(digits.as_bytes()).map_or('0', char::from);
        format!("{digits}{check}")
    }

    fn name(&self) -> String {
        let mut name = self.pick("surname", SURNAMES) + &self.pick("first", GIVEN);
        if self.draw("long", 3) > 0 {
            name += &self.pick("second", GIVEN);
        }
        name
    }

    fn value(&self, kind: FieldKind) -> String {
        let number = |what: &str, below| self.draw(what, below);
        match kind {
            FieldKind::CnResidentId => self.resident_id(),
            FieldKind::CnName => self.name(),
            FieldKind::PersonName => format!(
                "Test{} Person{}",
                number("given", 90),
                number("family", 9000)
            ),
            FieldKind::Date => {
                let (year, month, day) = self.birth();
                format!("{year}-{month:02}-{day:02}")
            }
            FieldKind::Sex => if self.is_male() { "男" } else { "女" }.to_owned(),
            FieldKind::Phone => format!("199{:08}", number("phone", 100_000_000)),
            FieldKind::CnDivision => format!("演练镇第{}村", 1 + number("village", 30)),
            FieldKind::Plate => format!("鄂Z{:05}", number("plate", 100_000)),
            FieldKind::Uscc => String::new(),
            FieldKind::Integer => number("integer", 10_000).to_string(),
            FieldKind::Text | FieldKind::Exact => format!("演练{}", number("text", 10_000)),
        }
    }

    /// A value as clerks write it: now and then with a slip that the quality report should show.
    fn written(&self, kind: FieldKind, purpose: &str) -> String {
        let value = self.value(kind);
        match (kind, self.draw(&format!("slip {purpose}"), 100)) {
            (_, 0) => String::new(),
            (FieldKind::CnResidentId, 1..=2) => value.to_lowercase(),
            (FieldKind::CnResidentId, 3) => value.chars().take(17).collect(),
            (FieldKind::CnName, 1..=2) => value.chars().map(|c| format!("{c} ")).collect(),
            _ => value,
        }
    }
}

fn row(
    rehearsal: &Rehearsal<'_>,
    dataset: &Dataset,
    (places, width): (&BTreeMap<&str, usize>, usize),
    person: u64,
) -> Vec<String> {
    let mut cells = vec![String::new(); width];
    let mut put = |column: &Column, text: String| {
        // A value of several columns stands in the first; a column of two fields keeps what came first.
        let place = column
            .columns
            .first()
            .and_then(|name| places.get(name.as_str()));
        if let Some(cell) = place.and_then(|at| cells.get_mut(*at))
            && cell.is_empty()
        {
            *cell = text;
        }
    };
    let invented = Invented {
        seed: rehearsal.seed,
        person,
    };
    let mapping = rehearsal.mapping;
    for field in rehearsal.agreement.fields() {
        if let Some(column) = mapping.field.get(field.name.as_str()) {
            let purpose = format!("{} {}", dataset.name, field.name);
            let text = invented.written(field.kind, &purpose);
            let text = if field.kind == FieldKind::Date {
                in_order(&text, column.date)
            } else {
                text
            };
            put(column, coded(&text, column).unwrap_or(text));
        }
    }
    for fact in &dataset.fact {
        let Some(column) = mapping.fact.get(fact.name.as_str()) else {
            continue;
        };
        let purpose = format!("{} {}", dataset.name, fact.name);
        let text = match fact.kind {
            FactKind::Code => any_code(&invented, column, &purpose)
                .or_else(|| fact.codes.first().cloned())
                .unwrap_or_default(),
            FactKind::Date => in_order(&some_day(&invented, &purpose), column.date),
            FactKind::Integer => (100 * invented.draw(&purpose, 200)).to_string(),
            FactKind::Reference => format!("YL{:06}", invented.draw(&purpose, 1_000_000)),
        };
        put(column, text);
    }
    if dataset.kind == DatasetKind::Roll {
        for (name, column) in &mapping.local {
            put(column, local(&invented, name, column));
        }
    }
    cells
}

/// A local column of the roll: units of one person, who applied and draws the benefit still.
fn local(invented: &Invented<'_>, name: &str, column: &Column) -> String {
    let word = |wanted: &str| {
        column
            .codes
            .iter()
            .find(|(_, word)| *word == wanted)
            .map(|(code, _)| code.clone())
    };
    match (name, column.kind) {
        ("unit", _) => format!("YL{:06}", invented.person),
        ("role", _) => word("applicant")
            .or_else(|| any_code(invented, column, "role"))
            .unwrap_or_default(),
        ("until", _) => String::new(),
        ("township", _) => "演练镇".to_owned(),
        ("village", _) => format!("第{}村", 1 + invented.draw("village", 30)),
        (_, Some(LocalKind::Date)) => in_order(&some_day(invented, name), column.date),
        (_, Some(LocalKind::Integer)) => (10 * invented.draw(name, 60)).to_string(),
        _ => any_code(invented, column, name).unwrap_or_else(|| "演练".to_owned()),
    }
}

fn some_day(invented: &Invented<'_>, what: &str) -> String {
    let at = |part: &str, below| invented.draw(&format!("{what} {part}"), below);
    format!(
        "{}-{:02}-{:02}",
        2010 + at("year", 12),
        1 + at("month", 12),
        1 + at("day", 28)
    )
}

/// One of the department's own codes.
fn any_code(invented: &Invented<'_>, column: &Column, what: &str) -> Option<String> {
    let codes: Vec<&String> = column.codes.keys().collect();
    let at = usize::try_from(invented.draw(what, (codes.len() as u64).max(1))).unwrap_or(0);
    codes.get(at).map(|code| (*code).clone())
}

/// The department's code for a standard word, if the column has codes.
fn coded(text: &str, column: &Column) -> Option<String> {
    let is = |(_, word): &(&String, &String)| *word == text;
    column.codes.iter().find(is).map(|(code, _)| code.clone())
}

/// A day in the order in which the department writes it.
fn in_order(day: &str, order: Option<DateOrder>) -> String {
    let parts: Vec<&str> = day.split('-').collect();
    let [year, month, date] = parts[..] else {
        return String::new();
    };
    match order {
        None | Some(DateOrder::Ymd) => day.to_owned(),
        Some(DateOrder::Dmy) => format!("{date}/{month}/{year}"),
        Some(DateOrder::Mdy) => format!("{month}/{date}/{year}"),
        Some(DateOrder::Ym) => format!("{year}{month}"),
        Some(DateOrder::Excel) => {
            let read = |text: &str| text.parse().unwrap_or(1);
            let day = chrono::NaiveDate::from_ymd_opt(
                year.parse().unwrap_or(2000),
                read(month),
                read(date),
            );
            let first = chrono::NaiveDate::from_ymd_opt(1899, 12, 30);
            match (day, first) {
                (Some(day), Some(first)) => (day - first).num_days().to_string(),
                _ => String::new(),
            }
        }
    }
}
