//! `hedui-bench changes`: what a delivery of changes costs beside a whole one. In: rows, part of them that changes, lock. Out: seconds of
//! every process of agent, custodians and matcher for the changes, and for a whole delivery of the same rows in the same run.
//! Invariant: the results of both are the same bytes; all costs are in: reading, keys, writing, sealing, starting.
//! Specification: docs/PERFORMANCE.md, "Changes".

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use hedui_protocol::agreement::text::LockKind;
use serde::Serialize;

use crate::county::dice::{Dice, day};
use crate::county::names::Names;
use crate::county::people::number;
use crate::county::{Scale, generate, write};
use crate::county_run::{self, Stages, files_below, mapping_of};
use crate::opened::open;
use crate::run::{Done, Site};

/// Seconds of one kind of delivery.
#[derive(Debug, Default, Serialize)]
pub struct Cost {
    /// The department's agent.
    pub agent: f64,
    /// Each custodian, the slower of two; nothing without custodians.
    pub custodian: f64,
    /// The matcher: intake, comparison, result.
    pub matcher: f64,
    /// MiB of the sealed file.
    pub file_mib: f64,
    /// Largest resident set of the agent, in MiB.
    pub agent_peak_mib: f64,
    /// Largest resident set of the matcher, in MiB.
    pub matcher_peak_mib: f64,
}

/// Both, and the ratio.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Rows of the register.
    pub rows: u64,
    /// Rows that changed, came or went.
    pub changed: u64,
    /// The first whole delivery, on which the changes build.
    pub first: Cost,
    /// The changes.
    pub changes: Cost,
    /// A whole delivery of the same rows.
    pub whole: Cost,
    /// Changes divided by that whole delivery, whose values custodians have answered before: agent, matcher.
    pub ratio: [Option<f64>; 2],
    /// Changes divided by the first whole delivery, all of whose values are new: agent, custodian (none without custodians).
    pub ratio_to_first: [Option<f64>; 2],
}

const REGISTER: &str = "jidongche";
const COLUMNS: [&str; 9] = [
    "序号",
    "号牌种类",
    "车辆类型",
    "使用性质",
    "初次登记日期",
    "机动车状态",
    "所有人",
    "身份证明号码",
    "住所地址",
];
const CHANGES: &str = "\n[changes]\nkey = [\"序号\"]\noperation = \"操作\"\n\
    codes = { \"新增\" = \"add\", \"变更\" = \"change\", \"注销\" = \"withdraw\" }\n";

/// Measures in a folder that is empty or not there.
pub fn measure(folder: &Path, bins: &Path, rows: u64, permille: u64, lock: LockKind) -> Figures {
    let site = Site::new(folder, bins, "2016-06-30");
    write::write(&generate(Scale::Town, 2016), &site.root.join("county")).expect("written");
    county_run::set_up(&site, &mut Stages::new(&site, true), lock, &[]);
    let roll = mapping_of(&site, "dibao");
    deliver(&site, lock, ("minzheng", &roll, &[]));
    let mut register = Invented::new(rows);
    let text = fs::read_to_string(mapping_of(&site, REGISTER)).expect("mapping");
    let file = text.lines().find(|line| line.starts_with("file = "));
    let text = text.replace(file.expect("file"), "file = \"register.csv\"") + CHANGES;
    let mapping = site.root.join("county/register.map.toml");
    fs::write(&mapping, text).expect("mapping");
    let mapping = mapping.to_string_lossy().into_owned();
    let whole = site.root.join("county/register.csv");
    register.write(&whole);
    let first = cost(&site, lock, (&mapping, &[]));
    let changed = rows * permille / 1000;
    let path = site.root.join("county/changes.csv");
    register.turn(&path, changed);
    let path = path.to_string_lossy().into_owned();
    let changes = cost(&site, lock, (&mapping, &["--changes", &path]));
    let one = result(&site);
    register.write(&whole);
    let again = cost(&site, lock, (&mapping, &[]));
    assert!(
        one == result(&site),
        "another result than that of a whole delivery"
    );
    let ratio = |of: fn(&Cost) -> f64, to: &Cost| (of(to) > 0.0).then(|| of(&changes) / of(to));
    Figures {
        rows,
        changed,
        ratio: [ratio(|c| c.agent, &again), ratio(|c| c.matcher, &again)],
        ratio_to_first: [ratio(|c| c.agent, &first), ratio(|c| c.custodian, &first)],
        first,
        changes,
        whole: again,
    }
}

fn deliver(
    site: &Site,
    lock: LockKind,
    (party, mapping, options): (&str, &str, &[&str]),
) -> (Vec<Done>, f64) {
    let gazetteer = ["--gazetteer", "county/gazetteer.csv"];
    let args = |command| [&[command, mapping][..], &gazetteer, options].concat();
    let run = |command| site.must("hedui-agent", party, &args(command), &[0, 1]);
    if lock == LockKind::Keyed {
        return (vec![run("submit")], 0.0);
    }
    let asked = run("prepare");
    let answers = ["shuju", "shenji"].map(|custodian| {
        let done = site.must("hedui-keys", custodian, &["custodian", "answer"], &[0]);
        done.seconds
    });
    (vec![asked, run("finish")], answers[0].max(answers[1]))
}

