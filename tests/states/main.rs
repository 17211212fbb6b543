//! State machines, explored: every order of every few events against the real code of intake, quota and sending. In: small sets of
//! messages, crashes in between. Out: passes, or the shortest path on which code and specification part. Invariant under test: what
//! SPEC.md says of numbers, requests, duplicates, quotas and the log holds in every state that can be reached, not in chosen ones.

mod intake;
mod quota;
mod sending;

use std::collections::{BTreeSet, VecDeque};

/// Explores all states that `actions` reach within `depth` steps, the shortest paths first. `replay` runs a path on the real code
/// from the beginning, compares it with the specification, and names the state at its end.
pub(crate) fn explore<A: Copy + std::fmt::Debug, S: Ord>(
    actions: &[A],
    depth: usize,
    replay: impl Fn(&[A]) -> S,
) -> usize {
    let mut seen = BTreeSet::from([replay(&[])]);
    let mut paths: VecDeque<Vec<A>> = VecDeque::from([Vec::new()]);
    while let Some(path) = paths.pop_front() {
        if path.len() == depth {
            continue;
        }
        for action in actions {
            let mut longer = path.clone();
            longer.push(*action);
            if seen.insert(replay(&longer)) {
                paths.push_back(longer);
            }
        }
    }
    seen.len()
}
