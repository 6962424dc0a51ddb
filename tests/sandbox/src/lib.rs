//! x
pub mod tls;
pub mod traffic;
