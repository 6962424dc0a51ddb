//! What every test stands on: a world with a cluster and a Quay, and the program run in it.

mod run;
mod world;

pub(crate) use world::World;
