//! The body of a delivery of changes. In: what goes and what comes, counts before and now, the lock. Out: a body ready to be sealed.
//! Invariant: canaries and padding are what they would be in a whole delivery, and are sent only where they differ: otherwise what
//! is sent again unchanged would show which records are nobody's.
//! Specification: protocol/SPEC.md, "Changes".

use std::collections::BTreeMap;
use std::path::Path;

use hedui_edge::Problem;
use hedui_protocol::ids::{Handle, Name};
use hedui_protocol::limits::PAYLOAD_CLASSES;
use hedui_protocol::message::submission::{
    GONE, HANDLE_BYTES, Manifest, PRESENCE_ROW_BYTES, expected,
};
use hedui_protocol::message::{Table, manifest_bytes, payload};
use rayon::prelude::*;

use super::differ::Difference;
use super::kept::Tally;
use crate::canary;
use crate::encode::{Encoder, facts_of, row};
use crate::extsort::{Row, Sorter};
use crate::padding::{self, Counts};
use crate::record::Grouped;
use crate::submit::{Body, Built, Parts, head};
use crate::usual::Usual;

/// What a whole delivery has besides its records.
struct Besides {
    usual: Usual,
    canaries: Vec<Grouped>,
    /// Presence row and place of the payload's class of every padding record.
    padding: BTreeMap<u64, ([u8; PRESENCE_ROW_BYTES], usize)>,
}

impl Besides {
    fn of(encoder: &Encoder<'_>, tally: &Tally) -> Self {
        let usual = Usual::among(encoder, &tally.presence, tally.classes);
        let side = (encoder.register, false);
        let canaries = canary::records(encoder.agreement, encoder.pseudonyms, side, &usual);
        let mut all = tally.clone();
        for canary in &canaries {
            all.add(usual.bitmap, crate::usual::class_at(canary));
        }
        let mut counts = Counts {
            persons: all.records,
            presence: all.presence,
            classes: all.classes,
            ..Counts::default()
        };
        counts.close(false);
        let mut padding = BTreeMap::new();
        for at in 0..PAYLOAD_CLASSES.len() {
            for index in counts.payload_padding(at) {
                padding.insert(index, (counts.presence_row(encoder, index), at));
            }
        }
        Self {
            usual,
            canaries,
            padding,
        }
    }
}

/// Rows of the records that come.
struct Coming {
    tags: Vec<Sorter>,
    presence: Vec<[u8; PRESENCE_ROW_BYTES]>,
    payloads: [Vec<Vec<u8>>; PAYLOAD_CLASSES.len()],
}

/// Rows of one record.
type RecordRows = (Vec<Vec<Row>>, [u8; PRESENCE_ROW_BYTES], Vec<u8>);

impl Coming {
    fn record(
        encoder: &Encoder<'_>,
        lock: &dyn hedui_keys::lock::Lock,
        person: &Grouped,
        difference: &Difference,
    ) -> Result<RecordRows, Problem> {
        let handle = encoder.pseudonyms.handle(encoder.register, &person.id);
        let too_common = &difference.too_common;
        let tokens = encoder.tokens(lock, person)?;
        let (mut tags, _) = encoder.tag_rows(lock, person)?;
        for (key, rows) in encoder.agreement.match_keys().iter().zip(&mut tags) {
            if too_common.contains(&(handle, key.number)) {
                *rows = vec![row(encoder.filler((key.number, 0), handle), handle)];
            }
        }
        let presence = encoder.presence_row((handle, person), &tokens, too_common);
        let payload = encoder.payload_row(handle, &tokens, too_common, &facts_of(person));
        Ok((tags, presence, payload))
    }

    fn add(
        &mut self,
        releases: usize,
        (tags, presence, payload): RecordRows,
    ) -> Result<(), Problem> {
        for (sorter, rows) in self.tags.iter_mut().zip(tags) {
            rows.into_iter().try_for_each(|row| sorter.push(row))?;
        }
        self.presence.push(presence);
        let width = |class: &usize| payload::row_bytes(*class, releases) == payload.len();
        if let Some(at) = PAYLOAD_CLASSES.iter().position(width) {
            self.payloads[at].push(payload);
        }
        Ok(())
    }
}

