//! Delivering what has changed in a register. In: a file of changes, what is kept of the last whole delivery. Out: a sealed delivery that
//! names the whole one. Invariant: what is kept follows before the file is sent, under a digest of the file, so that a repeated command
//! applies nothing twice and makes the same bytes. Specification: protocol/SPEC.md, "Changes"; docs/OPERATIONS.md, "Changes".

use std::path::Path;

use hedui_edge::Problem;
use hedui_keys::kit_store::KitStore;
use hedui_keys::lock::{KEYED_WARNING, Keyed};
use hedui_protocol::agreement::text::{DatasetKind, LockKind};
use hedui_protocol::limits::{CHANGED_RECORDS_LEAST, CHANGED_RECORDS_MAX};
use hedui_protocol::message::kit::Kit;
use hedui_protocol::primitive::hex;
use hedui_protocol::refusal::Refusal;

use super::submit::{Delivered, Reach, Run};
use crate::changes::apply::{self, Counts};
use crate::changes::body;
use crate::changes::differ::{self, Difference};
use crate::changes::kept::{self, Changed, Head, Kept};
use crate::evaluation::Workshop;
use crate::evaluation::tokens::Tokens;
use crate::intake::Prepared;
use crate::spool::Spool;
use crate::submit::TakePart;

impl Run<'_> {
    /// Keeps a whole delivery so that changes can build on it, if its mapping says how rows are told apart.
    pub(super) fn keep_for_changes(
        &self,
        prepared: &Prepared,
        spool: &mut Spool,
        kit: &Kit,
        delivered: &Delivered,
    ) -> Result<(), Problem> {
        let register = &prepared.dataset.name;
        let kept = Kept::of(self.state, self.identity, self.agreement, register.as_str());
        if prepared.mapping.changes.is_none() || self.agreement.likeness().is_some() {
            return kept.forget_all();
        }
        if prepared.content.rows() > kept::KEPT_ROWS_MAX {
            self.console.note(&format!(
                "{register}: 行数过多，以后须全量报送 too many rows to deliver changes to them later"
            ));
            return kept.forget_all();
        }
        if let Some(unfit) = kept::unfit(spool)? {
            let rows: Vec<String> = unfit.rows.iter().map(u64::to_string).collect();
            self.console.note(&format!(
                "{register}: {} 行的关键列为空或与别行相同（行 {} …），改正前不能报送变更，须全量报送 rows have no key of their own: until that \
                 is corrected, changes cannot be delivered",
                unfit.count,
                rows.join(", ")
            ));
            return kept.forget_all();
        }
        let encoder = self.encoder(prepared, register, kit);
        let sent = &delivered.sent;
        let base = kept::base_of(&sent.header_sha256);
        let day = sent.created.get(..10).unwrap_or_default();
        kept.keep_whole(
            (&encoder, prepared.dataset.fact.len()),
            spool,
            &delivered.too_common,
            (&base, day, prepared.mapping.form(), &prepared.content),
        )
    }

    /// Applies a file of changes to what is kept and delivers the difference.
    pub(super) fn changes(
        &self,
        prepared: &mut Prepared,
        file: &Path,
        reach: Reach,
    ) -> Result<(), Problem> {
        let register = prepared.dataset.name.clone();
        if prepared.dataset.kind == DatasetKind::Roll || self.agreement.likeness().is_some() {
            return Err(Problem::data(
                "名册和使用整条记录滤波器的协议须全量报送 a roll, and any dataset under an agreement with record filters, is delivered whole",
                "submit without --changes",
            ));
        }
        let kept = Kept::of(self.state, self.identity, self.agreement, register.as_str());
        let head = kept.head()?.ok_or_else(|| {
            Problem::not_yet(
                format!("`{register}`: 没有可供变更的全量报送 there is no whole delivery to change"),
                "先全量报送一次，字段对应表中须有 [changes] deliver it whole once, with [changes] in the mapping",
            )
        })?;
        if head.form != prepared.mapping.form() {
            return Err(Problem::not_yet(
                format!(
                    "`{register}`: 字段对应表已与上次全量报送时不同 the mapping is another than that of the whole delivery"
                ),
                "请全量报送一次：未变更的行也须按新的对应表重新处理 deliver the whole register once: rows that have not changed must be read anew too",
            ));
        }
        if self.options.data.as_of.is_none() {
            let day = match prepared.mapping.as_of.as_str() {
                "" => "未注明 not stated",
                day => day,
            };
            self.console.note(&format!(
                "未写 --as-of：数据截止日仍为对应表所写 the day for which the data hold is still the mapping's: {day}"
            ));
        }
        if prepared.reading.ragged_count > 0 {
            let rows: Vec<String> = prepared
                .reading
                .ragged_rows
                .iter()
                .take(5)
                .map(u64::to_string)
                .collect();
            return Err(Problem::data(
                format!(
                    "{} 行的列数与表头不同 rows have another number of cells than the header ({})",
                    prepared.reading.ragged_count,
                    rows.join(", ")
                ),
                "未作任何变更；请改正变更文件 nothing was changed: correct the file",
            ));
        }
        let mut since = kept.since(&head.base)?;
        self.is_still_there(&register, &head, &since)?;
        let kit = KitStore::new(self.state, self.identity, self.agreement)
            .get(&prepared.dataset)?
            .ok_or_else(|| {
                Problem::data(
                    format!("the kit of `{register}` is not here"),
                    "deliver changes from the folder of the whole delivery",
                )
            })?;
        let digest = hex(&prepared.source_sha256);
        let place = since.files.iter().position(|known| *known == digest);
        if place.is_some_and(|place| place + 1 < since.files.len()) {
            return Err(Problem::data(
                format!(
                    "{}: 此前已报送，其后又有变更 this file was delivered before, and others since",
                    file.display()
                ),
                "nothing was changed: give the newest file",
            ));
        }
        let mut spool = std::mem::replace(&mut prepared.spool, Spool::new(self.state)?);
        let (difference, counts) = {
            let encoder = self.encoder(prepared, &register, &kit);
            let changes = match place {
                Some(_) => Vec::new(),
                None => apply::read(&encoder, &mut spool)?,
            };
            let mut versions = apply::touched(&kept, (&head.base, &since), &changes)?;
            let file = since.files.len() as u64 + 1;
            let some_left_out = !prepared.mapping.skip.is_empty();
            let counts = apply::apply(&mut versions, changes, (file, some_left_out))?;
            let facts = prepared.dataset.fact.len();
            let difference = differ::difference(&encoder, facts, &kept, &head, &versions)?;
            since.records = versions
                .into_iter()
                .filter(|(_, version)| !version.is_same())
                .map(|(handle, version)| (handle, version.rows()))
                .collect();
            (difference, counts)
        };
        self.check_size(prepared, &head, &difference)?;
        for (handle, rows) in &difference.come {
            rows.iter()
                .try_for_each(|row| prepared.spool.push(handle.0[0], &row.bytes))?;
        }
        prepared.content = difference.content;
        prepared.snapshot = difference.content.name(&prepared.pseudonyms);
        if self.options.is_estimate() {
            return self.estimate(prepared);
        }
        if place.is_none() {
            since.files.push(digest);
        } else {
            self.console.note(
                "这份变更文件此前已处理，现重新封装 this file was applied before: it is only sealed again",
            );
        }
        self.deliver_changes(
            prepared,
            reach,
            (&kept, &head, &mut since),
            &difference,
            &kit,
        )?
        .map_or(Ok(()), |rows| {
            self.say(prepared, &counts, &difference, rows);
            Ok(())
        })
    }

    /// Whether the matcher still has the delivery that is changed.
    fn is_still_there(
        &self,
        register: &hedui_protocol::ids::Name,
        head: &Head,
        since: &Changed,
    ) -> Result<(), Problem> {
        let last = match since.sent.as_str() {
            "" => &head.sent,
            day => day,
        };
        let kept_for = i64::from(self.agreement.text().retention_days);
        let age = self.home.clock()?.days_since(last);
        if age.is_some_and(|days| days > kept_for) {
            return Err(Problem::not_yet(
                format!(
                    "`{register}`: 上次报送（{last}）已超过保存期 {kept_for} 天，核对中心已删除 the last delivery is older than the matcher \
                     keeps it"
                ),
                "请全量报送 deliver the whole register",
            ));
        }
        Ok(())
    }

    fn check_size(
        &self,
        prepared: &Prepared,
        head: &Head,
        difference: &Difference,
    ) -> Result<(), Problem> {
        let (found, allowed) = (difference.content.rows(), prepared.dataset.rows_max);
        if found > allowed {
            let what = "rows";
            return Err(Refusal::Oversize {
                what,
                found,
                allowed,
            }
            .into());
        }
        let found = difference.gone.len().max(difference.come.len()) as u64;
        let share = (head.tally.records / 4).max(CHANGED_RECORDS_LEAST);
        let most = share.min(CHANGED_RECORDS_MAX);
        if found > most {
            return Err(Problem::data(
                format!(
                    "自上次全量报送以来已有 {found} 条记录不同，上限 {most} 条 {found} records differ from the last whole delivery, changes may be \
                     {most}"
                ),
                "未作任何变更；请全量报送 nothing was changed: deliver the whole register",
            ));
        }
        Ok(())
    }

    /// Encodes and seals the difference; the number of rows of the register now, or `None` where custodians are asked first.
    fn deliver_changes(
        &self,
        prepared: &mut Prepared,
        reach: Reach,
        (kept, head, since): (&Kept<'_>, &Head, &mut Changed),
        difference: &Difference,
        kit: &Kit,
    ) -> Result<Option<u64>, Problem> {
        let folders = (self.state, self.options.exchange());
        let workshop;
        let mut tokens = None;
        match self.agreement.text().lock {
            LockKind::Keyed if reach == Reach::Prepare => {
                self.console
                    .say("本协议不使用密钥保管方 this agreement has no custodians: submit at once");
                return Ok(None);
            }
            LockKind::Keyed => self.console.note(KEYED_WARNING),
            LockKind::Oprf => {
                workshop = Workshop::new(self.agreement, self.identity, folders, self.console)?;
                let Some(mut values) = self.evaluated(&workshop, prepared, reach)? else {
                    return Ok(None);
                };
                tokens = Some(Tokens::gather(&workshop, &mut values)?);
            }
        }
        let register = prepared.dataset.name.clone();
        let mut spool = std::mem::replace(&mut prepared.spool, Spool::new(self.state)?);
        let prepared = &*prepared;
        let encoder = self.encoder(prepared, &register, kit);
        let keyed = Keyed::new(&kit.shared_secret);
        let mut parts = |take: &mut TakePart<'_>| {
            self.each_part(prepared, &mut spool, (tokens.as_mut(), &keyed), take)
        };
        let built = body::build(
            &encoder,
            (&head.base, &prepared.mapping.as_of, &prepared.snapshot),
            (&head.tally, difference),
            self.state,
            &mut parts,
        )?;
        // The same file again is the message that the matcher has, or had.
        if since.sent.is_empty() || since.snapshot != prepared.snapshot {
            since.sent = self.home.clock()?.today();
        }
        since.snapshot.clone_from(&prepared.snapshot);
        kept.keep_since(&head.base, since)?;
        self.post(register.as_str(), &built)?;
        Ok(Some(difference.content.rows()))
    }

    fn say(&self, prepared: &Prepared, counts: &Counts, difference: &Difference, rows: u64) {
        let register = &prepared.dataset.name;
        self.console.say(&format!(
            "已报送变更 changes submitted: {register}, 新增 added {}, 变更 changed {}, 注销 withdrawn {}, 无变化 the same {}; \
             与上次全量报送相比 against the last whole delivery: {} 条记录撤下 gone, {} 条新报 come; 现有 now {rows} 行 rows",
            counts.added,
            counts.changed,
            counts.withdrawn,
            counts.same,
            difference.gone.len(),
            difference.come.len(),
        ));
        self.console.object(&serde_json::json!({
            "dataset": register.as_str(),
            "rows": rows,
            "changes": counts,
            "records_gone": difference.gone.len(),
            "records_come": difference.come.len(),
        }));
    }
}
