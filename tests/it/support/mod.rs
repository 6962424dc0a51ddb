//! What every test stands on: a world with a cluster and a Quay, and the program run in it.

mod accidents;
mod bridge;
mod builds;
mod by_hand;
mod cases;
mod deaths;
mod oc;
mod panics;
mod real;
mod rights;
mod run;
mod schema;
mod setup;
mod setup_state;
#[cfg(unix)]
mod terminal;
mod world;
mod wrong;

pub(crate) use accidents::{ACCOUNTS, FOREIGN, STREAMS};
pub(crate) use bridge::Bridge;
pub(crate) use cases::{Side, Stage, play, play_apart};
pub(crate) use deaths::Death;
pub(crate) use oc::shell_words;
pub(crate) use run::{Command, Run};
pub(crate) use setup_state::CONFIG_MAP_OF_OTHERS;
#[cfg(unix)]
pub(crate) use terminal::{Key, Left, Terminal};
pub(crate) use world::World;
pub(crate) use wrong::{WRONGS, Wrong};
