//! Days. In: text `YYYY-MM-DD`. Out: a day of the calendar that compares as days do.
//! Invariant: a value is a day that exists, written in the one form, so comparing text compares days.
//! A spreadsheet's own dates arrive through [`Day::from_date`].
//! Specification: ISO 8601, calendar dates.

use std::fmt;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

/// A day of the calendar.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(String);

impl Day {
    /// Reads `YYYY-MM-DD`, and what people write for it: `2016/7/1`, `2016.7.1`, `20160701`, `2016年7月1日`.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        if digits && text.len() == 8 {
            return NaiveDate::parse_from_str(text, "%Y%m%d")
                .ok()
                .map(Self::from_date);
        }
        let text = text.trim_end_matches('日');
        let mut parts = text.split(['-', '/', '.', '年', '月']);
        let mut next = || -> Option<u32> {
            let part = parts.next()?.trim();
            (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
                .then(|| part.parse().ok())
                .flatten()
        };
        let (year, month, day) = (next()?, next()?, next()?);
        if parts.next().is_some() || !(1900..=9999).contains(&year) {
            return None;
        }
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
        Some(Self::from_date(date))
    }

    /// A day of the calendar.
    pub fn from_date(date: NaiveDate) -> Self {
        Self(date.format("%Y-%m-%d").to_string())
    }

    /// The day of a UTC time of the history, whose form this program wrote itself.
    pub fn of_time(at: &str) -> Self {
        Self(at.chars().take(10).collect())
    }

    /// So many days later.
    pub fn after(&self, days: u32) -> Self {
        let date = NaiveDate::parse_from_str(&self.0, "%Y-%m-%d").ok();
        date.and_then(|date| date.checked_add_days(Days::new(u64::from(days))))
            .map_or_else(|| self.clone(), Self::from_date)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Day {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match Self::read(&text) {
            Some(day) if day.0 == text => Ok(day),
            _ => Err("a day is written YYYY-MM-DD"),
        }
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.0
    }
}

#[cfg(test)]
mod tests {
    use super::Day;

    #[test]
    fn what_people_write_is_read_and_what_is_no_day_is_not() {
        for text in [
            "2016-07-01",
            "2016/7/1",
            "2016.07.1",
            "20160701",
            "2016年7月1日",
            " 2016-7-1 ",
        ] {
            assert_eq!(Day::read(text).unwrap().as_str(), "2016-07-01", "{text}");
        }
        for text in [
            "",
            "2016-02-30",
            "16-7-1",
            "2016-7",
            "1.7.2016",
            "2016-07-01-02",
            "七月",
            "42552",
        ] {
            assert!(Day::read(text).is_none(), "{text}");
        }
        assert_eq!(
            Day::read("2016-12-31").unwrap().after(1).as_str(),
            "2017-01-01"
        );
        assert!(Day::read("2016-12-31").unwrap() < Day::read("2017-01-01").unwrap());
        assert!(serde_json::from_str::<Day>("\"2016-7-1\"").is_err());
    }
}
