//! The county's run through the real binaries, step by step. In: a site with a written county. Out: sealed
//! files, result, clue sheets. Invariant: between the parties only sealed files move; no step reads the
//! truth. Used by the demo, the quality test and the fault test.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hedui_protocol::agreement::text::LockKind;
use serde::Serialize;

use crate::run::{Done, Site, workspace};

/// Register → the department that submits it.
pub const SUBMISSIONS: [(&str, &str); 20] = [
    ("dibao", "minzheng"),
    ("dibao-again", "minzheng"),
    ("huohua", "minzheng"),
    ("tekun", "minzheng"),
    ("linshi", "minzheng"),
    ("hunyin", "minzheng"),
    ("hukou", "gongan"),
    ("siwang", "gongan"),
    ("jidongche", "gongan"),
    ("siwangzheng", "weijian"),
    ("budongchan", "ziran"),
    ("zhaijidi", "ziran"),
    ("nongji", "nongye"),
    ("linye", "linye"),
    ("caizheng", "caizheng"),
    ("cungan", "caizheng"),
    ("shebao", "renshe"),
    ("gongjijin", "gongjijin"),
    ("shuiwu", "shuiwu"),
    ("gongshang", "shichang"),
];

/// The custodians: data bureau, audit office, cryptography administration; two of them are needed.
pub const CUSTODIANS: [&str; 3] = ["shuju", "shenji", "mima"];

/// One stage of a run: its wall time, the largest of its processes, what it put into the exchange folder.
#[derive(Default, Serialize)]
pub struct Stage {
    /// Name.
    pub name: &'static str,
    /// Wall seconds.
    pub seconds: f64,
    /// Largest process, MiB.
    pub peak_mib: f64,
    /// Bytes in the exchange folder that this stage added.
    pub exchange_bytes: u64,
}

/// Stages so far.
pub struct Stages {
    /// Stages in order.
    pub all: Vec<Stage>,
    /// No notes on stderr.
    pub quiet: bool,
    /// Folder of sealed files, whose growth is noted.
    pub exchange: PathBuf,
    started: Instant,
    bytes: u64,
}

impl Stages {
    /// No stage yet.
    pub fn new(site: &Site, quiet: bool) -> Self {
        Self {
            all: Vec::new(),
            quiet,
            exchange: site.exchange(),
            started: Instant::now(),
            bytes: 0,
        }
    }

    /// Ends the stage before and begins the next.
    pub fn begin(&mut self, name: &'static str) {
        self.end();
        if !self.quiet {
            note(&format!("── {name}"));
        }
        self.started = Instant::now();
        self.all.push(Stage {
            name,
            ..Stage::default()
        });
    }

    /// Ends the last stage.
    pub fn end(&mut self) {
        let bytes: u64 = files_below(&self.exchange)
            .iter()
            .map(|path| std::fs::metadata(path).map_or(0, |meta| meta.len()))
            .sum();
        if let Some(stage) = self.all.last_mut() {
            stage.seconds = self.started.elapsed().as_secs_f64();
            stage.exchange_bytes = bytes.saturating_sub(self.bytes);
        }
        self.bytes = bytes;
    }

    /// Notes a finished process.
    pub fn add(&mut self, done: &Done) {
        if let Some(stage) = self.all.last_mut() {
            stage.peak_mib = stage.peak_mib.max(done.peak_mib);
        }
    }
}

