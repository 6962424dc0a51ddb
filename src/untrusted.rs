//! Parsers of external input, for cargo-fuzz and the tests below: no input may cause a panic.

pub use crate::cluster::untrusted::{api_server, kubeconfig};
use crate::domain::dockerconfig;
pub use crate::quay::untrusted::{quay, registry};
pub use crate::setup::oauth_redirect::browser_request;
pub use crate::ui::untrusted::terminal;

pub fn secret(bytes: &[u8]) {
    let _ = dockerconfig::parse(bytes);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, Instant};

    use super::*;

    /// Seconds per parser.
    const SECONDS: &str = "OC_QUAY_FUZZ_SECONDS";

    /// Limit of an input.
    const MAX_BYTES: usize = 4096;

    /// Deterministic random numbers (SplitMix64).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
        }

        /// A mutated seed.
        fn input(&mut self, seeds: &[&[u8]]) -> Vec<u8> {
            let mut bytes = seeds[self.below(seeds.len())].to_vec();
            for _ in 0..self.below(6) {
                let (at, length) = (self.below(bytes.len() + 1), self.below(16));
                let end = (at + length).min(bytes.len());
                match self.below(6) {
                    0 => drop(bytes.drain(at..end)),
                    1 => bytes.truncate(at),
                    2 => drop(bytes.splice(at..at, [self.below(256) as u8])),
                    3 => {
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte ^= 1 << self.below(8);
                        }
                    }
                    4 => {
                        let other = seeds[self.below(seeds.len())];
                        let from = self.below(other.len() + 1);
                        let part = &other[from..(from + self.below(64)).min(other.len())];
                        drop(bytes.splice(at..end, part.iter().copied()));
                    }
                    _ => {
                        let words: [&[u8]; 8] =
                            [b"null", b"[]", b"{}", b"''", b"-1", b"1e999", b"\n", b"\"\\u0000\""];
                        drop(bytes.splice(at..end, words[self.below(words.len())].iter().copied()));
                    }
                }
            }
            bytes.truncate(MAX_BYTES);
            bytes
        }
    }

    /// Runs a parser on mutated seeds. A panic reports the input.
    fn fuzz(reads: impl Fn(&[u8]), seeds: &[&[u8]]) {
        let seconds =
            std::env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(1);
        let (started, mut numbers) = (Instant::now(), Numbers(seconds));
        while started.elapsed() < Duration::from_secs(seconds) {
            for _ in 0..100 {
                let input = numbers.input(seeds);
                let outcome =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| reads(&input)));
                assert!(outcome.is_ok(), "panic with input b\"{}\"", input.escape_ascii());
            }
        }
    }

    #[test]
    fn kubeconfig_never_panics() {
        fuzz(kubeconfig, &[
            b"current-context: a\ncontexts: [{name: a, context: {cluster: b, user: c}}]\nclusters: [{name: b, cluster: \
              {server: 'https://api.one:6443', certificate-authority-data: YQ==, tls-server-name: x, proxy-url: 'http://p:1'}}]\n\
              users: [{name: c, user: {token: \"t\\n\", as: eve, as-groups: [g], as-user-extra: {a: [b]}}}]\n",
            b"contexts:\n- {name: a, context: {cluster: b, user: c}}\ncurrent-context: a\nclusters:\n- {name: b, cluster: \
              {server: 'https://[::1]/path', insecure-skip-tls-verify: true, proxy-url: 'socks5://u:p@h'}}\nusers:\n- {name: c, \
              user: {auth-provider: {name: oidc, config: {id-token: a.b.c}}}}\n",
            b"current-context: a\ncontexts: [{name: a, context: {cluster: b, user: c}}]\nclusters: [{name: b, cluster: {server: \
              'https://x'}}]\nusers: [{name: c, user: {username: ann, password: pw, exec: {command: x, apiVersion: \
              client.authentication.k8s.io/v1, interactiveMode: Never}}}]\n",
            b"\xff\xfea\0:\0",
            b"a: &x [*x, *x]\n---\nb",
        ]);
    }

    #[test]
    fn api_response_never_panics() {
        fuzz(api_server, &[
            br#"{"kind":"Status","status":"Failure","message":"no","reason":"NotFound","code":404}"#,
            br#"{"metadata":{"name":"a","namespace":"b","uid":"u","resourceVersion":"1","annotations":{"oc-quay/role":"admin"}},"secrets":[{"name":"s"}],"imagePullSecrets":[{"name":"s"}]}"#,
            br#"{"metadata":{"name":"a"},"type":"kubernetes.io/dockerconfigjson","data":{".dockerconfigjson":"e30="}}"#,
            br#"{"metadata":{"name":"a"},"spec":{"tags":[{"name":"1","from":{"kind":"DockerImage","name":"q/o/r:1"},"importPolicy":{"scheduled":true}}]},"status":{"tags":[{"tag":"1","items":[{"created":"2026-01-01T00:00:00Z","dockerImageReference":"x","image":"sha256:a","generation":1}]}]}}"#,
            br#"{"metadata":{"name":"a"},"spec":{"strategy":{"dockerStrategy":{}},"output":{"to":{"kind":"ImageStreamTag","name":"a:1"}}},"status":{"phase":"New"}}"#,
            br#"{"metadata":{"name":"quay"},"spec":{"quayHostname":"https://q","clusterID":"c","credentialsSecret":{"name":"a","namespace":"b"},"allowlistNamespaces":["x"]}}"#,
        ]);
    }

    #[test]
    fn quay_response_never_panics() {
        fuzz(quay, &[
            br#"{"error_message":"no","error_type":"invalid_token","detail":"x","title":"t","status":403}"#,
            br#"{"robots":[{"name":"a+b","token":"T","description":"made by oc-quay","unstructured_metadata":{},"created":"x"}]}"#,
            br#"{"prototypes":[{"id":"1","role":"write","delegate":{"name":"a+b","kind":"user","is_robot":true}}]}"#,
            br#"{"repositories":[{"namespace":"a","name":"b","is_public":false,"last_modified":1}],"next_page":"n"}"#,
            br#"{"tags":[{"name":"1","manifest_digest":"sha256:a","start_ts":1,"last_modified":"Thu, 01 Jan 2026 00:00:00 -0000"}],"has_additional":true}"#,
            br#"{"name":"a","email":"b","is_admin":true,"teams":{"owners":{"name":"owners","role":"admin"}},"organizations":[{"name":"o"}]}"#,
            br#"{"config":{"REGISTRY_STATE":"readonly","SERVER_HOSTNAME":"q","FEATURE_X":true},"version_number":"3.12.1","data":{"services":{"a":true}}}"#,
        ]);
    }

    #[test]
    fn registry_response_never_panics() {
        fuzz(registry, &[
            br#"Bearer realm="https://localhost:18443/v2/auth",service="localhost:18443""#,
            br#"{"token":"e30.eyJhY2Nlc3MiOlt7InR5cGUiOiJyZXBvc2l0b3J5IiwibmFtZSI6ImEvYiIsImFjdGlvbnMiOlsicHVsbCJdfV19.c2ln"}"#,
        ]);
    }

    #[test]
    fn terminal_text_has_no_control_sequences() {
        fuzz(
            terminal,
            &[
                b"\x1b[31mred\x1b[0m\n\x1b]0;title\x07",
                "a\u{202e}b\u{2066}c\r\n\t\u{9b}31m".as_bytes(),
                b"plain\nlines\n",
            ],
        );
    }

    #[test]
    fn browser_request_never_panics() {
        fuzz(
            browser_request,
            &[
                b"POST /token HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 5\r\nOrigin: x\r\n\r\na=b&c",
                b"GET /?error=x&state=y HTTP/1.1\r\nhost: localhost:1\r\nSec-Fetch-Mode: navigate\r\n\r\n",
            ],
        );
    }

    #[test]
    fn secret_never_panics() {
        fuzz(secret, &[br#"{"auths":{"q":{"auth":"YTpi","email":"e"},"r/s":{"username":"u","password":"p"}}}"#]);
    }
}
