//! How complete deliveries are, one after the other (数据质量变化). In: presence tables of what is in force. Out: per delivery the
//! share of its records that have each match key. Invariant: counts only, of what the matcher sees anyway; padding has the bitmaps
//! of the delivery's own records, so shares are those of the records to a thousandth or so. Kept when `readiness` is asked, so
//! that a delivery that was replaced since still shows. The twelve invented records count too: in a register of few they show. Specification: docs/OPERATIONS.md, "Readiness".

use std::collections::BTreeMap;
use std::path::Path;

use hedui_edge::Problem;
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::KeyClass;
use hedui_protocol::message::submission::{GONE, HANDLE_BYTES, PRESENCE, PRESENCE_ROW_BYTES};
use rusqlite::params;

use crate::delivery::handles;
use crate::intake::State;
use crate::ledger::{Accepted, Ledger};

/// Thousandths of the records that have each match key, by its name.
pub(crate) type Shares = BTreeMap<String, u32>;

/// Shares of a dataset's deliveries, the earliest first.
pub(crate) type History = BTreeMap<String, Vec<Shares>>;

fn failed(error: &rusqlite::Error) -> Problem {
    Problem::data(format!("the ledger: {error}"), "restore it from a backup")
}

/// Counts what is in force and not counted yet, and returns what was counted of every dataset.
pub(crate) fn history(
    state: &State,
    ledger: &Ledger,
    agreement: &Agreement,
) -> Result<History, Problem> {
    let wrap = |error: rusqlite::Error| failed(&error);
    let connection = &ledger.connection;
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS shares (header_sha256 TEXT PRIMARY KEY, keys TEXT NOT NULL) STRICT;",
        )
        .map_err(wrap)?;
    for accepted in ledger.in_force(agreement)? {
        let known: u32 = connection
            .query_row(
                "SELECT count(*) FROM shares WHERE header_sha256 = ?1",
                params![accepted.header_sha256],
                |row| row.get(0),
            )
            .map_err(wrap)?;
        if known > 0 {
            continue;
        }
        let shares = shares(state, agreement, &accepted)?;
        let json = serde_json::to_string(&shares)
            .map_err(|error| Problem::data(error.to_string(), "report this"))?;
        connection
            .execute(
                "INSERT INTO shares (header_sha256, keys) VALUES (?1, ?2)",
                params![accepted.header_sha256, json],
            )
            .map_err(wrap)?;
    }
    let mut statement = connection
        .prepare(
            "SELECT dataset, register, keys FROM message JOIN shares USING (header_sha256)
             WHERE agreement = ?1 AND epoch = ?2 ORDER BY accepted, sender, seq",
        )
        .map_err(wrap)?;
    let place = params![agreement.digest().to_hex(), agreement.epoch().0];
    let rows = statement
        .query_map(place, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .map_err(wrap)?;
    let mut series: BTreeMap<(String, String), Vec<Shares>> = BTreeMap::new();
    for row in rows {
        let (dataset, register, keys): (String, String, String) = row.map_err(wrap)?;
        let shares: Shares = serde_json::from_str(&keys).map_err(|error| {
            Problem::data(error.to_string(), "restore the ledger from a backup")
        })?;
        series.entry((dataset, register)).or_default().push(shares);
    }
    // The roll is delivered once for every register, with padding of its own each time: one register's series stands for it, the
    // longest, of several the first by name.
    let mut history = History::new();
    for ((dataset, _), own) in series {
        let held = history.entry(dataset).or_default();
        if own.len() > held.len() {
            *held = own;
        }
    }
    Ok(history)
}

/// Shares of one delivery; of changes, of the whole that they make.
fn shares(state: &State, agreement: &Agreement, accepted: &Accepted) -> Result<Shares, Problem> {
    let folder = |header: &String| state.segments().join(header);
    let own = folder(&accepted.header_sha256);
    let mut counts = [0_u64; 16];
    let mut rows = 0;
    count(&own.join(PRESENCE), &[], (&mut rows, &mut counts))?;
    if let Some(base) = &accepted.base {
        let gone = handles(&own.join(GONE), HANDLE_BYTES)?;
        let gone: Vec<[u8; 16]> = gone.into_iter().map(|handle| handle.0).collect();
        count(
            &folder(base).join(PRESENCE),
            &gone,
            (&mut rows, &mut counts),
        )?;
    }
    let permille = |count: u64| u32::try_from(count * 1000 / rows.max(1)).unwrap_or(1000);
    let keys = agreement.match_keys().iter();
    Ok(keys
        .map(|key| {
            let count = counts[usize::from(key.number - 1)];
            (key.name.to_string(), permille(count))
        })
        .collect())
}

/// Counts the bits of a presence table, without the rows of some handles, which ascend.
fn count(
    path: &Path,
    without: &[[u8; 16]],
    (rows, counts): (&mut u64, &mut [u64; 16]),
) -> Result<(), Problem> {
    let bytes = std::fs::read(path).map_err(|error| Problem::io(path, error))?;
    for row in bytes.chunks_exact(PRESENCE_ROW_BYTES) {
        let Some((handle, rest)) = row.split_first_chunk::<16>() else {
            continue;
        };
        if without.binary_search(handle).is_ok() {
            continue;
        }
        let bitmap = rest
            .first_chunk::<2>()
            .map_or(0, |bits| u16::from_be_bytes(*bits));
        *rows += 1;
        for (bit, count) in counts.iter_mut().enumerate() {
            *count += u64::from(bitmap >> bit & 1);
        }
    }
    Ok(())
}

/// The class-A key in words: its share in percent, and by how much it changed since the delivery before, in points.
pub(crate) fn words(agreement: &Agreement, history: &[Shares]) -> String {
    let keys = agreement.match_keys();
    let Some(key) = keys.iter().find(|key| key.class == KeyClass::A) else {
        return String::new();
    };
    let share = |shares: &Shares| shares.get(key.name.as_str()).copied().map(f64::from);
    let Some(now) = history.last().and_then(share) else {
        return String::new();
    };
    let before = history.iter().rev().nth(1).and_then(share);
    match before {
        None => format!("{:.1} %", now / 10.0),
        Some(before) => format!("{:.1} %（{:+.1}）", now / 10.0, (now - before) / 10.0),
    }
}
