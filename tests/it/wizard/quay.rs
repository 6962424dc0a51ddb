//! Which Quay, and whether it is trusted.

use sandbox::Options;

use super::scripted_user::{MORE, Person};
use super::{ADDRESS, ISSUE, NODES, Question, assert_healthy, made, shop};
use crate::support::{Key, TestEnv};

const CONTINUE: Question = MORE[0];
const UNTRUSTED: Question = MORE[1];
const FILE: Question = MORE[2];
const COMPARED: Question = MORE[3];
const TRY_AGAIN: Question = MORE[4];

/// A user whose machine does not trust Quay's certificate authority.
fn without_trusted_certificate(env: &TestEnv) -> Person<'_> {
    Person::begins(env, env.oc_quay(&["setup"]).without_env("OC_QUAY_CA_FILE"), 100)
}

#[test]
fn reads_certificate_authority_from_file() {
    let env = shop();
    let mut person = without_trusted_certificate(&env);
    person.goes_to(UNTRUSTED).chooses(UNTRUSTED, "Read").types(FILE, "/no/such/file").goes_to(FILE);
    let screen = person.terminal.screen();
    assert!(screen.contains("# /no/such/file: No such file"), "{screen}");
    assert!(
        screen.contains("  SHA-256 ")
            && screen.contains("  issued by ")
            && screen.contains("  valid from "),
        "{screen}"
    );
    let (_, asked) = person.will_type(FILE, env.sandbox.ca_file().to_str().unwrap()).finishes(0);
    assert_eq!(asked[..5], [ADDRESS, UNTRUSTED, FILE, FILE, super::WAY]);
    // What was read is used for nodes and stored for later runs.
    assert!(asked.contains(&NODES), "{asked:?}");
    made(&env);
    assert_healthy(&env);
}

#[test]
fn trusts_certificate_only_after_comparison() {
    let options = Options { whole_chain: true, ..Options::default() };
    let Some(env) = TestEnv::stand_in_bare(options, "the cluster does not matter here") else {
        return;
    };
    env.namespace("shop");
    let mut person = without_trusted_certificate(&env);
    person.chooses(UNTRUSTED, "Trust the last").types(COMPARED, "").goes_to(UNTRUSTED);
    let (_, asked) =
        person.will_choose(UNTRUSTED, "Trust the last").will_type(COMPARED, "y").finishes(0);
    assert_eq!(asked[..5], [ADDRESS, UNTRUSTED, COMPARED, UNTRUSTED, COMPARED]);
    assert_healthy(&env);
}

#[test]
fn does_not_offer_leaf_certificate_as_authority() {
    let env = shop();
    let mut person = without_trusted_certificate(&env);
    person.goes_to(UNTRUSTED);
    let screen = person.terminal.sees("arrow keys").screen();
    assert!(screen.contains("Stop") && !screen.contains("Trust the last"), "{screen}");
    person.terminal.press(Key::Esc);
    person.terminal.ends_with(130);
}

#[test]
fn unverified_certificate_sets_insecure_registry() {
    let env = shop();
    let mut person = without_trusted_certificate(&env).will_choose(UNTRUSTED, "Continue");
    person.goes_to(ISSUE);
    let screen = person.terminal.screen();
    assert!(
        screen.contains(
            "its certificate is not verified, neither here nor when OpenShift imports images"
        ),
        "{screen}"
    );
    let (left, _) = person.finishes(0);
    assert!(left.screen.contains(" --insecure"), "{}", left.screen);
    let integration = env.get("QuayIntegration", "", "quay").unwrap();
    assert_eq!(integration["spec"]["insecureRegistry"], true);
}

#[test]
fn untrusted_certificate_can_cancel_setup() {
    let env = shop();
    let mut person = without_trusted_certificate(&env);
    person.chooses(UNTRUSTED, "Stop");
    person.terminal.ends_with(130);
    env.oc_quay(&["setup", "--check"]).ends_with(1);
}

#[test]
fn asks_about_plain_http() {
    let env = shop();
    let address = env.sandbox.quay.url().replace("https", "http");
    for key in [Key::Esc, Key::CtrlC] {
        let mut person = without_trusted_certificate(&env).will_type(ADDRESS, &address);
        person.goes_to(CONTINUE);
        assert!(
            person.terminal.screen().contains("the token would be sent unencrypted"),
            "{}",
            person.terminal.screen()
        );
        person.terminal.press(key);
        person.terminal.ends_with(130);
    }
}

/// An answer for a wrong address is not kept for the corrected one.
#[test]
fn asks_again_for_address_that_is_not_quay() {
    let env = shop();
    let mut person = without_trusted_certificate(&env).will_type(CONTINUE, "y");
    person.types(ADDRESS, "http://127.0.0.1:1").goes_to(TRY_AGAIN);
    assert!(person.terminal.screen().contains("failed to use"), "{}", person.terminal.screen());
    let ca = env.sandbox.ca_file();
    let (_, asked) = person.will_type(FILE, ca.to_str().unwrap()).finishes(0);
    assert_eq!(asked[..6], [ADDRESS, CONTINUE, TRY_AGAIN, ADDRESS, UNTRUSTED, FILE]);
    assert_eq!(
        env.get("QuayIntegration", "", "quay").unwrap()["spec"]["insecureRegistry"],
        serde_json::Value::Null
    );
    assert_healthy(&env);
}

#[test]
fn returns_to_the_address() {
    let env = shop();
    let mut person = without_trusted_certificate(&env);
    person.types(ADDRESS, "http://127.0.0.1:1").types(CONTINUE, "n");
    person.types(ADDRESS, "http://127.0.0.1:1").types(CONTINUE, "");
    person.chooses(UNTRUSTED, "Enter another address").goes_to(ADDRESS);
    assert_eq!(person.asked, [ADDRESS, CONTINUE, ADDRESS, CONTINUE, ADDRESS, UNTRUSTED]);
    person.terminal.press(Key::Esc);
    person.terminal.ends_with(130);
}

#[test]
fn expands_home_directory_and_asks_again_for_empty_file() {
    let env = shop();
    std::fs::copy(env.sandbox.ca_file(), env.dir().join("quay-ca.pem")).unwrap();
    let command = env
        .oc_quay(&["setup"])
        .without_env("OC_QUAY_CA_FILE")
        .env("HOME", env.dir().to_str().unwrap());
    let mut person = Person::begins(&env, command, 100);
    person.chooses(UNTRUSTED, "Read").types(FILE, "").goes_to(FILE);
    let screen = person.terminal.screen();
    assert!(screen.contains("# enter a file name") && !screen.contains("# :"), "{screen}");
    person.types(FILE, "~/quay-ca.pem").goes_to(super::WAY);
    person.terminal.press(Key::Esc);
    person.terminal.ends_with(130);
}
