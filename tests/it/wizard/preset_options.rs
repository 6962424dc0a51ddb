//! What was said beforehand is not asked.

use super::{
    ADDRESS, APPROVAL, BRIDGE, CHANNEL, CLUSTER_ID, LINK, NODES, PASSWORD, Person, QUESTIONS,
    Question, USER, WAY, shop,
};
use crate::support::{Command, World};

/// Which questions are not asked, and what makes that so: arguments and a variable.
type Case = (&'static [Question], &'static [&'static str], (&'static str, fn(&World) -> String));

fn url(world: &World) -> String {
    world.sandbox.quay.url()
}

fn password(world: &World) -> String {
    world.sandbox.quay.password("quayadmin").unwrap()
}

const NONE: (&str, fn(&World) -> String) = ("UNUSED", |_| String::new());

const CASES: [Case; 15] = [
    (&[ADDRESS], &[], ("OC_QUAY_URL", url)),
    (
        &[WAY, USER, PASSWORD, super::ISSUE],
        &[],
        ("OC_QUAY_TOKEN", |world| world.sandbox.quay.admin_token()),
    ),
    (&[WAY, USER], &["--quay-username", "quayadmin"], NONE),
    (&[WAY, USER], &[], ("OC_QUAY_USERNAME", |_| "quayadmin".into())),
    (&[WAY, USER, PASSWORD], &["--quay-username", "quayadmin"], ("OC_QUAY_PASSWORD", password)),
    (&[PASSWORD], &[], ("OC_QUAY_PASSWORD", password)),
    (&[BRIDGE], &["--controller", "operator"], NONE),
    (&[BRIDGE, CHANNEL], &["--operator-channel", "stable-3.18"], NONE),
    (&[BRIDGE, APPROVAL], &["--operator-approval", "manual"], NONE),
    (&[BRIDGE, CHANNEL, APPROVAL], &["--controller=none"], NONE),
    (&[CLUSTER_ID], &["--cluster-id", "openshift"], NONE),
    (&[CLUSTER_ID], &[], ("OC_QUAY_CLUSTER_ID", |_| "openshift".into())),
    (&[super::USERS, super::GRANT], &["--user-role", "false"], NONE),
    (&[NODES, super::TRUST], &["--node-trust", "skip"], NONE),
    (&[LINK], &["--link", "shop"], NONE),
];

#[test]
fn each_answer_that_was_given_is_not_asked_for() {
    for (answered, arguments, (variable, value)) in CASES {
        let world = shop();
        let command = world.oc_quay(&["setup"]).args(arguments).env(variable, value(&world));
        let expected = QUESTIONS
            .iter()
            .filter(|question| !answered.contains(question) && is_left(question, arguments));
        let (_, asked) = Person::begins(&world, command, 100).finishes(0);
        assert_eq!(asked, expected.copied().collect::<Vec<_>>(), "{arguments:?} {variable}");
        world.assert_linked("shop", &[]);
    }
}

/// The sandbox's cluster has the definition of the QuayIntegration, so nothing is left to do without the operator.
fn is_left(question: &Question, arguments: &[&str]) -> bool {
    *question != super::INSTALL || arguments != ["--controller=none"]
}

fn everything(world: &World) -> Command<'_> {
    let arguments = [
        "setup",
        "--operator-channel",
        "stable-3.18",
        "--operator-approval",
        "automatic",
        "--cluster-id",
        "openshift",
    ];
    let command =
        world.oc_quay(&arguments).args(&["--user-role", "--node-trust", "apply", "--link", "shop"]);
    command.env("OC_QUAY_URL", url(world)).env("OC_QUAY_TOKEN", world.sandbox.quay.admin_token())
}

#[test]
fn who_has_said_everything_is_only_asked_whether_to_go_on() {
    let world = shop();
    let (_, asked) = Person::begins(&world, everything(&world), 100).finishes(0);
    let confirmed = ["Secret", "Operator", "QuayIntegration", "Users of projects", "Node trust"]
        .map(|step| (step, "Do this"));
    assert_eq!(asked, confirmed);
}
