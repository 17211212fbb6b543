//! What evaluations will cost. In: a number of values. Out: minutes and bytes, for people, before anything starts.
//! Invariant: an estimate from measured figures, rounded up; it never decides anything.
//! Figures: docs/PERFORMANCE.md, "OPRF".

use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::match_key::Side;
use hedui_protocol::message::evaluation::RequestManifest;

/// Microseconds of one core per value at the agent: blind, verify two custodians' proofs, combine, finalise.
const AGENT_MICROSECONDS: u64 = 101;
/// Microseconds of one core per value at each custodian.
const CUSTODIAN_MICROSECONDS: u64 = 49;
/// Bytes of a blinded element, each way.
const ELEMENT_BYTES: u64 = 32;

/// The cost of a number of values, in words.
pub fn of_values(values: u64) -> String {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let minutes = |microseconds: u64| (values * microseconds).div_ceil(60_000_000).max(1);
    let mib = (values * ELEMENT_BYTES).div_ceil(1 << 20);
    format!(
        "约 about {} 分钟 min 本机 here ({cores} 核 cores), 每个保管方 each custodian {} 分钟 min (单核 one core), \
         每个文件 each file {mib} MiB",
        minutes(AGENT_MICROSECONDS / cores.min(AGENT_MICROSECONDS)),
        minutes(CUSTODIAN_MICROSECONDS)
    )
}

/// One line per match key that allows for errors: how many values it adds for a full roll, and what they cost.
pub fn of_error_keys(agreement: &Agreement) -> Vec<String> {
    let roll = agreement.roll();
    let keys = agreement.match_keys().iter();
    keys.filter(|key| key.fan_out(Side::Roll) > 1)
        .map(|key| {
            let fan_out = key.fan_out(Side::Roll);
            let of = |rows: u64| of_values(rows * fan_out as u64);
            format!(
                "容错匹配键 match key that allows for errors: `{}`, 名册每人至多 at most {fan_out} 个取值 values per person; \
                 每万人 per 10,000 persons: {}",
                key.name,
                of(10_000.min(roll.rows_max))
            )
        })
        .collect()
}

/// A warning where the elements that would be asked, padding included, are more than the quota of an epoch.
pub fn quota_warning(agreement: &InForce, values: u64, dataset: &str) -> Option<String> {
    let dataset = agreement.dataset_or_nearest(dataset).ok()?;
    let quota = agreement.evaluations_max(dataset);
    let values = RequestManifest::padded(values);
    (values > quota).then(|| {
        format!(
            "超过协议限额 more than the agreement allows in one epoch: {values} > {quota}; \
             custodians will refuse (`evaluations_max`)"
        )
    })
}
