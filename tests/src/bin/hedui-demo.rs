//! `cargo demo`: the whole run on the synthetic county through the real binaries. In: scale, seed. Out: the
//! roll owner's clue sheets and a table of what was found. Invariant: between the parties only sealed
//! files move; the truth is read by the scorer alone, at the end.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool of the proving ground")]
#![expect(clippy::expect_used, reason = "the demo stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use comfy_table::{Table, presets};
use hedui_tests::county::{Scale, generate, plant::CATEGORIES, write};
use hedui_tests::run::{Done, Site, build_binaries, workspace};
use hedui_tests::score::{Score, read_clues, score};
use serde::Serialize;

/// 演示 | Run the whole comparison on the synthetic county
#[derive(Parser)]
struct Arguments {
    /// How large
    #[arg(long, value_enum, default_value = "town")]
    scale: Scale,
    /// Seed of the county
    #[arg(long, default_value_t = 2016)]
    seed: u64,
    /// Keep all files in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Print one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Register → the department that submits it.
const SUBMISSIONS: [(&str, &str); 20] = [
    ("dibao", "minzheng"), ("dibao-again", "minzheng"), ("huohua", "minzheng"), ("tekun", "minzheng"),
    ("linshi", "minzheng"), ("hunyin", "minzheng"), ("hukou", "gongan"), ("siwang", "gongan"),
    ("jidongche", "gongan"), ("siwangzheng", "weijian"), ("budongchan", "ziran"), ("zhaijidi", "ziran"),
    ("nongji", "nongye"), ("linye", "linye"), ("caizheng", "caizheng"), ("cungan", "caizheng"),
    ("shebao", "renshe"), ("gongjijin", "gongjijin"), ("shuiwu", "shuiwu"), ("gongshang", "shichang"),
];

#[derive(Default, Serialize)]
struct Stage {
    name: &'static str,
    seconds: f64,
    peak_mib: f64,
}

#[derive(Serialize)]
struct Outcome {
    #[serde(flatten)]
    score: Score,
    stages: Vec<Stage>,
}

struct Stages {
    all: Vec<Stage>,
    quiet: bool,
}

impl Stages {
    fn begin(&mut self, name: &'static str) {
        if !self.quiet {
            eprintln!("── {name}");
        }
        self.all.push(Stage { name, ..Stage::default() });
    }