/// Every party's key, the agreement with further options of its draft, all signatures.
pub fn set_up(site: &Site, stages: &mut Stages, lock: LockKind, options: &[&str]) {
    stages.begin("密钥与协议 keys, agreement, signatures");
    let mut parties: Vec<&str> = SUBMISSIONS.iter().map(|(_, party)| *party).collect();
    parties.push("hedui");
    parties.extend(CUSTODIANS);
    parties.sort_unstable();
    parties.dedup();
    at_once(stages, &parties, |party| {
        let done = site.must("hedui-keys", party, &["new", party], &[0]);
        vec![((*party).to_owned(), done)]
    });
    let home = |party: &str| site.home(party).to_string_lossy().into_owned();
    std::fs::copy(
        workspace().join("agent/templates/county-rules.toml"),
        site.root.join("county-rules.toml"),
    )
    .expect("the rule file");
    let mut args = vec![
        "agreement".to_owned(),
        "new".to_owned(),
        "--template".to_owned(),
        "county".to_owned(),
        "--roll".to_owned(),
        home("minzheng"),
        "--matcher".to_owned(),
        home("hedui"),
        "--purpose".to_owned(),
        "低保等惠民政策落实情况监督检查".to_owned(),
        "--legal-basis".to_owned(),
        "社会救助暂行办法; 核对授权书".to_owned(),
        "--valid-from".to_owned(),
        "2016-01-01".to_owned(),
        "--valid-until".to_owned(),
        "2017-12-31".to_owned(),
        "--gazetteer".to_owned(),
        "county/gazetteer.csv".to_owned(),
        "--rules".to_owned(),
        "county-rules.toml".to_owned(),
    ];
    for party in parties
        .iter()
        .filter(|party| !matches!(**party, "minzheng" | "hedui") && !CUSTODIANS.contains(party))
    {
        args.extend(["--department".to_owned(), home(party)]);
    }
    for party in CUSTODIANS {
        args.extend(["--custodian".to_owned(), home(party)]);
    }
    if lock == LockKind::Keyed {
        args.extend(["--lock".to_owned(), "keyed".to_owned()]);
    }
    args.extend(options.iter().map(|option| (*option).to_owned()));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    stages.add(&site.must("hedui-agent", "minzheng", &args, &[0]));
    for party in parties.iter().filter(|party| **party != "minzheng") {
        stages.add(&site.must("hedui-agent", party, &["agreement", "sign"], &[0]));
    }
    if lock == LockKind::Oprf {
        ceremony(site, stages);
    }
}

/// The custodians' key ceremony: each runs its command until it says that the share is ready.
pub fn ceremony(site: &Site, stages: &mut Stages) {
    stages.begin("密钥仪式 key ceremony");
    for _ in 0..4 {
        at_once(stages, &CUSTODIANS, |party| {
            let args = ["custodian", "ceremony"];
            vec![(
                (*party).to_owned(),
                site.must("hedui-keys", party, &args, &[0, 75]),
            )]
        });
    }
    // In the last round every custodian says that its share is ready.
    for party in CUSTODIANS {
        let record = files_below(&site.exchange()).into_iter().find(|path| {
            path.to_string_lossy()
                .ends_with(&format!("by-{party}.record"))
        });
        assert!(record.is_some(), "{party} signed no record");
    }
}

/// Puts a register's mapping beside its file.
pub fn mapping_of(site: &Site, register: &str) -> String {
    let name = format!("{register}.map.toml");
    let mapping = site.root.join("county").join(&name);
    std::fs::copy(workspace().join("tests/mappings").join(&name), &mapping).expect("the mapping");
    mapping.to_string_lossy().into_owned()
}

/// Every department prepares, two custodians answer, every department finishes. The roll owner is first,
/// because the kits come with the roll; the others work at the same time, each on its own datasets.
pub fn submit(site: &Site, stages: &mut Stages, lock: LockKind) {
    if lock == LockKind::Keyed {
        stages.begin("部门报送 agents submit");
        each_department(site, stages, "submit");
        return;
    }
    stages.begin("部门请求 agents ask");
    each_department(site, stages, "prepare");
    stages.begin("保管方答复 custodians answer");
    // The third custodian stays silent: two of three are enough.
    let answer = |party: &&str| {
        let args = ["custodian", "answer"];
        vec![(
            (*party).to_owned(),
            site.must("hedui-keys", party, &args, &[0]),
        )]
    };
    at_once(stages, &CUSTODIANS[..2], answer);
    stages.begin("部门报送 agents submit");
    each_department(site, stages, "finish");
}

fn each_department(site: &Site, stages: &mut Stages, command: &str) {
    let one = |(register, party): &(&str, &str)| {
        let mapping = mapping_of(site, register);
        let args = [command, &mapping, "--gazetteer", "county/gazetteer.csv"];
        let done = site.must("hedui-agent", party, &args, &[0, 1]);
        ((*register).to_owned(), done)
    };
    let (roll, rest) = SUBMISSIONS.split_first().expect("the roll");
    at_once(stages, &[roll], |roll| vec![one(roll)]);
    let mut departments: Vec<&str> = rest.iter().map(|(_, party)| *party).collect();
    departments.sort_unstable();
    departments.dedup();
    at_once(stages, &departments, |department| {
        let own = rest.iter().filter(|(_, party)| party == department);
        own.map(one).collect()
    });
}

