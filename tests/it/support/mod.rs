//! What every test stands on: a world with a cluster and a Quay, and the program run in it.

mod bridge;
mod broken_states;
mod builds;
mod envtest;
mod fixtures;
mod kill_points;
mod manual_setup;
mod mutations;
mod oc;
mod panics;
mod rights;
mod run;
mod schema;
mod setup;
mod setup_state;
#[cfg(unix)]
mod terminal;
mod test_env;

pub(crate) use bridge::Bridge;
pub(crate) use broken_states::{WRONGS, Wrong};
pub(crate) use fixtures::{Side, Stage, play, play_apart};
pub(crate) use kill_points::Death;
pub(crate) use mutations::{ACCOUNTS, FOREIGN, STREAMS};
pub(crate) use oc::shell_words;
pub(crate) use run::{Command, Run};
pub(crate) use setup_state::CONFIG_MAP_OF_OTHERS;
#[cfg(unix)]
pub(crate) use terminal::{Key, Left, Terminal};
pub(crate) use test_env::World;