fn cost(site: &Site, lock: LockKind, (mapping, options): (&str, &[&str])) -> Cost {
    let before = files_below(&site.exchange());
    let (agent, custodian) = deliver(site, lock, ("gongan", mapping, options));
    let is_new = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("submission-") && !before.contains(path)
    };
    let sent = files_below(&site.exchange());
    let file = sent.iter().find(is_new).expect("a submission");
    let bytes = fs::metadata(file).expect("file").len();
    let matcher = site.must("hedui-matcher", "hedui", &["run"], &[0]);
    Cost {
        agent: agent.iter().map(|done| done.seconds).sum(),
        custodian,
        matcher: matcher.seconds,
        file_mib: bytes as f64 / f64::from(1 << 20),
        agent_peak_mib: agent.iter().map(|done| done.peak_mib).fold(0.0, f64::max),
        matcher_peak_mib: matcher.peak_mib,
    }
}

fn result(site: &Site) -> Vec<u8> {
    let results = files_below(&site.exchange()).into_iter().filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("result-")
    });
    let newest = results.max_by_key(|path| open(site, path, "minzheng").0.seq);
    open(site, &newest.expect("a result"), "minzheng").1
}

/// A register of invented owners.
struct Invented {
    dice: Dice,
    names: Names,
    rows: BTreeMap<u64, Vec<String>>,
    next: u64,
}

impl Invented {
    fn new(rows: u64) -> Self {
        let mut own = Self {
            dice: Dice::new(6),
            names: Names::new(),
            rows: BTreeMap::new(),
            next: 1,
        };
        for _ in 0..rows {
            own.add();
        }
        own
    }

    fn add(&mut self) -> u64 {
        let row = self.row();
        self.rows.insert(self.next, row);
        self.next += 1;
        self.next - 1
    }

    fn row(&mut self) -> Vec<String> {
        let dice = &mut self.dice;
        let (male, birth) = (dice.percent(50.0), day(dice, 1930, 2000));
        let name = format!(
            "{}{}",
            self.names.surname(dice),
            self.names.given(dice, male, None)
        );
        let sequence = dice.between(1, 999);
        let area = *dice.pick(&[420_525, 422_725, 420_526, 420_527]);
        let places = [
            "鸣凤镇",
            "嫘祖镇",
            "洋坪镇",
            "花林寺镇",
            "旧县镇",
            "茅坪场镇",
            "河口乡",
        ];
        [
            (*dice.pick(&["02", "01", "07"])).to_owned(),
            (*dice.pick(&["K33", "H31", "M21", "M15", "N11", "X99"])).to_owned(),
            (*dice.pick(&["A", "A", "A", "Z", "B"])).to_owned(),
            day(dice, 1998, 2016).to_string(),
            (*dice.pick(&["A", "A", "A", "M", "E", "B", "Q"])).to_owned(),
            name,
            number(area, birth, sequence),
            format!("{}{}村", dice.pick(&places), dice.between(1, 30)),
        ]
        .to_vec()
    }

    fn write(&mut self, path: &Path) {
        let mut numbers: Vec<u64> = self.rows.keys().copied().collect();
        self.dice.shuffle(&mut numbers);
        let mut out = BufWriter::new(fs::File::create(path).expect("file"));
        writeln!(out, "{}", COLUMNS.join(",")).expect("written");
        for number in numbers {
            writeln!(out, "{number},{}", self.rows[&number].join(",")).expect("written");
        }
        out.flush().expect("written");
    }

    /// A third of the changes each: rows that come, go, and say something else (half another state, half another owner).
    fn turn(&mut self, path: &Path, count: u64) {
        let mut out = BufWriter::new(fs::File::create(path).expect("file"));
        writeln!(out, "{},操作", COLUMNS.join(",")).expect("written");
        let mut numbers: Vec<u64> = self.rows.keys().copied().collect();
        self.dice.shuffle(&mut numbers);
        for (at, number) in (0..count).zip(numbers) {
            let (number, word) = match at % 3 {
                0 => (self.add(), "新增"),
                1 => (number, "注销"),
                _ => (number, "变更"),
            };
            let other = self.row();
            let Some(row) = self.rows.get_mut(&number) else {
                continue;
            };
            if word == "变更" && at % 2 == 0 {
                row[4] = if row[4] == "M" { "A" } else { "M" }.to_owned();
            } else if word == "变更" {
                row[5..].clone_from_slice(&other[5..]);
            }
            writeln!(out, "{number},{},{word}", row.join(",")).expect("written");
            if word == "注销" {
                self.rows.remove(&number);
            }
        }
        out.flush().expect("written");
    }
}