/// Does work for every item, two at a time: as many as the smallest machine of the bars has cores.
fn at_once<T: Sync>(
    stages: &mut Stages,
    items: &[T],
    work: impl Fn(&T) -> Vec<(String, Done)> + Sync,
) {
    let next = AtomicUsize::new(0);
    let quiet = stages.quiet;
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for (name, one) in work(item) {
                        if !quiet {
                            note(&format!(
                                "   {name:12} {:5.1} s  {:5.0} MiB",
                                one.seconds, one.peak_mib
                            ));
                        }
                        done.lock().expect("no panic before").push(one);
                    }
                }
            });
        }
    });
    for one in done.into_inner().expect("no panic before") {
        stages.add(&one);
    }
}

/// The matcher's run.
pub fn compare(site: &Site) -> Done {
    site.must("hedui-matcher", "hedui", &["run", "--require-all"], &[0])
}

/// The refinement round: both sides of every register answer, the matcher weighs.
pub fn refine(site: &Site, stages: &mut Stages) {
    stages.begin("细化比对 refinement");
    let mut departments: Vec<&str> = SUBMISSIONS.iter().map(|(_, party)| *party).collect();
    departments.sort_unstable();
    departments.dedup();
    // A department without a request has nothing to answer.
    let files = files_below(&site.exchange());
    departments.retain(|party| {
        let to = format!("-to-{party}-");
        let mut names = files.iter().map(|path| path.to_string_lossy());
        names.any(|name| name.contains("/refine-request-") && name.contains(&to))
    });
    at_once(stages, &departments, |party| {
        let done = site.must("hedui-agent", party, &["refine"], &[0]);
        vec![((*party).to_owned(), done)]
    });
    stages.add(&compare(site));
}

/// The roll owner's sheets in `clues/`.
pub fn clues(site: &Site) -> Done {
    let rules = "county-rules.toml";
    let args = [
        "results", "--rules", rules, "--out", "clues", "--period", "2016-06",
    ];
    site.must("hedui-agent", "minzheng", &args, &[0])
}

/// Who got help for an illness and is not on the roll (应保未保), in `absent-linshi.csv`.
pub fn absent(site: &Site) -> Done {
    let args = [
        "absent",
        "--dataset",
        "linshi",
        "--rules",
        "county-rules.toml",
    ];
    site.must("hedui-agent", "minzheng", &args, &[0])
}

/// A desk for practice with a lead and a clerk.
pub fn open_desk(site: &Site) {
    let passphrase = site.passphrase.to_string_lossy().into_owned();
    let new = [
        "new",
        "--practice",
        "--office",
        "远安县民政局",
        "--title",
        "李敏",
    ];
    at_desk(site, "lead", &new);
    let add = [
        "user",
        "add",
        "clerk",
        "--title",
        "王强",
        "--new-passphrase-file",
        &passphrase,
    ];
    at_desk(site, "lead", &add);
}

/// The clue desk takes the clues over, hands them down and reports; its reports lie in `reports/`.
pub fn desk(site: &Site) -> Done {
    open_desk(site);
    at_desk(site, "clerk", &["take", "clues/clues.json"]);
    at_desk(site, "clerk", &["assign", "--all"]);
    at_desk(site, "clerk", &["report", "--out", "reports"])
}

fn at_desk(site: &Site, user: &str, args: &[&str]) -> Done {
    let done = site.desk(user, "2016-07-01", args);
    assert!(
        done.code == 0,
        "hedui-desk {args:?}: {}\n{}",
        done.stdout,
        done.stderr
    );
    done
}

/// All files below a folder, in name order.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(inner) = folders.pop() {
        let entries = match std::fs::read_dir(&inner) {
            // A program at work takes folders away while they are being looked through.
            Err(error) if error.kind() == ErrorKind::NotFound && inner != folder => continue,
            other => other.expect("folder"),
        };
        for entry in entries.flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

#[expect(clippy::print_stderr, reason = "progress of the demo")]
fn note(line: &str) {
    eprintln!("{line}");
}
