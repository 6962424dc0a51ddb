//! The client against the stand-in, over TLS: what it learns, what it sends, what it does when something fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod certifying;
mod failing;
mod inspecting;
mod issuing;
mod probing;
mod reading;
mod refused;
mod signing_in;
mod writing;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use sandbox::Sandbox;
use sandbox::quay::RepoRole;
use sandbox::traffic::{Fault, Traffic};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::Runtime;

use super::{Options, Quay, ReadStrategy};
use crate::domain::names::QuayUrl;
use crate::domain::ownership::Claim;
use crate::domain::ownership_mark::{ClusterIdentity, OwnershipMark};
use crate::domain::snapshot::{Observed, Organization, Robot};

/// The organization of the tests, its robot accounts and its repositories.
const ORGANIZATION: &str = "prod_app";
const ROBOTS: [&str; 3] = ["builder", "default", "deployer"];
const REPOSITORIES: [&str; 3] = ["api", "web", "worker"];
/// The superuser of the stand-in.
const ADMIN: &str = "quayadmin";

/// What a fault rule does to the requests it is for.
type Harm = fn(Fault) -> Fault;

/// A stand-in and a runtime to ask it in.
struct Scene {
    sandbox: Sandbox,
    runtime: Runtime,
}

impl Scene {
    fn new() -> Self {
        Self::start(sandbox::Options::default())
    }

    fn start(options: sandbox::Options) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { sandbox: Sandbox::start(options).unwrap(), runtime }
    }

    /// With a linked namespace's organization: three robot accounts with rights on three repositories.
    fn linked() -> Self {
        let scene = Self::new();
        let quay = &scene.sandbox.quay;
        quay.add_organization(ORGANIZATION, ADMIN);
        for robot in ROBOTS {
            quay.add_robot(ORGANIZATION, robot, &ours().to_string());
            let role = if robot == "builder" { RepoRole::Write } else { RepoRole::Read };
            quay.add_prototype(ORGANIZATION, &format!("{ORGANIZATION}+{robot}"), role);
        }
        for repository in REPOSITORIES {
            quay.add_repository(ORGANIZATION, repository, ADMIN);
        }
        scene
    }

    /// A client with the superuser's token.
    fn client(&self) -> Quay {
        self.client_with(&self.sandbox.quay.admin_token())
    }

    fn client_with(&self, token: &str) -> Quay {
        Quay::new(Options { token: Some(SecretString::from(token)), ..self.options() }).unwrap()
    }

    fn options(&self) -> Options {
        Options {
            url: QuayUrl::parse(&self.sandbox.quay.url()).unwrap().0,
            token: Some(SecretString::from(self.sandbox.quay.admin_token())),
            ca: Some(fs::read(self.sandbox.ca_file()).unwrap()),
            insecure: false,
            concurrency: 8,
            timeout: Duration::from_secs(10),
        }
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    fn traffic(&self) -> &Traffic {
        self.sandbox.quay_traffic()
    }

    /// How many requests came in since the last time this was asked.
    fn requests(&self) -> usize {
        let count = self.traffic().entries().len();
        self.traffic().clear();
        count
    }

    /// Reads the organization of the tests.
    fn read(&self, client: &Quay, depth: ReadStrategy) -> Observed<Option<Organization>> {
        self.read_for(client, depth, &claim_of(ours()), &REPOSITORIES)
    }

    fn read_for(
        &self,
        client: &Quay,
        depth: ReadStrategy,
        claim: &Claim,
        wanted: &[&str],
    ) -> Observed<Option<Organization>> {
        let robots = ROBOTS.map(str::to_owned);
        self.run(client.organization(ORGANIZATION, &names(wanted), &robots, depth, claim))
    }

    /// The token that logs a robot account in now.
    fn current_token(&self, robot: &str) -> String {
        self.sandbox.quay.robot_token(ORGANIZATION, robot).unwrap()
    }
}

fn ours() -> OwnershipMark {
    mark_of("integration-1", "api.prod:6443", "uid-1")
}

fn mark_of(cluster: &str, server: &str, uid: &str) -> OwnershipMark {
    OwnershipMark::new(&ClusterIdentity { id: cluster.into(), server: server.into() }, "app", uid)
}

/// The claim of a namespace that has nothing but its mark to show.
fn claim_of(mark: OwnershipMark) -> Claim {
    Claim::without_logins(mark)
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn token(robot: &Robot) -> Option<&str> {
    robot.token.as_ref().map(|token| token.expose_secret())
}

/// Plays the same scene once per case, all at once: they mostly wait for pauses to pass.
fn at_once<T: Send>(cases: impl IntoIterator<Item = T>, play: impl Fn(T) + Sync) {
    let play = &play;
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || play(case));
        }
    });
}
