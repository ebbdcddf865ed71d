//! How do answers look to people?
//!
//! Names, topics and bodies come from other machines: what could move the cursor of a terminal is shown as an escape.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use data_encoding::HEXLOWER;
use rustle_admin::views::{BlockKind, BlockView};
use rustle_types::Timestamp;

/// Bytes of a binary body that are shown.
const BINARY_SHOWN_BYTES: usize = 16;

/// Lines of columns under a head, without borders, so that any column can be copied.
pub(crate) fn columns<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head);
    for row in rows {
        table.add_row(row.map(|cell| plain(&cell)));
    }
    trimmed(&table.to_string())
}

/// Lines of names and values.
pub(crate) fn facts<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    for (name, value) in rows {
        let value: Vec<String> = value.lines().map(plain).collect();
        table.add_row([name.to_owned(), value.join("\n")]);
    }
    trimmed(&table.to_string())
}

/// A block in one line: height, id, time, author, topics, body.
pub(crate) fn block_line(view: &BlockView) -> String {
    let mut line = format!(
        "{:>6}  {}  {}  {}",
        view.height,
        view.block,
        utc(view.time),
        view.author
    );
    if !view.topics.is_empty() {
        let topics: Vec<String> = view.topics.iter().map(|topic| plain(topic)).collect();
        // Writing to a String cannot fail.
        let _ = write!(line, "  [{}]", topics.join(", "));
    }
    if view.kind == BlockKind::Genesis {
        line.push_str("  (the chain begins)");
    } else if !view.body.is_empty() {
        let _ = write!(line, "  {}", body(&view.body));
    }
    line
}

/// A span of time in its two largest units.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// A round trip; `-` where none was measured.
pub(crate) fn round_trip(time: Option<Duration>) -> String {
    time.map_or_else(
        || "-".to_owned(),
        |time| format!("{:.1} ms", time.as_secs_f64() * 1e3),
    )
}

fn body(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => plain(text),
        Err(_) => {
            let shown = HEXLOWER.encode(&bytes[..bytes.len().min(BINARY_SHOWN_BYTES)]);
            let more = if BINARY_SHOWN_BYTES < bytes.len() {
                "…"
            } else {
                ""
            };
            format!("<{} bytes: 0x{shown}{more}>", bytes.len())
        }
    }
}

/// Text with every control character (and every mark that reorders text) as its escape.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let reorders =
            matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || reorders {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// `2023-11-14T22:13:20Z`. Clocks of others may say anything; what is behind the year 9999 is shown as milliseconds.
pub(crate) fn utc(time: Timestamp) -> String {
    const YEAR_10000_MS: u64 = 253_402_300_800_000;
    if YEAR_10000_MS <= time.as_millis() {
        return format!("{time}ms");
    }
    let seconds = time.as_millis() / 1000;
    let (year, month, day) = civil(seconds / 86400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The date of a day counted from 1970-01-01 (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn trimmed(table: &str) -> String {
    let lines: Vec<&str> = table
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_dates() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_700_000_000_999, "2023-11-14T22:13:20Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59Z"),
            (253_402_300_800_000, "253402300800000ms"),
            (u64::MAX, "18446744073709551615ms"),
        ] {
            assert_eq!(utc(Timestamp::from_millis(millis)), text);
        }
        assert_eq!(span(Duration::from_millis(20)), "20 ms");
        assert_eq!(span(Duration::from_secs(90_061)), "1 d 1 h");
    }

    #[test]
    fn foreign_text_cannot_move_the_cursor() {
        assert_eq!(
            plain("a\n\x1b[2Jb\u{9b}c\u{202e}d é"),
            "a\\n\\u{1b}[2Jb\\u{9b}c\\u{202e}d é"
        );
        assert_eq!(body(b"\xff\x00"), "<2 bytes: 0xff00>");
        assert!(body(&[0xff; 100]).ends_with("ff…>"));
    }

    #[test]
    fn tables_have_no_borders_and_no_trailing_space() {
        let table = columns(
            ["NAME", "N"],
            [
                ["chat".to_owned(), "1".to_owned()],
                ["x\ty".to_owned(), "22".to_owned()],
            ],
        );
        assert_eq!(table, "NAME  N\nchat  1\nx\\ty  22");
        assert_eq!(
            facts([("peer", "a".to_owned()), ("at", "1\n2".to_owned())]),
            "peer  a\nat    1\n      2"
        );
    }
}
