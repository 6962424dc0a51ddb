//! `oc` in the playground.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

/// Runs the playground's executable as `oc`, which finds itself and the folder `installed` on PATH.
fn oc(dir: &Path, arguments: &[&str]) -> Output {
    let bin = dir.join("bin");
    fs::create_dir_all(&bin).unwrap();
    if !bin.join("oc").exists() {
        symlink(env!("CARGO_BIN_EXE_playground"), bin.join("oc")).unwrap();
    }
    let path = format!("{}:{}:/nowhere", bin.display(), dir.join("installed").display());
    Command::new(bin.join("oc")).args(arguments).env("PATH", path).output().unwrap()
}

/// Installs a client that prints its name and its arguments.
fn install(dir: &Path, client: &str) {
    let file = dir.join("installed").join(client);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, format!("#!/bin/sh\necho {client} \"$@\"\nexit 3\n")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn runs_the_plugin_or_the_installed_client() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = oc(dir.path(), arguments);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), text)
    };
    let (code, text) = run(&["quay", "version", "--client"]);
    assert!(code == Some(0) && text.starts_with("oc-quay "), "{text}");

    let message =
        "error: neither oc nor kubectl is installed, so only `oc quay` works in the playground\n";
    assert_eq!(run(&["get", "ns"]), (Some(127), message.to_owned()));
    install(dir.path(), "kubectl");
    assert_eq!(run(&["get", "ns"]), (Some(3), "kubectl get ns\n".to_owned()));
    install(dir.path(), "oc");
    assert_eq!(run(&["get", "ns"]), (Some(3), "oc get ns\n".to_owned()));
    assert_eq!(run(&["quay", "version", "--client"]).0, Some(0));
}
