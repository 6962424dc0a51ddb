#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use tokio::io::AsyncReadExt as _;
use tokio::runtime::Runtime;

use super::*;

const TOKEN: &str = "s3cr3t-token";

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn listen() -> RedirectListener {
    let quay = QuayUrl::parse("https://quay.example.com").unwrap().0;
    RedirectListener::listen_on(0, &quay, "CLIENT", &[Scope::OrgAdmin, Scope::UserAdmin])
        .await
        .unwrap()
}

fn request(method: &str, target: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

async fn send(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[test]
fn authorize_url_requests_token_for_our_port() {
    let listener = runtime().block_on(listen());
    let fields: Vec<(String, String)> = listener.authorize_url.query_pairs().into_owned().collect();
    let expected = [
        ("response_type", "token"),
        ("client_id", "CLIENT"),
        ("redirect_uri", &redirect_uri_for(listener.validator.port)),
        ("scope", "org:admin user:admin"),
        ("state", &listener.validator.state),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(
        listener.authorize_url.as_str().starts_with("https://quay.example.com/oauth/authorize?")
    );
    assert_eq!(listener.validator.state.len(), 32);
    assert_ne!(listener.validator.state, random_state().unwrap());
    assert_eq!(redirect_uri(), "http://localhost:17895/");
}

#[test]
fn rejects_other_requests_and_keeps_waiting() {
    runtime().block_on(async {
        let listener = listen().await;
        let (port, state) = (listener.validator.port, listener.validator.state.clone());
        let token = tokio::spawn(listener.token(Duration::from_secs(20)));
        let host = format!("Host: localhost:{port}");
        let origin = format!("Origin: http://localhost:{port}");
        let good =
            format!("access_token={TOKEN}&token_type=Bearer&scope=org%3Aadmin&state={state}");
        let evil = "Origin: https://evil.example.com";
        let table = [
            ("404", request("GET", "/favicon.ico", &[&host], "")),
            ("404", request("GET", "/token", &[&host, &origin], &good)),
            ("404", request("GET", "/", &["Host: evil.example.com"], "")),
            ("404", request("POST", "/token", &["Host: evil.example.com", &origin], &good)),
            ("404", request("POST", "/", &[&host, &origin], &good)),
            ("403", request("POST", "/token", &[&host, evil], &good)),
            ("403", request("POST", "/token", &[&host], &good)),
            ("403", request("POST", "/token", &[&host, &origin], &good.replace(&state, "guessed"))),
            ("403", request("POST", "/token", &[&host, &origin], &format!("access_token={TOKEN}"))),
            (
                "403",
                request(
                    "POST",
                    "/token",
                    &[&host, &origin],
                    &format!("access_token=&state={state}"),
                ),
            ),
            ("403", request("GET", "/?error=access_denied&state=guessed", &[&host], "")),
            (
                "403",
                request(
                    "GET",
                    "/?error=access_denied",
                    &[&host, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
                    "",
                ),
            ),
            (
                "403",
                request(
                    "GET",
                    "/?error=access_denied",
                    &[&host, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"],
                    "",
                ),
            ),
        ];
        for (status, request) in table {
            let answer = send(port, &request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{answer}");
            assert!(!answer.contains(TOKEN));
        }
        for hopeless in [
            "nonsense\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            &"x".repeat(http::LIMIT * 2),
            "POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        ] {
            assert_eq!(send(port, hopeless).await, "");
        }
        let page = send(
            port,
            &request("GET", &format!("/?scope=org%3Aadmin&state={state}"), &[&host], ""),
        )
        .await;
        assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("<script>"), "{page}");
        assert!(!page.contains(&state) && !page.contains("://"), "{page}");
        let thanks = send(port, &request("POST", "/token", &[&host, &origin], &good)).await;
        assert!(thanks.starts_with("HTTP/1.1 200 "), "{thanks}");
        assert_eq!(token.await.unwrap().unwrap().expose_secret(), TOKEN);
    });
}

#[test]
fn idle_connections_do_not_block_the_redirect() {
    runtime().block_on(async {
        let listener = listen().await;
        let (port, state) = (listener.validator.port, listener.validator.state.clone());
        let token = tokio::spawn(listener.token(Duration::from_secs(20)));
        let mut silent = Vec::new();
        for _ in 0..MAX_CONNECTIONS - 1 {
            silent.push(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap());
        }
        let headers =
            [format!("Host: localhost:{port}"), format!("Origin: http://localhost:{port}")];
        let body = format!("access_token={TOKEN}&state={state}");
        send(port, &request("POST", "/token", &headers.each_ref().map(String::as_str), &body))
            .await;
        assert_eq!(token.await.unwrap().unwrap().expose_secret(), TOKEN);
    });
}

#[test]
fn denied_authorization_ends_the_wait_with_its_reason() {
    let table = [
        ("error=authorization_denied", "the application was not authorized in the browser"),
        ("error=access_denied&state=STATE", "the application was not authorized in the browser"),
        ("error=invalid_scope", "Quay returned an error to the browser: `invalid_scope`"),
        ("error=%1b%5B31mred", "Quay returned an error to the browser: `31mred`"),
    ];
    runtime().block_on(async {
        for (query, reason) in table {
            let listener = listen().await;
            let (port, state) = (listener.validator.port, listener.validator.state.clone());
            let token = tokio::spawn(listener.token(Duration::from_secs(20)));
            let target = format!("/?{}", query.replace("STATE", &state));
            send(port, &request("GET", &target, &[&format!("Host: localhost:{port}")], "")).await;
            assert_eq!(token.await.unwrap().unwrap_err().to_string(), reason);
        }
    });
}

#[test]
fn accepts_only_the_expected_pasted_url() {
    let listener = runtime().block_on(listen());
    let pasted = |text: &str| {
        let text = text.replace("STATE", &listener.validator.state);
        listener
            .token_from_url(&SecretString::from(text))
            .map(|token| token.expose_secret().to_owned())
    };
    for good in [
        format!(
            " http://localhost:17895/?scope=a&state=STATE#access_token={TOKEN}&token_type=Bearer\n"
        ),
        format!("http://localhost:17895/#access_token={TOKEN}&state=STATE"),
    ] {
        assert_eq!(pasted(&good).unwrap(), TOKEN);
    }
    for bad in [
        format!("http://localhost:17895/?state=guessed#access_token={TOKEN}"),
        format!("http://localhost:17895/#access_token={TOKEN}"),
        "http://localhost:17895/?state=STATE".to_owned(),
        "http://localhost:17895/?error=access_denied".to_owned(),
        TOKEN.to_owned(),
    ] {
        let error = format!("{:?}", pasted(&bad).unwrap_err());
        assert!(!error.contains(TOKEN), "{error}");
    }
}

#[test]
fn times_out_and_names_a_port_in_use() {
    runtime().block_on(async {
        let listener = listen().await;
        let quay = QuayUrl::parse("https://quay.example.com").unwrap().0;
        let error = RedirectListener::listen_on(listener.validator.port, &quay, "CLIENT", &[])
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains(&format!("port {}", listener.validator.port)),
            "{error}"
        );
        let error = listener.token(Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.to_string(), "no token received from the browser within 0 s");
    });
}
