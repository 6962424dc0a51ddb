//! The calls of the API that the domain reads and writes.

pub(in crate::quay) mod api_types;
pub(in crate::quay) mod diagnose;
pub(in crate::quay) mod discovery;
pub(in crate::quay) mod read;
pub(in crate::quay) mod tags;
pub(in crate::quay) mod token_check;
pub(in crate::quay) mod write;
