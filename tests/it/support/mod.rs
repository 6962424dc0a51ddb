//! What every test stands on: a world with a cluster and a Quay, and the program run in it.

mod accidents;
mod by_hand;
mod cases;
mod run;
mod world;

pub(crate) use accidents::{ACCOUNTS, FOREIGN, STREAMS};
pub(crate) use cases::{Side, play};
pub(crate) use run::{Command, Run};
pub(crate) use world::World;
