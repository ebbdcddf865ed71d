//! Which value does `CID/a/0/b` name?

use ipld_core::ipld::Ipld;
use rustle_types::Cid;

use crate::IpldError;

/// Where names led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Selected {
    /// A value of this block.
    Value(Ipld),
    /// A link, and how many of the names were used on the way: the rest goes on in its block.
    Link {
        /// The block to go on in.
        cid: Cid,
        /// Names that were used, the one that names the link included.
        used: usize,
    },
}

/// Follows keys of maps and indexes of lists. Stops at a link.
pub fn select(mut value: Ipld, names: &[String]) -> Result<Selected, IpldError> {
    for (used, name) in names.iter().enumerate() {
        let found = match value {
            Ipld::Map(mut entries) => entries.remove(name),
            Ipld::List(mut values) => {
                let index: Option<usize> = name.parse().ok();
                index
                    .filter(|&index| index < values.len())
                    .map(|index| values.swap_remove(index))
            }
            Ipld::Link(cid) => return Ok(Selected::Link { cid, used }),
            Ipld::Null
            | Ipld::Bool(_)
            | Ipld::Integer(_)
            | Ipld::Float(_)
            | Ipld::String(_)
            | Ipld::Bytes(_) => None,
        };
        let missing = || IpldError::NoValue(name.chars().take(64).collect());
        value = found.ok_or_else(missing)?;
    }
    Ok(match value {
        Ipld::Link(cid) => Selected::Link {
            cid,
            used: names.len(),
        },
        value => Selected::Value(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Ipld {
        let block = crate::to_dag_cbor(text).unwrap();
        serde_ipld_dagcbor::from_slice(&block).unwrap()
    }

    fn names(path: &str) -> Vec<String> {
        path.split('/').map(str::to_owned).collect()
    }

    #[test]
    fn follows_keys_and_indexes_up_to_a_link() {
        let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
        let text = format!(r#"{{"a":[1,{{"b":{{"/":"{cid}"}}}}]}}"#);
        let cid = cid.parse().unwrap();

        assert_eq!(
            select(value(&text), &names("a/0")),
            Ok(Selected::Value(Ipld::Integer(1)))
        );
        assert_eq!(
            select(value(&text), &names("a/1/b")),
            Ok(Selected::Link { cid, used: 3 })
        );
        assert_eq!(
            select(value(&text), &names("a/1/b/c/d")),
            Ok(Selected::Link { cid, used: 3 })
        );
        for absent in ["b", "a/2", "a/-1", "a/0/x", "a/x"] {
            let name = absent.rsplit('/').next().unwrap().to_owned();
            assert_eq!(
                select(value(&text), &names(absent)),
                Err(IpldError::NoValue(name))
            );
        }
    }
}
