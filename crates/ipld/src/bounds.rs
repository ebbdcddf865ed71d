//! How many values would come out, and how deep, before any of them is made?
//!
//! Two mebibytes of dag-cbor can be two million nulls, of a hundred bytes each in memory, and a map costs more. So
//! headers are counted first. Whether the bytes are sound is not asked here; the decoder does that.

use crate::IpldError;

/// Most values of a block that are decoded, about 80 MB of them at worst.
pub const VALUES_MAX: usize = 262_144;
/// Deepest nesting. The decoders take 128 and 256 levels, so what is shown can be read again.
pub const DEPTH_MAX: usize = 100;
/// Levels that a link or bytes have more in text.
const RESERVED_DEPTH: usize = 2;

/// Counts the values of dag-cbor.
pub(crate) fn check_cbor(bytes: &[u8]) -> Result<(), IpldError> {
    let (mut rest, mut values) = (bytes, 0);
    // How many values are still to come in each open list or map.
    let mut open: Vec<u64> = Vec::new();
    while let Some((head, behind)) = rest.split_first() {
        values += 1;
        if VALUES_MAX < values {
            return Err(IpldError::TooManyValues);
        }
        while open.last() == Some(&0) {
            open.pop();
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        let wide = match head & 0x1f {
            0..24 => 0,
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            // No such header, or one without a length. The decoder takes keys of the latter kind.
            _ => return Err(IpldError::NotCanonical),
        };
        // A header that is cut off ends the count; the decoder will say so.
        let Some((number, behind)) = behind.split_at_checked(wide) else {
            return Ok(());
        };
        let number = number
            .iter()
            .fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
        let argument = if wide == 0 { u64::from(head & 0x1f) } else { number };
        rest = behind;
        match head >> 5 {
            2 | 3 => {
                rest = rest
                    .get(argument.min(u64::from(u32::MAX)) as usize..)
                    .unwrap_or_default()
            }
            4 => open.push(argument),
            5 => open.push(argument.saturating_mul(2)),
            // A tag is followed by its value.
            6 => open.push(1),
            _ => {}
        }
        if DEPTH_MAX < open.len() {
            return Err(IpldError::TooDeep);
        }
    }
    Ok(())
}

/// Counts the values of dag-json, and finds integers of more than 64 bits, which serde_json would make floats of.
pub(crate) fn check_json(text: &[u8]) -> Result<(), IpldError> {
    let (mut values, mut depth, mut in_string, mut escaped) = (1, 0, false, false);
    let mut number_from = None;
    for (at, byte) in text.iter().enumerate() {
        if !in_string && matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') {
            number_from.get_or_insert(at);
        } else if let Some(from) = number_from.take() {
            check_number(&text[from..at])?;
        }
        match (in_string, byte) {
            (true, b'\\') => {
                escaped = !escaped;
                continue;
            }
            (true, b'"') => in_string = escaped,
            (false, b'"') => in_string = true,
            (false, b',' | b':') => values += 1,
            (false, b'[' | b'{') => {
                values += 1;
                depth += 1;
            }
            (false, b']' | b'}') => depth -= 1,
            _ => {}
        }
        escaped = false;
        if VALUES_MAX < values {
            return Err(IpldError::TooManyValues);
        }
        if ((DEPTH_MAX + RESERVED_DEPTH) as i32) < depth {
            return Err(IpldError::TooDeep);
        }
    }
    number_from.map_or(Ok(()), |from| check_number(&text[from..]))
}

fn check_number(token: &[u8]) -> Result<(), IpldError> {
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Ok(());
    }
    let number = std::str::from_utf8(token)
        .ok()
        .and_then(|text| text.parse::<i128>().ok());
    match number {
        Some(number) if i128::from(i64::MIN) <= number && number <= i128::from(u64::MAX) => Ok(()),
        _ => Err(IpldError::Text("an integer has more than 64 bits".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_without_believing_lengths() {
        assert_eq!(check_cbor(&[0xf6; 1000]), Ok(()));
        assert_eq!(
            check_cbor(&vec![0xf6; VALUES_MAX + 1]),
            Err(IpldError::TooManyValues)
        );
        // A string of 2^64 - 1 bytes, and a list of as many values.
        assert_eq!(
            check_cbor(&[0x7b, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
            Ok(())
        );
        assert_eq!(
            check_cbor(&[0x9b, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
            Ok(())
        );
        assert_eq!(check_cbor(&[0x81; DEPTH_MAX]), Ok(()));
        assert_eq!(check_cbor(&[0x81; DEPTH_MAX + 1]), Err(IpldError::TooDeep));
        // A list of lists that end is wide, not deep.
        let wide = [&[0x99, 0x03, 0xe8][..], &[0x80; 1000]].concat();
        assert_eq!(check_cbor(&wide), Ok(()));
        // A map with a key of no length that ends at once.
        assert_eq!(check_cbor(&[0xa1, 0x7f, 0xff, 1]), Err(IpldError::NotCanonical));
    }

    #[test]
    fn counts_outside_strings_only() {
        let commas = format!("\"{}\\\"{}\"", ",".repeat(VALUES_MAX), "[".repeat(1000));
        assert_eq!(check_json(commas.as_bytes()), Ok(()));
        assert_eq!(
            check_json(",".repeat(VALUES_MAX).as_bytes()),
            Err(IpldError::TooManyValues)
        );
        assert_eq!(
            check_json("[".repeat(DEPTH_MAX + 3).as_bytes()),
            Err(IpldError::TooDeep)
        );
    }
}
