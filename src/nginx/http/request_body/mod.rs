//! The client's request body: reading it, what was read, replacing it.

pub mod buffers;
pub mod edit;
pub mod pieces;
mod read;
pub mod unbuffered;

pub(in crate::nginx) use read::structure;
pub use read::{
    Body, BodyRead, abandon, body, copy, drop_reference, is_absent, is_known, may_wait, read,
};
