//! Kills (kill -9) within a scripted run. In: commands before they are run, how long each took before. Out: moments at which to kill
//! them first. Invariant: a command is killed only where it is then run again by the same script, and whatever that script asserts of
//! its outcome holds of the second run. Moments are drawn; where in a command's work they fall is up to the machine.
//! Used by: `hedui-year --kills`, docs/TESTING.md.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::county::dice::Dice;
use crate::run::{Done, Stop};

/// Kills that are wanted, and those that were made.
pub struct Kills(Mutex<Drawn>);

struct Drawn {
    dice: Dice,
    wanted: u32,
    /// Commands that died, by name.
    died: BTreeMap<String, u32>,
    /// Of them, those that left something written behind.
    at_work: u32,
    /// Commands that had ended before their moment came.
    ended: u32,
    /// Seconds that each command took when it was last left alone.
    seconds: BTreeMap<String, f64>,
}

/// Files that hold something, with length and time. What a database only maps into memory is none of them.
pub type Traces = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// How often one command may die before it is left alone: what a killed one left must not stop the next, nor what that one left.
pub const TIMES: u32 = 3;

/// Traces of files.
pub fn traces(paths: impl IntoIterator<Item = PathBuf>) -> Traces {
    let trace = |path: PathBuf| {
        let meta = std::fs::metadata(&path).ok()?;
        let holds = meta.is_file() && meta.len() > 0 && !path.to_string_lossy().ends_with("-shm");
        holds.then(|| (path, meta.len(), meta.modified().ok()))
    };
    paths.into_iter().filter_map(trace).collect()
}

/// Whether something is there that was not, or not so. What is gone only was cleared away.
fn has_written(before: &Traces, now: &Traces) -> bool {
    now.iter().any(|trace| !before.contains(trace))
}

/// What came of a command that might be killed.
pub enum Attempt {
    /// It was not to be.
    Spared,
    /// It had ended before its moment.
    Ended(Done),
    /// It died.
    Died(Done),
}

/// When a command is killed.
enum Moment {
    /// So long after its beginning.
    After(Duration),
    /// So long after it has begun to write.
    Writing(Duration),
}

impl Kills {
    /// None yet; moments are drawn from a seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Drawn {
            dice: Dice::new(seed),
            wanted: 0,
            died: BTreeMap::new(),
            at_work: 0,
            ended: 0,
            seconds: BTreeMap::new(),
        }))
    }

    fn drawn(&self) -> std::sync::MutexGuard<'_, Drawn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are wanted by now; more of them later, so that they do not all fall into the beginning.
    pub fn wanted_by_now(&self, wanted: u32) {
        self.drawn().wanted = wanted;
    }

    /// When to kill a command, if it is one to be killed: its work is known from an earlier time, and the rarer commands are not spared
    /// for the more frequent ones.
    fn moment(&self, what: &str) -> Option<Moment> {
        let mut drawn = self.drawn();
        let seconds = *drawn.seconds.get(what)?;
        let died: u32 = drawn.died.values().sum();
        let often = drawn.died.get(kind(what)).copied().unwrap_or(0);
        if died >= drawn.wanted || !drawn.dice.percent(1000.0 / f64::from(4 + often)) {
            return None;
        }
        // Commands write towards their end: two of three are killed when they have begun to, at once or some milliseconds later; those
        // that write nothing are left to end.
        if drawn.dice.percent(66.0) {
            let later = u64::from(drawn.dice.between(0, 8));
            return Some(Moment::Writing(Duration::from_millis(later * later / 4)));
        }
        let part = f64::from(drawn.dice.between(30, 95)) / 100.0;
        Some(Moment::After(Duration::from_secs_f64(seconds * part)))
    }

    /// Runs a command up to its moment, if it is one to be killed. `look` is at what it writes.
    pub fn attempt(
        &self,
        what: &str,
        look: impl Fn() -> Traces,
        run: impl FnOnce(&mut Stop<'_>) -> Done,
    ) -> Attempt {
        let Some(moment) = self.moment(what) else {
            return Attempt::Spared;
        };
        let before = look();
        let mut begun = None;
        let done = run(&mut |elapsed| match moment {
            Moment::After(moment) => elapsed > moment,
            Moment::Writing(later) => {
                if begun.is_none() && has_written(&before, &look()) {
                    begun = Some(elapsed);
                }
                begun.is_some_and(|begun| elapsed >= begun + later)
            }
        });
        let mut drawn = self.drawn();
        if !done.killed {
            drawn.ended += 1;
            return Attempt::Ended(done);
        }
        drawn.at_work += u32::from(has_written(&before, &look()));
        *drawn.died.entry(kind(what).to_owned()).or_default() += 1;
        Attempt::Died(done)
    }

    /// How long a command took that was left alone.
    pub fn took(&self, what: &str, done: &Done) {
        self.drawn().seconds.insert(what.to_owned(), done.seconds);
    }

    /// Which were made.
    ///
    /// # Panics
    /// If they were fewer than wanted, or spared a program, or fewer than a third fell amid writing.
    pub fn summary(&self) -> String {
        let drawn = self.drawn();
        let died: u32 = drawn.died.values().sum();
        let kinds: Vec<String> = drawn
            .died
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        let text = format!(
            "{died} commands killed and run again ({}), {} of them had written something; {} had ended before their moment",
            kinds.join(", "),
            drawn.at_work,
            drawn.ended
        );
        assert!(
            died >= drawn.wanted,
            "too few commands could be killed: {text}"
        );
        for program in ["hedui-agent", "hedui-desk", "hedui-matcher"] {
            let spared = !drawn.died.keys().any(|kind| kind.starts_with(program));
            assert!(!spared || died == 0, "{program} was spared: {text}");
        }
        assert!(
            drawn.at_work * 3 >= died,
            "too few fell amid writing: {text}"
        );
        text
    }
}

/// Program and command, without what it works on.
fn kind(what: &str) -> &str {
    what.match_indices(' ')
        .nth(1)
        .map_or(what, |(at, _)| &what[..at])
}

/// Program, command, and what it works on.
pub fn name(bin: &str, args: &[&str]) -> String {
    // Cases have other numbers each time.
    let many = if args.first() == Some(&"approve") {
        1
    } else {
        2
    };
    let args = args.get(..many).unwrap_or(args);
    std::iter::once(bin)
        .chain(args.iter().copied())
        .collect::<Vec<_>>()
        .join(" ")
}
