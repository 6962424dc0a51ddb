//! The steps: their questions and plans.

pub(super) mod cluster;
pub(super) mod controller;
pub(super) mod integration;
pub(super) mod node_trust;
pub(super) mod operator;
pub(super) mod quay;
pub(super) mod secret;
pub(super) mod token;
pub(super) mod user_role;