    fn add(&mut self, done: &Done) {
        if let Some(stage) = self.all.last_mut() {
            stage.seconds += done.seconds;
            stage.peak_mib = stage.peak_mib.max(done.peak_mib);
        }
    }
}

fn main() {
    let arguments = Arguments::parse();
    let bins = build_binaries();
    let temporary = tempfile::tempdir().expect("temporary folder");
    let root = arguments.keep.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    let root = std::path::absolute(root).expect("path");
    let mut stages = Stages { all: Vec::new(), quiet: arguments.json };
    stages.begin("合成县 synthetic county");
    let start = Instant::now();
    let county = generate(arguments.scale, arguments.seed);
    write::write(&county, &root.join("county")).expect("the county is written");
    if let Some(stage) = stages.all.last_mut() {
        stage.seconds = start.elapsed().as_secs_f64();
    }
    let site = Site::new(&root, &bins, "2016-06-30");
    set_up(&site, &mut stages);
    submit(&site, &mut stages);
    stages.begin("比对 matcher");
    stages.add(&site.must("hedui-matcher", "hedui", &["run", "--exchange", "exchange", "--require-all"], &[0]));
    stages.begin("线索 clues");
    let rules = root.join("county-rules.toml").to_string_lossy().into_owned();
    let done = site.must(
        "hedui-agent",
        "minzheng",
        &["results", "--exchange", "exchange", "--rules", &rules, "--out", "clues", "--period", "2016-06"],
        &[0],
    );
    stages.add(&done);
    let json = std::fs::read_to_string(root.join("clues/clues.json")).expect("clues.json");
    let (clues, reviews) = read_clues(&json);
    let score = score(&county, &clues, &reviews);
    if arguments.json {
        let outcome = Outcome { score, stages: stages.all };
        println!("{}", serde_json::to_string(&outcome).expect("JSON"));
    } else {
        println!("{}", done.stdout);
        print(&score, &stages.all);
        if arguments.keep.is_some() {
            println!("文件 files: {}", root.display());
        }
    }
}

/// Every party's key, the agreement, all signatures.
fn set_up(site: &Site, stages: &mut Stages) {
    stages.begin("密钥与协议 keys, agreement, signatures");
    let mut parties: Vec<&str> = SUBMISSIONS.iter().map(|(_, party)| *party).collect();
    parties.push("hedui");
    parties.sort_unstable();
    parties.dedup();
    for party in &parties {
        stages.add(&site.must("hedui-keys", party, &["new", party], &[0]));
    }
    let home = |party: &str| site.home(party).to_string_lossy().into_owned();
    std::fs::copy(
        workspace().join("agent/templates/county-rules.toml"),
        site.root.join("county-rules.toml"),
    )
    .expect("the rule file");
    let mut args = vec![
        "agreement".to_owned(), "new".to_owned(), "--template".to_owned(), "county".to_owned(),
        "--roll".to_owned(), home("minzheng"), "--matcher".to_owned(), home("hedui"),
        "--purpose".to_owned(), "低保等惠民政策落实情况监督检查".to_owned(),
        "--legal-basis".to_owned(), "社会救助暂行办法; 核对授权书".to_owned(),
        "--valid-from".to_owned(), "2016-01-01".to_owned(), "--valid-until".to_owned(), "2017-12-31".to_owned(),
        "--gazetteer".to_owned(), "county/gazetteer.csv".to_owned(),
        "--rules".to_owned(), "county-rules.toml".to_owned(),
    ];
    for party in parties.iter().filter(|party| !matches!(**party, "minzheng" | "hedui")) {
        args.extend(["--department".to_owned(), home(party)]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    stages.add(&site.must("hedui-agent", "minzheng", &args, &[0]));
    for party in parties.iter().filter(|party| **party != "minzheng") {
        stages.add(&site.must("hedui-agent", party, &["agreement", "sign"], &[0]));
    }
}

/// Every department submits, the roll owner first, because the kits come with the roll.
fn submit(site: &Site, stages: &mut Stages) {
    stages.begin("部门报送 agents");
    for (register, party) in SUBMISSIONS {
        let mapping = site.root.join("county").join(format!("{register}.map.toml"));
        let shipped = workspace().join("tests/mappings").join(format!("{register}.map.toml"));
        std::fs::copy(shipped, &mapping).expect("the mapping");
        let mapping = mapping.to_string_lossy().into_owned();
        let args =
            ["submit", &mapping, "--gazetteer", "county/gazetteer.csv", "--exchange", "exchange"];
        let done = site.must("hedui-agent", party, &args, &[0, 1]);
        if !stages.quiet {
            eprintln!("   {register:12} {:5.1} s  {:5.0} MiB", done.seconds, done.peak_mib);
        }
        stages.add(&done);
    }
}

fn print(score: &Score, stages: &[Stage]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["类别 category", "实有 planted", "发现 found", "漏 missed", "误 false"]);
    for (category, _) in CATEGORIES {
        let tally = score.categories.get(category).cloned().unwrap_or_default();
        table.add_row([
            category.to_owned(),
            tally.planted.to_string(),
            tally.found.to_string(),
            tally.missed.to_string(),
            tally.wrong.to_string(),
        ]);
    }
    println!("{table}");
    println!(
        "查准率 precision {:.4}  查全率 recall {:.4}  含待核实 with review {:.4}  待核实 review items {}  误伤公职人员亲属 supporters wronged {}",
        score.precision, score.recall, score.recall_with_review, score.review_items, score.supporter_clues
    );
    for (name, quality) in &score.baselines {
        println!("  对照 baseline {name:13} precision {:.4}  recall {:.4}", quality.precision, quality.recall);
    }
    let classes: &BTreeMap<_, _> = &score.difficulty;
    for (class, tally) in classes {
        println!(
            "  难度 difficulty {class:9} {} / {} (含待核实 with review {})",
            tally.found, tally.planted, tally.found_with_review
        );
    }
    let total: f64 = stages.iter().skip(1).map(|stage| stage.seconds).sum();
    for stage in stages {
        println!("  {:7.1} s {:6.0} MiB  {}", stage.seconds, stage.peak_mib, stage.name);
    }
    println!("  {total:7.1} s 合计（不含生成） all stages after generation");
}
