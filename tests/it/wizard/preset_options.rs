//! Given options are not asked.

use super::{
    ADDRESS, APPROVAL, CHANNEL, CLUSTER_ID, CONTROLLER, LINK, NODES, PASSWORD, Person, QUESTIONS,
    Question, USER, WAY, shop,
};
use crate::support::{Command, TestEnv};

/// Which questions are not asked, and what makes that so: arguments and a variable.
type Case = (&'static [Question], &'static [&'static str], (&'static str, fn(&TestEnv) -> String));

fn url(env: &TestEnv) -> String {
    env.sandbox.quay.url()
}

fn password(env: &TestEnv) -> String {
    env.sandbox.quay.password("quayadmin").unwrap()
}

const NONE: (&str, fn(&TestEnv) -> String) = ("UNUSED", |_| String::new());

const CASES: [Case; 15] = [
    (&[ADDRESS], &[], ("OC_QUAY_URL", url)),
    (
        &[WAY, USER, PASSWORD, super::ISSUE],
        &[],
        ("OC_QUAY_TOKEN", |env| env.sandbox.quay.admin_token()),
    ),
    (&[WAY, USER], &["--quay-username", "quayadmin"], NONE),
    (&[WAY, USER], &[], ("OC_QUAY_USERNAME", |_| "quayadmin".into())),
    (&[WAY, USER, PASSWORD], &["--quay-username", "quayadmin"], ("OC_QUAY_PASSWORD", password)),
    (&[PASSWORD], &[], ("OC_QUAY_PASSWORD", password)),
    (&[CONTROLLER], &["--controller", "operator"], NONE),
    (&[CONTROLLER, CHANNEL], &["--operator-channel", "stable-3.18"], NONE),
    (&[CONTROLLER, APPROVAL], &["--operator-approval", "manual"], NONE),
    (&[CONTROLLER, CHANNEL, APPROVAL], &["--controller=none"], NONE),
    (&[CLUSTER_ID], &["--cluster-id", "openshift"], NONE),
    (&[CLUSTER_ID], &[], ("OC_QUAY_CLUSTER_ID", |_| "openshift".into())),
    (&[super::USERS, super::GRANT], &["--user-role", "false"], NONE),
    (&[NODES, super::TRUST], &["--node-trust", "skip"], NONE),
    (&[LINK], &["--link", "shop"], NONE),
];

#[test]
fn does_not_ask_given_options() {
    for (answered, arguments, (variable, value)) in CASES {
        let env = shop();
        let command = env.oc_quay(&["setup"]).args(arguments).env(variable, value(&env));
        let expected = QUESTIONS
            .iter()
            .filter(|question| !answered.contains(question) && is_left(question, arguments));
        let (_, asked) = Person::begins(&env, command, 100).finishes(0);
        assert_eq!(asked, expected.copied().collect::<Vec<_>>(), "{arguments:?} {variable}");
        env.assert_linked("shop", &[]);
    }
}

/// The sandbox's cluster has the definition of the QuayIntegration, so nothing is left to do without the operator.
fn is_left(question: &Question, arguments: &[&str]) -> bool {
    *question != super::INSTALL || arguments != ["--controller=none"]
}

fn everything(env: &TestEnv) -> Command<'_> {
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
        env.oc_quay(&arguments).args(&["--user-role", "--node-trust", "apply", "--link", "shop"]);
    command.env("OC_QUAY_URL", url(env)).env("OC_QUAY_TOKEN", env.sandbox.quay.admin_token())
}

#[test]
fn asks_only_for_confirmation_with_all_options() {
    let env = shop();
    let (_, asked) = Person::begins(&env, everything(&env), 100).finishes(0);
    let confirmed = ["Secret", "Operator", "QuayIntegration", "Users of projects", "Node trust"]
        .map(|step| (step, "Apply these changes"));
    assert_eq!(asked, confirmed);
}
