//! How do domain types become protobuf, and back?
//!
//! Out is total. In is what a client does with an answer: it can fail, since the daemon may be another version.

mod chains;
mod content;
mod node;
mod peers;
mod routing;
mod store;
mod tunnels;

use std::time::Duration;

pub(crate) use self::content::dag_form;
pub(crate) use self::peers::all;
pub(crate) use self::store::page_token;
pub(crate) use self::tunnels::allowed;

/// An answer that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}`: {cause}")]
pub struct Unreadable {
    field: &'static str,
    cause: String,
}

/// Parses one text field of an answer.
pub(crate) fn field<T>(field: &'static str, text: &str) -> Result<T, Unreadable>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|cause: T::Err| Unreadable {
        field,
        cause: cause.to_string(),
    })
}

/// Takes a message field that must be there.
pub(crate) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, Unreadable> {
    value.ok_or_else(|| Unreadable {
        field,
        cause: "it is missing".to_owned(),
    })
}

/// Whole milliseconds; more than 584 million years are cut.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// An optional text field: empty where it is absent.
fn said(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

pub(crate) fn fields<T>(name: &'static str, texts: &[String]) -> Result<Vec<T>, Unreadable>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    texts.iter().map(|text| field(name, text)).collect()
}
