//! What can be wrong with a CAR?

use rustle_types::Cid;
use rustle_types::content::VerifyError;

use crate::header::{HEADER_BYTES_MAX, ROOTS_MAX};
use crate::reader::SECTION_BYTES_MAX;

/// Why a CAR cannot be read or written. `at` is the offset in bytes of the section in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CarError {
    /// The file ends inside the header or a section.
    #[error("the CAR is cut off: the section at byte {at} is not complete")]
    Truncated {
        /// Where the section begins.
        at: u64,
    },
    /// The header is not what a header is.
    #[error("this is no CAR: {0}")]
    Header(String),
    /// The header is longer than [`HEADER_BYTES_MAX`], or no header at all.
    #[error("this is no CAR: its header would have {0} bytes, more than {HEADER_BYTES_MAX}")]
    HeaderTooLong(u64),
    /// A version that does not exist here.
    #[error("the CAR has version {0}; versions 1 and 2 are read")]
    Version(u64),
    /// More roots than [`ROOTS_MAX`].
    #[error("a CAR has at most {ROOTS_MAX} roots here, not {0}")]
    TooManyRoots(usize),
    /// A length that is no varint.
    #[error("the length at byte {at} is no varint")]
    Length {
        /// Where the section begins.
        at: u64,
    },
    /// A section of nothing, as padding would be.
    #[error("the section at byte {at} is empty")]
    Empty {
        /// Where the section begins.
        at: u64,
    },
    /// A section longer than a CID and a block can be.
    #[error(
        "the section at byte {at} has {bytes} bytes, more than the {SECTION_BYTES_MAX} of a CID and a block"
    )]
    TooLong {
        /// Where the section begins.
        at: u64,
        /// Its length.
        bytes: u64,
    },
    /// A section that does not begin with a CID.
    #[error("the section at byte {at} does not begin with a CID")]
    Cid {
        /// Where the section begins.
        at: u64,
    },
    /// A block that nothing here could decode.
    #[error("{cid} has the codec 0x{codec:x}; known are raw, dag-pb, dag-cbor and dag-json")]
    UnknownCodec {
        /// The block.
        cid: Cid,
        /// Its codec.
        codec: u64,
    },
    /// A block that is not what its CID promises.
    #[error("the section at byte {at} is damaged: {error}")]
    Verify {
        /// Where the section begins.
        at: u64,
        /// What the check found.
        error: Box<VerifyError>,
    },
}
