//! Points in time, as every table stores them: microseconds since 1970 in UTC.

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// Microseconds since 1970-01-01T00:00:00Z.
///
/// Displayed as RFC 3339 with six decimals and `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

/// Microseconds in one second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds in one minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds in one hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds in one day.
pub const DAY: i64 = 24 * HOUR;

/// Tells the time. The core has none of its own: whoever needs one is handed it.
pub type Clock = std::sync::Arc<dyn Fn() -> Time + Send + Sync>;

impl Time {
    /// The earliest event time that is believed (DESIGN decision 11): 2000-01-01T00:00:00Z.
    pub const EARLIEST_BELIEVED: Self = Self(946_684_800 * SECOND);

    /// Reads RFC 3339; `None` if the text is not a time or is outside what 64 bits of microseconds hold.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self(time.timestamp_micros()))
    }

    /// From nanoseconds since 1970, as OTLP has them.
    #[must_use]
    pub fn from_nanos(nanos: u64) -> Self {
        Self(i64::try_from(nanos / 1000).unwrap_or(i64::MAX))
    }

    /// Microseconds from `earlier` to here; negative if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This time moved by `micros` microseconds, saturating.
    #[must_use]
    pub fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Days since 1970-01-01, as Arrow's `Date32`: the partition column `date`.
    #[must_use]
    pub fn date(self) -> i32 {
        i32::try_from(self.0.div_euclid(DAY)).unwrap_or(i32::MAX)
    }

    /// `HH:MM:SS` in UTC, for people.
    #[must_use]
    pub fn clock(self) -> String {
        self.utc().map_or_else(|| self.0.to_string(), |time| time.format("%H:%M:%S").to_string())
    }

    fn utc(self) -> Option<DateTime<Utc>> {
        DateTime::<Utc>::UNIX_EPOCH.checked_add_signed(TimeDelta::microseconds(self.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.utc() {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true)),
            None => write!(f, "{}us", self.0),
        }
    }
}
