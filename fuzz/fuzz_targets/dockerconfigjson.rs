//! Parsing never panics, and a parsed entry survives a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oc_quay::domain::dockerconfig::{AuthEntry, RegistryScope, parse};
use secrecy::{ExposeSecret as _, SecretString};

fuzz_target!(|content: &[u8]| {
    let Ok(parsed) = parse(content) else { return };
    let Some((host, credentials)) = parsed.logins.first() else { return };
    let before = String::from_utf8(content.to_vec()).ok().map(SecretString::from);
    let written = AuthEntry { place: RegistryScope { host, organization: "org" }, login: credentials }.render(before.as_ref());
    let again = parse(written.expose_secret().as_bytes()).unwrap();
    let (_, read) = again.credentials.iter().find(|(key, _)| key == host).unwrap();
    // The user name ends at the first colon.
    let joined = |username: &str, password: &str| format!("{username}:{password}");
    assert_eq!(
        joined(&read.username, read.password.expose_secret()),
        joined(&credentials.username, credentials.password.expose_secret())
    );
});
