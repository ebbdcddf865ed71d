//! The generated protobuf types and services of `proto/rustle/admin/v1`.
//!
//! Public so that a program can use what the typed client does not cover; their evolution follows the `.proto` files.

#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::use_self,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

include!("generated/rustle.admin.v1.rs");

/// The encoded `google.protobuf.FileDescriptorSet` of these files, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.bin");
