//! The environment of all tests: an env with a cluster and a Quay, and runs of the program in it.

mod broken_states;
mod builds;
mod controller;
mod envtest;
mod fixtures;
mod kill_points;
mod manual_setup;
mod mutations;
mod oc;
mod panics;
mod permissions;
mod run;
mod schema;
mod setup;
mod setup_state;
#[cfg(unix)]
mod terminal;
mod test_env;

pub(crate) use broken_states::{FAULT_KINDS, FaultKind};
pub(crate) use controller::Controller;
pub(crate) use fixtures::{Side, Stage, play, run_in_new_envs};
pub(crate) use kill_points::KillPoint;
pub(crate) use mutations::{ACCOUNTS, FOREIGN, STREAMS};
pub(crate) use oc::shell_words;
pub(crate) use run::{Command, Run};
pub(crate) use setup_state::CONFIG_MAP_OF_OTHERS;
#[cfg(unix)]
pub(crate) use terminal::{Key, Left, Terminal};
pub(crate) use test_env::TestEnv;
