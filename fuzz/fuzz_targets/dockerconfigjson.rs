//! Any bytes are read as a docker configuration without a panic; a login that was read is read again from what is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oc_quay::domain::dockerconfig::{Entry, Place, parse};
use secrecy::{ExposeSecret as _, SecretString};

fuzz_target!(|content: &[u8]| {
    let Ok(parsed) = parse(content) else { return };
    let Some((host, login)) = parsed.logins.first() else { return };
    let before = String::from_utf8(content.to_vec()).ok().map(SecretString::from);
    let written = Entry { place: Place { host, organization: "org" }, login }.render(before.as_ref());
    let again = parse(written.expose_secret().as_bytes()).unwrap();
    let (_, read) = again.logins.iter().find(|(key, _)| key == host).unwrap();
    // The user name ends at the first colon.
    let joined = |username: &str, password: &str| format!("{username}:{password}");
    assert_eq!(
        joined(&read.username, read.password.expose_secret()),
        joined(&login.username, login.password.expose_secret())
    );
});
