//! Runs the examples of the help.

use clap::{Command, CommandFactory as _};
use oc_quay::cli::Cli;
use sandbox::Options;
use serde_json::json;

use super::markdown::commands;
use super::reference;
use crate::support::TestEnv;

/// The `oc quay` command lines among the examples of a command.
fn examples(command: &Command) -> Vec<Vec<String>> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines =
        help.lines().skip_while(|line| *line != "Examples:").flat_map(|line| commands(line.trim()));
    lines.filter_map(|words| super::commands::arguments(&words).map(<[String]>::to_vec)).collect()
}

/// A cluster with the objects of the examples.
fn env_of_examples() -> Option<TestEnv> {
    let env = TestEnv::stand_in_bare(Options::default(), "the examples are run once")?;
    env.namespace("shop");
    env.image_stream("shop", "app");
    env.build_config(
        "shop",
        "app",
        &json!({ "to": { "kind": "ImageStreamTag", "name": "app:latest" } }),
    );
    env.create(
        &json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "pipeline", "namespace": "shop" } }),
    );
    let kubeconfig = std::fs::read_to_string(env.kubeconfig()).unwrap();
    let in_shop = kubeconfig.replace("namespace: default", "namespace: shop");
    assert!(in_shop.contains("namespace: shop"), "{kubeconfig}");
    std::fs::write(env.dir().join("in-shop.yaml"), in_shop).unwrap();
    Some(env)
}

/// Runs an example with all answers as flags.
fn run(env: &TestEnv, arguments: &[String]) {
    let quay = &env.sandbox.quay;
    let arguments: Vec<_> =
        arguments.iter().map(|word| word.replace("quay.example.com", &quay.host())).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut command = env.oc_quay(&arguments).stdin(&quay.admin_token());
    if !arguments.contains(&"--check") {
        command = command.env("OC_QUAY_YES", "true");
    }
    command = command.env("KUBECONFIG", env.dir().join("in-shop.yaml"));
    if ["setup", "teardown"].contains(&arguments[0]) {
        command = command.env("OC_QUAY_URL", quay.url()).env("OC_QUAY_TOKEN", quay.admin_token());
    }
    let run = command.run();
    assert!(matches!(run.code, Some(0 | 1)), "{}\n{}{}", run.line, run.stdout, run.stderr);
}

#[test]
fn every_command_has_working_examples() {
    let of: Vec<_> = reference::commands("oc quay", &Cli::command())
        .iter()
        .map(|command| {
            let examples = examples(command);
            assert!(
                !examples.is_empty() || command.has_subcommands(),
                "{} has no example",
                command.get_bin_name().unwrap()
            );
            examples
        })
        .collect();
    let Some(env) = env_of_examples() else { return };
    env.integration();
    // Commands that do not end have their own tests.
    let ends = |example: &Vec<String>| example[0] != "run";
    for example in of.into_iter().flatten().filter(ends) {
        if example[0] == "setup" {
            // Each has a new env.
            let Some(env) = env_of_examples() else { return };
            run(&env, &example);
        } else {
            run(&env, &example);
        }
    }
}
