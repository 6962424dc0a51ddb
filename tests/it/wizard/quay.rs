//! Which Quay, and whether it is trusted.

use sandbox::Options;

use super::scripted_user::{MORE, Person};
use super::{ADDRESS, ISSUE, NODES, Question, assert_healthy, made, shop};
use crate::support::{Key, World};

const ALL_THE_SAME: Question = MORE[0];
const UNTRUSTED: Question = MORE[1];
const FILE: Question = MORE[2];
const COMPARED: Question = MORE[3];
const TRY_AGAIN: Question = MORE[4];

/// Somebody whose machine does not know Quay's certificate authority.
fn distrustful(world: &World) -> Person<'_> {
    Person::begins(world, world.oc_quay(&["setup"]).without_env("OC_QUAY_CA_FILE"), 100)
}

#[test]
fn a_certificate_authority_is_read_from_a_file() {
    let world = shop();
    let mut person = distrustful(&world);
    person.goes_to(UNTRUSTED).chooses(UNTRUSTED, "Read").types(FILE, "/no/such/file").goes_to(FILE);
    let screen = person.terminal.screen();
    assert!(screen.contains("# /no/such/file: No such file"), "{screen}");
    assert!(
        screen.contains("  SHA-256 ")
            && screen.contains("  issued by ")
            && screen.contains("  valid from "),
        "{screen}"
    );
    let (_, asked) = person.will_type(FILE, world.sandbox.ca_file().to_str().unwrap()).finishes(0);
    assert_eq!(asked[..5], [ADDRESS, UNTRUSTED, FILE, FILE, super::WAY]);
    // What was read is used for nodes and stored for later runs.
    assert!(asked.contains(&NODES), "{asked:?}");
    made(&world);
    assert_healthy(&world);
}

#[test]
fn a_certificate_is_trusted_only_after_it_was_compared() {
    let options = Options { whole_chain: true, ..Options::default() };
    let Some(world) = World::stand_in_bare(options, "the cluster does not matter here") else {
        return;
    };
    world.namespace("shop");
    let mut person = distrustful(&world);
    person.chooses(UNTRUSTED, "Trust the last").types(COMPARED, "").goes_to(UNTRUSTED);
    let (_, asked) =
        person.will_choose(UNTRUSTED, "Trust the last").will_type(COMPARED, "y").finishes(0);
    assert_eq!(asked[..5], [ADDRESS, UNTRUSTED, COMPARED, UNTRUSTED, COMPARED]);
    assert_healthy(&world);
}

#[test]
fn a_certificate_that_has_issued_none_is_not_offered_to_be_trusted() {
    let world = shop();
    let mut person = distrustful(&world);
    person.goes_to(UNTRUSTED);
    let screen = person.terminal.sees("arrow keys").screen();
    assert!(screen.contains("Stop") && !screen.contains("Trust the last"), "{screen}");
    person.terminal.press(Key::Esc);
    person.terminal.ends_with(130);
}

#[test]
fn an_unverified_certificate_is_written_into_the_integration() {
    let world = shop();
    let mut person = distrustful(&world).will_choose(UNTRUSTED, "Go on");
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
    let integration = world.get("QuayIntegration", "", "quay").unwrap();
    assert_eq!(integration["spec"]["insecureRegistry"], true);
}

#[test]
fn who_does_not_trust_it_stops() {
    let world = shop();
    let mut person = distrustful(&world);
    person.chooses(UNTRUSTED, "Stop");
    person.terminal.ends_with(130);
    world.oc_quay(&["setup", "--check"]).ends_with(1);
}

#[test]
fn plain_http_is_asked_about() {
    let world = shop();
    let address = world.sandbox.quay.url().replace("https", "http");
    for key in [Key::Esc, Key::CtrlC] {
        let mut person = distrustful(&world).will_type(ADDRESS, &address);
        person.goes_to(ALL_THE_SAME);
        assert!(
            person.terminal.screen().contains("the token would travel unprotected"),
            "{}",
            person.terminal.screen()
        );
        person.terminal.press(key);
        person.terminal.ends_with(130);
    }
}

/// What was accepted for the wrong address does not count for the right one.
#[test]
fn an_address_that_is_no_quay_is_asked_for_again() {
    let world = shop();
    let mut person = distrustful(&world).will_type(ALL_THE_SAME, "y");
    person.types(ADDRESS, "http://127.0.0.1:1").goes_to(TRY_AGAIN);
    assert!(
        person.terminal.screen().contains("could not be used as a Quay"),
        "{}",
        person.terminal.screen()
    );
    let ca = world.sandbox.ca_file();
    let (_, asked) = person.will_type(FILE, ca.to_str().unwrap()).finishes(0);
    assert_eq!(asked[..6], [ADDRESS, ALL_THE_SAME, TRY_AGAIN, ADDRESS, UNTRUSTED, FILE]);
    assert_eq!(
        world.get("QuayIntegration", "", "quay").unwrap()["spec"]["insecureRegistry"],
        serde_json::Value::Null
    );
    assert_healthy(&world);
}

#[test]
fn leads_back_to_the_address() {
    let world = shop();
    let mut person = distrustful(&world);
    person.types(ADDRESS, "http://127.0.0.1:1").types(ALL_THE_SAME, "n");
    person.types(ADDRESS, "http://127.0.0.1:1").types(ALL_THE_SAME, "");
    person.chooses(UNTRUSTED, "Enter another address").goes_to(ADDRESS);
    assert_eq!(person.asked, [ADDRESS, ALL_THE_SAME, ADDRESS, ALL_THE_SAME, ADDRESS, UNTRUSTED]);
    person.terminal.press(Key::Esc);
    person.terminal.ends_with(130);
}

#[test]
fn takes_a_file_in_the_home_directory_and_asks_again_for_none() {
    let world = shop();
    std::fs::copy(world.sandbox.ca_file(), world.dir().join("quay-ca.pem")).unwrap();
    let command = world
        .oc_quay(&["setup"])
        .without_env("OC_QUAY_CA_FILE")
        .env("HOME", world.dir().to_str().unwrap());
    let mut person = Person::begins(&world, command, 100);
    person.chooses(UNTRUSTED, "Read").types(FILE, "").goes_to(FILE);
    let screen = person.terminal.screen();
    assert!(screen.contains("# name a file") && !screen.contains("# :"), "{screen}");
    person.types(FILE, "~/quay-ca.pem").goes_to(super::WAY);
    person.terminal.press(Key::Esc);
    person.terminal.ends_with(130);
}
