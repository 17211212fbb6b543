//! Running the real binaries. In: a command line. Out: exit code, output, seconds, peak memory.
//! Invariant: the product is used as a person would use it: through its command line, with a passphrase
//! file, in folders of its own. Peak memory is the kernel's figure for the child (`/proc/PID/status`,
//! VmHWM), read while it runs.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::county_run::files_below;
use crate::kills::{self, Attempt, Kills};

/// Builds the product's binaries in the profile of this program and returns their folder.
pub fn build_binaries() -> PathBuf {
    let exe = std::env::current_exe().expect("this program has a path");
    // target/PROFILE/hedui-demo or target/PROFILE/deps/e2e-HASH
    let mut folder = exe.parent().expect("it lies in a folder").to_path_buf();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let release = folder.ends_with("release");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--bins"])
        .current_dir(workspace());
    for package in [
        "hedui-agent",
        "hedui-matcher",
        "hedui-keys",
        "hedui-audit",
        "hedui-desk",
        "hedui-tests",
    ] {
        command.args(["--package", package]);
    }
    if release {
        command.arg("--release");
    }
    // What cargo tells this program about its own package would make build scripts run again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if [
            "CARGO_PKG_",
            "CARGO_MANIFEST",
            "CARGO_CRATE",
            "CARGO_BIN",
            "CARGO_PRIMARY",
        ]
        .iter()
        .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "the binaries build");
    folder
}

/// The repository.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests lies in it")
        .to_path_buf()
}

/// What a finished process did.
#[derive(Clone, Debug)]
pub struct Done {
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// Whether it is us who ended it: by signal 9, at its limit.
    pub killed: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Wall seconds.
    pub seconds: f64,
    /// Peak resident memory in MiB.
    pub peak_mib: f64,
}

/// Runs a binary and waits.
pub fn run(bin: &Path, args: &[&str], folder: &Path) -> Done {
    run_limited(bin, args, folder, None)
}

/// Runs a binary and kills it after `limit`, if given.
pub fn run_limited(bin: &Path, args: &[&str], folder: &Path, limit: Option<Duration>) -> Done {
    run_until(bin, args, folder, &mut after(limit))
}

/// Whether a limit has passed.
fn after(limit: Option<Duration>) -> impl FnMut(Duration) -> bool {
    move |elapsed| limit.is_some_and(|limit| elapsed > limit)
}

/// When to kill a command, asked every other millisecond with the time since its beginning.
pub type Stop<'a> = dyn FnMut(Duration) -> bool + 'a;

