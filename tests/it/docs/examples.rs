//! The examples of the help, run as they stand.

use clap::{Command, CommandFactory as _};
use oc_quay::cli::Cli;
use sandbox::Options;
use serde_json::json;

use super::markdown::commands;
use super::reference;
use crate::support::World;

/// The command lines of ours among the examples of a command.
fn examples(command: &Command) -> Vec<Vec<String>> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines =
        help.lines().skip_while(|line| *line != "Examples:").flat_map(|line| commands(line.trim()));
    lines.filter_map(|words| super::commands::arguments(&words).map(<[String]>::to_vec)).collect()
}

/// A cluster with everything that the examples name.
fn furnished() -> Option<World> {
    let world = World::stand_in_bare(Options::default(), "the examples are run once")?;
    world.namespace("shop");
    world.image_stream("shop", "app");
    world.build_config(
        "shop",
        "app",
        &json!({ "to": { "kind": "ImageStreamTag", "name": "app:latest" } }),
    );
    world.create(
        &json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "pipeline", "namespace": "shop" } }),
    );
    let kubeconfig = std::fs::read_to_string(world.kubeconfig()).unwrap();
    let in_shop = kubeconfig.replace("namespace: default", "namespace: shop");
    assert!(in_shop.contains("namespace: shop"), "{kubeconfig}");
    std::fs::write(world.dir().join("in-shop.yaml"), in_shop).unwrap();
    Some(world)
}

/// Runs an example as somebody who said beforehand what it would ask for.
fn run(world: &World, arguments: &[String]) {
    let quay = &world.sandbox.quay;
    let arguments: Vec<_> =
        arguments.iter().map(|word| word.replace("quay.example.com", &quay.host())).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut command = world.oc_quay(&arguments).stdin(&quay.admin_token());
    if !arguments.contains(&"--check") {
        command = command.env("OC_QUAY_YES", "true");
    }
    command = command.env("KUBECONFIG", world.dir().join("in-shop.yaml"));
    if ["setup", "teardown"].contains(&arguments[0]) {
        command = command.env("OC_QUAY_URL", quay.url()).env("OC_QUAY_TOKEN", quay.admin_token());
    }
    let run = command.run();
    assert!(matches!(run.code, Some(0 | 1)), "{}\n{}{}", run.line, run.stdout, run.stderr);
}

#[test]
fn every_command_has_examples_and_they_work() {
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
    let Some(world) = furnished() else { return };
    world.integration();
    // What runs for ever has tests of its own.
    let ends = |example: &Vec<String>| {
        example[0] != "run" || example.iter().any(|word| word == "--manifests")
    };
    for example in of.into_iter().flatten().filter(ends) {
        if example[0] == "setup" {
            // Each begins anew.
            let Some(world) = furnished() else { return };
            run(&world, &example);
        } else {
            run(&world, &example);
        }
    }
}
