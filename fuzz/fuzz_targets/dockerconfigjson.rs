//! Any bytes are read as a docker configuration without a panic; a login that was read is read again from what is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oc_quay::bridge::dockerconfig::{Entry, Place, parse};
use secrecy::ExposeSecret as _;

fuzz_target!(|content: &[u8]| {
    let Ok(logins) = parse(content) else { return };
    let Some((host, login)) = logins.first() else { return };
    let written = Entry { place: Place { host, organization: "org" }, login }.render(&logins);
    let again = parse(written.expose_secret().as_bytes()).unwrap();
    let (_, read) = again.iter().find(|(key, _)| key == host).unwrap();
    // The user name ends at the first colon.
    let joined = |username: &str, password: &str| format!("{username}:{password}");
    assert_eq!(
        joined(&read.username, read.password.expose_secret()),
        joined(&login.username, login.password.expose_secret())
    );
});
