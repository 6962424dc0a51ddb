//! The story: setup, link, some damage, status, repair, and a preview of the removal.

use anyhow::Context as _;

use super::folder::Folder;
use super::{SHOP, SUPERUSER};

/// Runs the story and fails if a command does not exit as expected.
pub(crate) fn run(folder: &Folder) -> anyhow::Result<()> {
    say("Set up the integration: log in to Quay, create a token, and install the operator.");
    let url = folder.sandbox.quay.url();
    let [ca, password] = ["ca.crt", "password"].map(|name| folder.path(name).display().to_string());
    let quay = ["--quay-url", &url, "--quay-ca-file", &ca];
    let user = ["--quay-username", SUPERUSER, "--quay-password-file", &password];
    folder
        .run(&[&["setup", "--yes", "--node-trust", "apply"], &quay[..], &user[..]].concat(), 0)?;
    folder.run(&["setup", "--check"], 0)?;

    say("Link a namespace with image streams.");
    folder.run(&["link", "-n", SHOP, "--yes"], 0)?;
    folder.run(&["status", "-n", SHOP], 0)?;

    damage(folder)?;
    folder.run(&["status", "-n", SHOP], 1)?;

    say("Repair the namespace, and test the credentials against the registry.");
    folder.run(&["repair", "-n", SHOP, "--yes"], 0)?;
    folder.run(&["status", "-n", SHOP, "--probe"], 0)?;

    say("A second repair has nothing to do.");
    folder.run(&["repair", "-n", SHOP, "--yes"], 0)?;

    say("Preview how to unlink the namespace and how to remove the integration.");
    folder.run(&["unlink", "-n", SHOP, "--dry-run"], 0)?;
    folder.run(&["teardown", "--dry-run"], 0)
}

/// Damages the link in four ways.
fn damage(folder: &Folder) -> anyhow::Result<()> {
    let (openshift, quay) = (&folder.sandbox.openshift, &folder.sandbox.quay);
    let organization = format!("openshift_{SHOP}");

    say("Damage: delete a pull secret,");
    openshift.delete("Secret", SHOP, "default-quay-openshift");

    say("regenerate the token of a robot account in Quay,");
    quay.regenerate(&organization, "builder").context("no robot account builder")?;

    say("remove a pull secret from a service account,");
    let mut deployer =
        openshift.get("ServiceAccount", SHOP, "deployer").context("no service account deployer")?;
    if let Some(list) = deployer["imagePullSecrets"].as_array_mut() {
        list.retain(|entry| entry["name"] != "deployer-quay-openshift");
    }
    openshift.put(deployer);

    say("and remove the permission of a robot account on a repository.");
    quay.set_permission(&organization, "app-1", &format!("{organization}+builder"), None);
    Ok(())
}

fn say(text: &str) {
    println!("# {text}");
}
