//! Reads spans of time as people write them: `90`, `90s`, `15m`, `24h`, `7d`.

use std::time::Duration;

/// A span of time; a number alone counts seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_seconds = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        unit => return Err(format!("unit `{unit}` is not one of s, m, h, d")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "write a whole number and s, m, h or d, as in `24h`".to_owned())?;
    match number.checked_mul(unit_seconds) {
        Some(0) | None => Err("it must be more than 0, and not as long as that".to_owned()),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

/// When an invitation ends: a span of time, or `never`.
pub(crate) fn parse_expiry(text: &str) -> Result<Expiry, String> {
    match text {
        "never" => Ok(Expiry(None)),
        text => parse(text).map(|time| Expiry(Some(time))),
    }
}

/// A span of time after which something ends; `None` for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiry(pub(crate) Option<Duration>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("24h", 86400),
            ("7d", 604_800),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in [
            "",
            "h",
            "-1h",
            "1.5h",
            "1w",
            "0",
            "0s",
            "1h30m",
            "999999999999999999d",
            "ä",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_expiry("never"), Ok(Expiry(None)));
        assert_eq!(parse_expiry("1m"), Ok(Expiry(Some(Duration::from_secs(60)))));
    }
}