/// Runs a binary and kills it when it is to stop.
pub fn run_until(bin: &Path, args: &[&str], folder: &Path, stop: &mut Stop<'_>) -> Done {
    let start = Instant::now();
    let mut child = Command::new(bin)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", bin.display()));
    let read = |mut stream: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = read(Box::new(child.stdout.take().expect("piped")));
    let err = read(Box::new(child.stderr.take().expect("piped")));
    let status_file = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak_kib = 0.0_f64;
    let mut late = false;
    let status = loop {
        peak_kib = peak_kib.max(peak_of(&status_file));
        if let Some(status) = child.try_wait().expect("wait") {
            break status;
        }
        if !late && stop(start.elapsed()) {
            let _ = child.kill();
            late = true;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Done {
        code: status.code().unwrap_or(-1),
        killed: late && std::os::unix::process::ExitStatusExt::signal(&status) == Some(9),
        stdout: out.join().unwrap_or_default(),
        stderr: err.join().unwrap_or_default(),
        seconds: start.elapsed().as_secs_f64(),
        peak_mib: peak_kib / 1024.0,
    }
}

fn peak_of(status: &Path) -> f64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap_or(0.0)
}

/// A set of parties on this machine, each with a folder of its own, and the folder between them.
pub struct Site {
    /// Folder of everything.
    pub root: PathBuf,
    /// Folder of the binaries.
    pub bins: PathBuf,
    /// Passphrase file of all parties.
    pub passphrase: PathBuf,
    /// Day on which everything happens.
    pub today: String,
    /// Where commands are killed before they are run.
    pub kills: Option<Kills>,
}

impl Site {
    /// A site in an empty folder.
    pub fn new(root: &Path, bins: &Path, today: &str) -> Self {
        std::fs::create_dir_all(root.join("exchange")).expect("folder");
        let passphrase = root.join("passphrase");
        std::fs::write(&passphrase, "correct horse battery staple\n").expect("passphrase file");
        Self {
            root: root.to_path_buf(),
            bins: bins.to_path_buf(),
            passphrase,
            today: today.to_owned(),
            kills: None,
        }
    }

    /// A party's folder.
    pub fn home(&self, party: &str) -> PathBuf {
        self.root.join("parties").join(party)
    }

    /// The folder of sealed files.
    pub fn exchange(&self) -> PathBuf {
        self.root.join("exchange")
    }

    /// The agreement.
    pub fn agreement(&self) -> PathBuf {
        self.root.join("agreement.toml")
    }

    /// Runs a command as a party, kills it after `limit` if given. Everything it says is kept in
    /// `transcript.log`, so that a test can look for what must not be there.
    pub fn run_limited(
        &self,
        bin: &str,
        party: &str,
        args: &[&str],
        limit: Option<Duration>,
    ) -> Done {
        self.run_until(bin, party, args, &mut after(limit))
    }

    fn run_until(&self, bin: &str, party: &str, args: &[&str], stop: &mut Stop<'_>) -> Done {
        let (home, agreement) = (self.home(party), self.agreement());
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let common = [
            "--home".to_owned(),
            text(&home),
            "--agreement".to_owned(),
            text(&agreement),
            "--passphrase-file".to_owned(),
            text(&self.passphrase),
            "--today".to_owned(),
            self.today.clone(),
        ];
        let mut all: Vec<&str> = args.to_vec();
        all.extend(common.iter().map(String::as_str));
        let done = run_until(&self.bins.join(bin), &all, &self.root, stop);
        let text = format!("$ {bin} {args:?}\n{}{}", done.stdout, done.stderr);
        std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.root.join("transcript.log"))
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .expect("transcript");
        done
    }

    /// Runs a command of the clue desk as one of its users, on a day.
    pub fn desk(&self, user: &str, day: &str, args: &[&str]) -> Done {
        self.desk_until(user, day, args, &mut |_| false)
    }

    /// The same, killed when it is to stop.
    pub fn desk_until(&self, user: &str, day: &str, args: &[&str], stop: &mut Stop<'_>) -> Done {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let common = [
            "--desk".to_owned(),
            text(&self.root.join("desk")),
            "--as".to_owned(),
            user.to_owned(),
            "--today".to_owned(),
            day.to_owned(),
            "--passphrase-file".to_owned(),
            text(&self.passphrase),
        ];
        let mut all: Vec<&str> = args.to_vec();
        all.extend(common.iter().map(String::as_str));
        run_until(&self.bins.join("hedui-desk"), &all, &self.root, stop)
    }

    /// Runs a command as a party; where commands are to be killed, perhaps for the second time.
    pub fn run(&self, bin: &str, party: &str, args: &[&str]) -> Done {
        let Some(kills) = &self.kills else {
            return self.run_limited(bin, party, args, None);
        };
        let what = kills::name(bin, args);
        let look = || {
            let folders = [self.home(party), self.exchange(), self.root.join("clues")];
            let there = folders.iter().filter(|folder| folder.is_dir());
            kills::traces(there.flat_map(|folder| files_below(folder)))
        };
        for _ in 0..kills::TIMES {
            let run = |stop: &mut Stop<'_>| self.run_until(bin, party, args, stop);
            match kills.attempt(&what, look, run) {
                Attempt::Spared => break,
                Attempt::Ended(done) => return done,
                Attempt::Died(_) => {}
            }
        }
        let done = self.run_limited(bin, party, args, None);
        kills.took(&what, &done);
        done
    }

    /// Runs a command that must succeed with one of the exit codes.
    pub fn must(&self, bin: &str, party: &str, args: &[&str], codes: &[i32]) -> Done {
        let done = self.run(bin, party, args);
        assert!(
            codes.contains(&done.code),
            "{bin} {args:?} as {party}: exit {}\n{}\n{}",
            done.code,
            done.stdout,
            done.stderr
        );
        done
    }
}
