//! The client with a simulated Quay, over TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod certificates;
mod discovery;
mod failures;
mod issue_token;
mod permissions;
mod read;
mod registry;
mod sign_in;
mod write;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use sandbox::Sandbox;
use sandbox::quay::RepoRole;
use sandbox::traffic::{Fault, Traffic};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::Runtime;

use crate::domain::names::QuayUrl;
use crate::domain::ownership::Claim;
use crate::domain::ownership_mark::{ClusterIdentity, OwnershipMark};
use crate::domain::snapshot::{Observed, Organization, Robot};
use crate::quay::{Options, Quay, ReadStrategy};

/// The organization of the tests, its robot accounts and its repositories.
const ORGANIZATION: &str = "prod_app";
const ROBOTS: [&str; 3] = ["builder", "default", "deployer"];
const REPOSITORIES: [&str; 3] = ["api", "web", "worker"];
/// A superuser.
const ADMIN: &str = "quayadmin";

/// Adds a fault to a rule.
type AddFault = fn(Fault) -> Fault;

/// A simulated Quay, and a runtime for its clients.
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

    /// With the organization of a linked namespace: three robot accounts with permissions on three repositories.
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

    /// The number of requests since the last call.
    fn requests(&self) -> usize {
        let count = self.traffic().entries().len();
        self.traffic().clear();
        count
    }

    /// Reads the organization of the tests.
    fn read(&self, client: &Quay, strategy: ReadStrategy) -> Observed<Option<Organization>> {
        self.read_for(client, strategy, &claim_of(ours()), &REPOSITORIES)
    }

    fn read_for(
        &self,
        client: &Quay,
        strategy: ReadStrategy,
        claim: &Claim,
        wanted: &[&str],
    ) -> Observed<Option<Organization>> {
        let robots = ROBOTS.map(str::to_owned);
        self.run(client.organization(ORGANIZATION, &names(wanted), &robots, strategy, claim))
    }

    /// The valid token of a robot account.
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

/// The claim of a namespace without credentials.
fn claim_of(mark: OwnershipMark) -> Claim {
    Claim::without_tokens(mark)
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn token(robot: &Robot) -> Option<&str> {
    robot.token.as_ref().map(|token| token.expose_secret())
}

/// Runs the cases in parallel, for they mostly wait for pauses.
fn in_parallel<T: Send>(cases: impl IntoIterator<Item = T>, run: impl Fn(T) + Sync) {
    let run = &run;
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || run(case));
        }
    });
}