/// Builds the body: `parts` hands over the records that come, with their lock.
pub fn build(
    encoder: &Encoder<'_>,
    (base, as_of, snapshot): (&str, &str, &str),
    (before, difference): (&Tally, &Difference),
    work: &Path,
    parts: &mut Parts<'_>,
) -> Result<Built, Problem> {
    let (then, now) = (
        Besides::of(encoder, before),
        Besides::of(encoder, &difference.tally),
    );
    let keys = encoder.agreement.match_keys();
    let releases = encoder.releases.len();
    let mut gone = difference.gone.clone();
    let mut coming = Coming {
        tags: keys.iter().map(|_| Sorter::new(work)).collect(),
        presence: Vec::new(),
        payloads: Default::default(),
    };
    parts(&mut |persons, lock| {
        let rows: Vec<_> = persons
            .par_iter()
            .map(|person| Coming::record(encoder, lock, person, difference))
            .collect();
        rows.into_iter()
            .try_for_each(|rows| coming.add(releases, rows?))
    })?;
    let records = coming.presence.len() as u64;
    for (old, new) in then.canaries.iter().zip(&now.canaries) {
        if old.canary != new.canary {
            gone.push(encoder.pseudonyms.handle(encoder.register, &new.id));
            let rows = Coming::record(encoder, &crate::submit::Nobody, new, difference)?;
            coming.add(releases, rows)?;
        }
    }
    for (index, old) in &then.padding {
        if now.padding.get(index) != Some(old) {
            gone.push(padding::handle(encoder, *index));
        }
    }
    for (index, new) in &now.padding {
        if then.padding.get(index) == Some(new) {
            continue;
        }
        let tags = keys
            .iter()
            .map(|key| padding::tag_rows(encoder, key, *index).collect())
            .collect();
        let payload = padding::payload_row(encoder, PAYLOAD_CLASSES[new.1], *index);
        coming.add(releases, (tags, new.0, payload))?;
    }
    gone.sort_unstable();
    let manifest = manifest(
        encoder,
        (base, as_of, snapshot),
        &now.usual,
        (&gone, &coming),
    )?;
    let (file, body_bytes, sha256) = write(&manifest, &gone, coming, work)?;
    Ok(Built {
        file,
        body_bytes,
        sha256,
        persons_count: records,
        too_common_counts: Vec::new(),
        too_common: difference.too_common.clone(),
    })
}

fn manifest(
    encoder: &Encoder<'_>,
    (base, as_of, snapshot): (&str, &str, &str),
    usual: &Usual,
    (gone, coming): (&[Handle], &Coming),
) -> Result<Manifest, Problem> {
    let register = Name::try_from(encoder.register.to_owned())
        .map_err(|why| Problem::data(why, "report this"))?;
    let rows_of = |name: &str| {
        let class = PAYLOAD_CLASSES
            .iter()
            .position(|class| payload::table_name(*class) == name);
        class.map_or(coming.presence.len(), |at| coming.payloads[at].len()) as u64
    };
    let mut tables = vec![Table {
        name: GONE.to_owned(),
        width: u32::try_from(HANDLE_BYTES).unwrap_or(u32::MAX),
        rows: gone.len() as u64,
    }];
    tables.extend(
        expected(encoder.agreement, false)
            .into_iter()
            .map(|(name, width)| Table {
                width: u32::try_from(width).unwrap_or(u32::MAX),
                rows: rows_of(&name),
                name,
            }),
    );
    head(
        encoder,
        &register,
        (as_of, snapshot, usual),
        Some(base.to_owned()),
        tables,
    )
}

fn write(
    manifest: &Manifest,
    gone: &[Handle],
    mut coming: Coming,
    work: &Path,
) -> Result<(hedui_edge::files::Scratch, u64, [u8; 32]), Problem> {
    let mut body = Body::new(work)?;
    body.write(&manifest_bytes(manifest)?)?;
    gone.iter().try_for_each(|handle| body.write(&handle.0))?;
    for sorter in coming.tags {
        sorter.drain(|row| body.write(&row))?;
    }
    coming.presence.sort_unstable();
    coming.presence.iter().try_for_each(|row| body.write(row))?;
    for mut table in coming.payloads {
        table.sort_unstable();
        table.iter().try_for_each(|row| body.write(row))?;
    }
    body.finish()
}
