//! What every test stands on: a world with a cluster and a Quay, and the program run in it.

mod accidents;
mod by_hand;
mod cases;
mod run;
#[cfg(unix)]
mod terminal;
mod world;

pub(crate) use accidents::{ACCOUNTS, FOREIGN, STREAMS};
pub(crate) use cases::{Side, play};
pub(crate) use run::{Command, Run};
#[cfg(unix)]
pub(crate) use terminal::{Key, Terminal};
pub(crate) use world::World;
