//! The clock, read in one place. In: the system's time or `--today`. Out: days and UTC times as text.
//! Invariant: nothing that enters a key, tag, decision or result depends on it.
//! A stated day makes runs repeatable.
//! Specification: docs/ARCHITECTURE.md, "Time".

use chrono::{DateTime, Days, NaiveDate, Utc};

use crate::problem::Problem;

/// A moment in seconds since 1970-01-01T00:00:00Z as `YYYY-MM-DDThh:mm:ssZ`; as a number if it is beyond the calendar.
pub fn utc(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok();
    let moment = moment.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    moment.map_or_else(
        || seconds.to_string(),
        |moment| moment.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

/// The time that a process works with.
#[derive(Clone, Debug)]
pub struct Clock {
    day: NaiveDate,
    time: Option<String>,
}

impl Clock {
    /// The system's clock, or noon of a stated day `YYYY-MM-DD`.
    pub fn new(today: Option<&str>) -> Result<Self, Problem> {
        match today {
            None => {
                let now = Utc::now();
                Ok(Self {
                    day: now.date_naive(),
                    time: Some(now.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
                })
            }
            Some(text) => NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .map(|day| Self { day, time: None })
                .map_err(|_| {
                    Problem::usage(
                        "--today is not a date",
                        "write it as YYYY-MM-DD, for example 2016-07-01",
                    )
                }),
        }
    }

    /// Today as `YYYY-MM-DD`.
    pub fn today(&self) -> String {
        self.day.format("%Y-%m-%d").to_string()
    }

    /// Now as `YYYY-MM-DDThh:mm:ssZ`.
    pub fn now(&self) -> String {
        self.time
            .clone()
            .unwrap_or_else(|| format!("{}T12:00:00Z", self.today()))
    }

    /// Now in seconds since 1970-01-01T00:00:00Z; 0 before.
    pub fn unix_seconds(&self) -> u64 {
        let now = DateTime::parse_from_rfc3339(&self.now());
        now.ok()
            .and_then(|now| u64::try_from(now.timestamp()).ok())
            .unwrap_or(0)
    }

    /// Days from a day `YYYY-MM-DD` to today; `None` if it is no day.
    pub fn days_since(&self, day: &str) -> Option<i64> {
        let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
        Some(self.day.signed_duration_since(day).num_days())
    }

    /// `days` after today as `YYYY-MM-DD`.
    pub fn after(&self, days: u32) -> String {
        let later = self
            .day
            .checked_add_days(Days::new(u64::from(days)))
            .unwrap_or(self.day);
        later.format("%Y-%m-%d").to_string()
    }
}
