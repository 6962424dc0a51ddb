use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::tls::Authority;

use super::*;
use crate::quay::{CaBundle, OptionsError, describe_pem};

#[test]
fn describes_each_certificate_of_a_file() {
    let scene = Scene::new();
    let mine = fs::read_to_string(scene.sandbox.ca_file()).unwrap();
    let other = Authority::new().unwrap();
    let both = format!("# mine\n{mine}\n# another\n{}", other.pem());
    let found = describe_pem(both.as_bytes()).unwrap();
    assert_eq!(found.len(), 2);
    for certificate in &found {
        assert!(certificate.is_ca);
        assert_eq!(certificate.subject, certificate.issuer);
        assert_eq!(certificate.sha256.split(':').map(str::len).collect::<Vec<_>>(), [2; 32]);
    }
    assert_ne!(found[0].sha256, found[1].sha256);
    // The certificate is unchanged, independent of the line breaks in the file.
    let der = |pem: &str| {
        STANDARD
            .decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>())
            .unwrap()
    };
    assert_eq!(der(&found[1].pem), der(other.pem()));
    assert!(found[1].pem.lines().all(|line| line.len() <= 64));
    Quay::new(Options { ca: Some(found[0].pem.clone().into_bytes()), ..scene.options() }).unwrap();
}

#[test]
fn keeps_only_the_certificates_of_a_pem_file() {
    let (one, two) = (Authority::new().unwrap(), Authority::new().unwrap());
    let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    let parameters = "-----BEGIN DH PARAMETERS-----\nc2VjcmV0\n-----END DH PARAMETERS-----\n";
    let both = format!("{}{}", one.pem(), two.pem());
    let parse = |text: &str| CaBundle::parse(text.as_bytes()).unwrap();
    let bundle = |labels: &[String]| CaBundle {
        pem: both.clone().into_bytes(),
        ignored_blocks: labels.to_vec(),
    };
    assert_eq!(parse(&both), bundle(&[]));
    let mixed =
        format!("password: secret\n{key}{}\n{key}{parameters}{}# the end", one.pem(), two.pem());
    let labels = vec!["DH PARAMETERS".to_owned(), "PRIVATE KEY".to_owned()];
    assert_eq!(parse(&mixed), bundle(&labels));
    assert_eq!(parse(&mixed.replace('\n', "\r\n")), bundle(&labels));
    assert_eq!(
        [key, "", "no PEM"].map(|text| CaBundle::parse(text.as_bytes())),
        [None, None, None]
    );
}

#[test]
fn describes_a_certificate_as_openssl_does() {
    // `openssl x509 -in certificate.pem -noout -fingerprint -sha256 -dates -subject -nameopt rfc2253`
    let found = describe_pem(include_bytes!("certificate.pem")).unwrap();
    let fingerprint = "EC:B4:69:4A:00:D7:6D:EC:E2:8F:D5:D6:29:D9:F2:F5:D2:3F:F3:72:F4:A2:8A:69:EE:A0:40:96:29:C1:FA:CD";
    assert_eq!(found[0].sha256, fingerprint);
    assert_eq!(found[0].subject, "CN=quay.example.com,O=Example,C=DE");
    // Dates from 2050 have another type (RFC 5280, 4.1.2.5).
    assert_eq!(found[0].not_before.to_string(), "2026-11-22T15:03:47Z");
    assert_eq!(found[0].not_after.to_string(), "2054-04-09T15:03:47Z");
}

#[test]
fn rejects_invalid_certificates() {
    let broken =
        "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    for pem in
        ["", "nothing", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", broken]
    {
        assert!(matches!(describe_pem(pem.as_bytes()), Err(OptionsError::Ca(_))), "{pem}");
    }
}
