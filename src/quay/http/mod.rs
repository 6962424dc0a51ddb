//! Requests to Quay: limits, retries, trusted certificates and errors.

pub(in crate::quay) mod certificates;
pub(in crate::quay) mod circuit_breaker;
pub(in crate::quay) mod error;
pub(in crate::quay) mod request;
pub(in crate::quay) mod throttle;
pub(in crate::quay) mod transport_error;
