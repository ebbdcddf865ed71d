//! Why bytes are not a message.

/// What a peer sent wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not a protobuf message of this kind.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// A field that must be there is not, or a oneof names no known message.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field outside its bounds.
    #[error("{field} is invalid: {why}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What it should be.
        why: &'static str,
    },
}

// === impl WireError ===

impl WireError {
    pub(crate) const fn invalid(field: &'static str, why: &'static str) -> Self {
        Self::Invalid { field, why }
    }
}

impl From<prost::DecodeError> for WireError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// A field of exactly `N` bytes.
pub(crate) fn array<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], WireError> {
    <[u8; N]>::try_from(bytes).map_err(|_| WireError::invalid(field, "wrong length"))
}
