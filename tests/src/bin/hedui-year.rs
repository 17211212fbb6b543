//! `hedui-year`: four quarters of comparing and working, from files to reports. In: scale, seed. Out: a table per quarter, or
//! the first thing that is not as the truth says. Invariant: the product is used through its binaries; every figure of its
//! reports is reckoned again from the script's own ledger.
//! The script: tests/support/year.rs.
#![expect(clippy::print_stdout, reason = "a tool of the proving ground")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use hedui_desk::words::Outcome;
use hedui_protocol::agreement::text::LockKind;
use hedui_tests::county::{Scale, generate, later, write};
use hedui_tests::county_run::{self, Stages};
use hedui_tests::kills::Kills;
use hedui_tests::people::People;
use hedui_tests::quarterly::Departments;
use hedui_tests::run::{self, Site, build_binaries};
use hedui_tests::year::{self, Ledger};
use serde_json::Value;

/// 一年 | Four quarterly comparisons and all the work that follows, on the synthetic county
#[derive(Parser)]
struct Arguments {
    /// How large
    #[arg(long, value_enum, default_value = "town")]
    scale: Scale,
    /// Seed of the county
    #[arg(long, default_value_t = 2016)]
    seed: u64,
    /// Kill so many commands at drawn moments (kill -9) and run them again
    #[arg(long, value_name = "N")]
    kills: Option<u32>,
    /// Keep all files in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Period, day of the comparison, first day of work, last payment before it.
const QUARTERS: [(&str, &str, &str, &str); 4] = [
    ("2016-06", "2016-06-30", "2016-07-01", "2016-06-30"),
    ("2016-09", "2016-09-30", "2016-10-01", "2016-09-30"),
    ("2016-12", "2016-12-31", "2017-01-01", "2016-12-31"),
    ("2017-03", "2017-03-31", "2017-04-01", "2017-03-31"),
];

fn main() {
    let arguments = Arguments::parse();
    let temporary = tempfile::tempdir().expect("temporary folder");
    let root = arguments
        .keep
        .clone()
        .unwrap_or_else(|| temporary.path().to_path_buf());
    let root = std::path::absolute(root).expect("path");
    let mut site = Site::new(&root, &build_binaries(), QUARTERS[0].1);
    let mut county = generate(arguments.scale, arguments.seed);
    let mut deltas = later::deltas(&county, arguments.seed).into_iter();
    let mut truth: BTreeSet<year::Key> = county
        .clues
        .iter()
        .map(|clue| {
            (
                county.units[clue.unit].number.clone(),
                clue.category.to_owned(),
            )
        })
        .collect();
    let mut stages = Stages::new(&site, true);
    write::write(&county, &root.join("county")).expect("the county is written");
    // What changes build on must still be there a quarter later.
    let options = ["--retention-days", "120"];
    county_run::set_up(&site, &mut stages, LockKind::Keyed, &options);
    site.kills = arguments.kills.map(|_| Kills::new(arguments.seed));
    let (mut ledger, mut departments) = (Ledger::default(), Departments::default());
    let mut defects = u64::MAX;
    for (at, (period, compared, first, paid)) in QUARTERS.into_iter().enumerate() {
        let started = Instant::now();
        compared.clone_into(&mut site.today);
        if let (Some(kills), Some(wanted)) = (&site.kills, arguments.kills) {
            kills.wanted_by_now(wanted * (at as u32 + 1) / QUARTERS.len() as u32);
        }
        if at > 0 {
            let delta = deltas.next().expect("a delta per quarter");
            truth.extend(year::planted(&county, &delta));
            year::turn(&mut county, &ledger, delta, paid, at - 1);
            write::write(&county, &root.join("county")).expect("the county is written");
        }
        let delivered = departments.deliver(&site);
        assert!(
            at == 0 || delivered.changed > delivered.whole,
            "{period}: {} of {} registers came as changes",
            delivered.changed,
            delivered.changed + delivered.whole
        );
        county_run::compare(&site);
        site.must(
            "hedui-agent",
            "minzheng",
            &[
                "results",
                "--rules",
                "county-rules.toml",
                "--out",
                "clues",
                "--period",
                period,
            ],
            &[0],
        );
        if at == 0 {
            county_run::open_desk(&site);
        }
        let compared_in = started.elapsed().as_secs_f64();
        let found = year::read_handover(&root.join("clues/clues.json"));
        // Every unit of the county has an applicant, whose row describes it for spot checks.
        let units = fs::read_to_string(root.join("clues/units.csv")).expect("units");
        let described = units
            .lines()
            .skip(1)
            .all(|line| line.contains(",applicant,"));
        assert!(
            described,
            "{period}: a unit is described by another row than its applicant's"
        );
        let mut fresh = 0;
        let mut again = 0;
        for (key, finding) in &found {
            let before = ledger.latest.get(key).map(|number| &ledger.cases[number]);
            // Untrue on this very evidence: nobody is visited twice. Everything else that comes back is new work.
            if before
                .is_some_and(|e| e.outcome == Outcome::Unfounded && e.evidence == finding.evidence)
            {
                again += 1;
                continue;
            }
            fresh += 1;
            let entry = year::decide(key, finding, period, &truth);
            ledger.cases.insert(finding.number.clone(), entry);
            ledger.latest.insert(key.clone(), finding.number.clone());
        }
        let mut people = People::new(&site);
        let entries = people.history().0;
        let said = people
            .run("clerk", first, &["take", "clues/clues.json", "--json"])
            .stdout;
        let said: Value = serde_json::from_str(&said).expect("JSON");
        // A killed command may have done all of it before it died; the history says so then.
        let taken = (said["new"].as_u64(), said["found_again"].as_u64());
        let before = site.kills.is_some() && said["taken_before"] == true;
        assert!(
            taken == (Some(fresh), Some(again))
                || before && people.history().0 > entries + fresh + again,
            "{period}: {fresh} new, {again} found again: {said}"
        );
        year::work(&mut people, first, period, &ledger);
        people.run("clerk", first, &["report", "--out", "reports"]);
        let figures = fs::read_to_string(root.join("reports/figures.json")).expect("figures");
        let figures: Value = serde_json::from_str(&figures).expect("JSON");
        let count = year::check_figures(&figures, &ledger);
        check_truth(&ledger, &truth, period, &people);
        let now = defects_of(&site);
        assert!(
            now < defects,
            "{period}: data quality did not improve: {now} of {defects}"
        );
        defects = now;
        println!(
            "{period}: {} registers as changes ({} rows), {} whole; {fresh} new, {again} known untrue, {count} figures reckoned again, {now} cells of the forestry register to correct; \
             compared in {compared_in:.1} s, worked in {:.1} s",
            delivered.changed,
            delivered.rows,
            delivered.whole,
            started.elapsed().as_secs_f64() - compared_in
        );
    }
    if let Some(kills) = &site.kills {
        println!("{}", kills.summary());
    }
    site.kills = None;
    // Everything that was sent, as a reviewer without a secret sees it.
    let audited = run::run(&site.bins.join("hedui-audit"), &["run"], &site.root);
    assert!(audited.code == 0, "{}\n{}", audited.stdout, audited.stderr);
    let opening = Instant::now();
    let people = People::new(&site);
    let verified = people
        .run("clerk", "2017-05-01", &["verify", "--json"])
        .stdout;
    println!(
        "{} (in {:.2} s)",
        verified.trim(),
        opening.elapsed().as_secs_f64()
    );
}

/// Cells of the forestry register, kept by village clerks, that its own check calls damaged, masked, fillers or contradictory.
fn defects_of(site: &Site) -> u64 {
    let mapping = county_run::mapping_of(site, "linye");
    let args = [
        "check",
        &mapping,
        "--gazetteer",
        "county/gazetteer.csv",
        "--json",
    ];
    let done = site.must("hedui-agent", "linye", &args, &[0, 1]);
    let report: Value = serde_json::from_str(&done.stdout).expect("JSON");
    let fields = report["fields"].as_array().expect("fields");
    let of = |field: &Value| -> u64 {
        let counts: Vec<u64> = field["counts"]
            .as_array()
            .expect("counts")
            .iter()
            .filter_map(Value::as_u64)
            .collect();
        counts.iter().skip(2).sum::<u64>() + field["contradicts_count"].as_u64().unwrap_or(0)
    };
    fields.iter().map(of).sum()
}

/// What the desk says of its clues' precision is what the truth says of them, objections and chance included.
fn check_truth(ledger: &Ledger, truth: &BTreeSet<year::Key>, period: &str, people: &People<'_>) {
    let said = people
        .run("clerk", "2017-05-01", &["feedback", "--json"])
        .stdout;
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let decided = ledger
        .cases
        .values()
        .filter(|e| !e.task && e.outcome != Outcome::Unclear);
    let mut mine: std::collections::BTreeMap<&str, (u64, u64)> = std::collections::BTreeMap::new();
    for entry in decided {
        let tally = mine.entry(&entry.key.1).or_default();
        tally.0 += u64::from(entry.outcome.is_adverse());
        tally.1 += 1;
        assert!(
            truth.contains(&entry.key) || !entry.outcome.is_adverse(),
            "an untrue clue was confirmed"
        );
    }
    for (category, (yes, of)) in mine {
        let share = &said["categories"][category];
        assert_eq!(
            (share["yes"].as_u64(), share["of"].as_u64()),
            (Some(yes), Some(of)),
            "{period} {category}"
        );
    }
    let fresh: Vec<_> = ledger
        .cases
        .values()
        .filter(|e| e.period == period && !e.task)
        .collect();
    let right = fresh.iter().filter(|e| truth.contains(&e.key)).count();
    println!(
        "  {right} of {} new clues and review items are true",
        fresh.len()
    );
}
