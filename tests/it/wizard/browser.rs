//! The token by way of the browser. A client plays it: it signs in to Quay, answers its question, and does what the
//! page of ours does with the answer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::header::{COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, Response, Url};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::scripted_user::{MORE, Person};
use super::{ISSUE, Question, WAY, assert_healthy, person, shop};
use crate::support::{Key, TestEnv};

const REDIRECT: &str = "http://localhost:17895/";
const CLIENT_ID: Question = MORE[13];
const HERE: Question = MORE[14];
const PASTE: Question = MORE[15];
const TRY_AGAIN: Question = MORE[9];

/// There is only one such port.
static PORT: Mutex<()> = Mutex::new(());

fn port() -> MutexGuard<'static, ()> {
    PORT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates the application of the instructions; its client ID.
fn application(env: &TestEnv) -> String {
    env.sandbox.quay.add_organization("openshift-integration", "quayadmin");
    env.sandbox.quay.add_application("openshift-integration", "openshift", REDIRECT)
}

/// A browser with a session in Quay.
struct Browser {
    client: Client,
    runtime: Runtime,
    cookie: String,
    csrf: String,
}

impl Browser {
    fn signed_in(env: &TestEnv) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .redirect(reqwest::redirect::Policy::none());
        let mut browser = Self {
            client: client.build().unwrap(),
            runtime,
            cookie: String::new(),
            csrf: String::new(),
        };
        let url = env.sandbox.quay.url();
        browser
            .run(async |client, _| client.get(format!("{url}/csrf_token")).send().await.unwrap());
        let csrf = browser.csrf.clone();
        let credentials = json!({ "username": "quayadmin", "password": env.sandbox.quay.password("quayadmin").unwrap() });
        browser.run(async |client, cookie| {
            let request = client
                .post(format!("{url}/api/v1/signin"))
                .header(COOKIE, cookie)
                .header("x-csrf-token", csrf);
            request.json(&credentials).send().await.unwrap()
        });
        browser
    }

    /// Sends a request and keeps the cookie and the token against forgery that the answer brings.
    fn run(
        &mut self,
        send: impl AsyncFnOnce(&Client, &str) -> Response,
    ) -> (Option<String>, String) {
        let (client, cookie) = (self.client.clone(), self.cookie.clone());
        self.runtime.block_on(async {
            let answer = send(&client, &cookie).await;
            assert!(answer.status().as_u16() < 400, "{answer:?}");
            let header = |name: &str| {
                answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
            };
            let (location, next) = (header(LOCATION.as_str()), header("x-next-csrf-token"));
            if let Some(cookie) = header(SET_COOKIE.as_str()) {
                self.cookie = cookie.split(';').next().unwrap().to_owned();
            }
            let body = answer.text().await.unwrap();
            let named = serde_json::from_str::<Value>(&body).unwrap_or_default()["csrf_token"]
                .as_str()
                .map(str::to_owned);
            self.csrf = next.or(named).unwrap_or_else(|| self.csrf.clone());
            (location, body)
        })
    }

    /// Opens the address, answers Quay's question with one of its two buttons, and gives the address that this leads to.
    fn answers(&mut self, address: &str, button: &str) -> Url {
        let address = Url::parse(address).unwrap();
        let (_, page) = self.run(async |client, cookie| {
            client.get(address.clone()).header(COOKIE, cookie).send().await.unwrap()
        });
        assert!(page.contains(button), "{page}");
        let mut fields: Vec<(String, String)> = address.query_pairs().into_owned().collect();
        fields.push(("_csrf_token".into(), self.csrf.clone()));
        let target = address.join(&format!("/oauth/{button}")).unwrap();
        let (location, _) = self.run(async |client, cookie| {
            client.post(target).header(COOKIE, cookie).form(&fields).send().await.unwrap()
        });
        Url::parse(&location.unwrap()).unwrap()
    }

    /// Follows the address to this machine, and posts what came with it as the script of the page does.
    fn brings(&mut self, end: &Url) {
        let here = end.as_str().replace("localhost", "127.0.0.1");
        let host = "localhost:17895";
        let (_, page) =
            self.run(async |client, _| client.get(here).header(HOST, host).send().await.unwrap());
        if let Some(fragment) = end.fragment() {
            assert!(page.contains("fetch('/token'"), "{page}");
            let body = format!("{fragment}&{}", end.query().unwrap_or_default());
            self.run(async |client, _| {
                let request = client.post("http://127.0.0.1:17895/token").header(HOST, host);
                request.header(ORIGIN, "http://localhost:17895").body(body).send().await.unwrap()
            });
        }
    }
}

/// The address that the person is shown.
fn address(screen: &str) -> String {
    screen
        .lines()
        .find(|line| line.contains("/oauth/authorize?"))
        .unwrap_or_else(|| panic!("{screen}"))
        .trim()
        .to_owned()
}

/// A user who signs in with the browser, up to the question about the token's transfer.
fn with_browser<'a>(env: &'a TestEnv, client_id: &str) -> Person<'a> {
    let command = env.oc_quay(&["setup", "--no-browser"]);
    let mut person = Person::begins(env, command, 300).will_choose(WAY, "Sign in with the browser");
    person.goes_to(CLIENT_ID);
    let screen = person.terminal.screen();
    for reported in ["organization openshift-integration", "application openshift", REDIRECT] {
        assert!(screen.contains(reported), "{screen}");
    }
    person.types(CLIENT_ID, client_id).goes_to(HERE);
    assert!(
        person.terminal.screen().contains("Open this address in a browser:\n"),
        "{}",
        person.terminal.screen()
    );
    person
}

#[test]
fn receives_token_from_browser() {
    let _port = port();
    let env = shop();
    let mut person = with_browser(&env, &application(&env));
    let address = address(&person.terminal.screen());
    person.types(HERE, "");
    let mut browser = Browser::signed_in(&env);
    let end = browser.answers(&address, "authorizeapp");
    browser.brings(&end);
    let (left, _) = person.finishes(0);
    assert!(left.screen.contains("the token belongs to quayadmin, a superuser"), "{}", left.screen);
    assert_healthy(&env);
}

#[test]
fn denied_authorization_is_reported_and_asked_again() {
    let _port = port();
    let env = shop();
    let mut person = with_browser(&env, &application(&env));
    let address = address(&person.terminal.screen());
    person.types(HERE, "");
    let mut browser = Browser::signed_in(&env);
    let end = browser.answers(&address, "denyapp");
    browser.brings(&end);
    person.goes_to(TRY_AGAIN);
    let screen = person.terminal.screen();
    assert!(screen.contains("the application was not authorized in the browser"), "{screen}");
    person.terminal.press(Key::Esc);
    person.terminal.ends_with(130);
}

#[test]
fn ctrl_c_ends_the_wait_for_the_browser() {
    let _port = port();
    let env = shop();
    let mut person = with_browser(&env, &application(&env));
    person
        .types(HERE, "")
        .terminal
        .sees("> How do you want to transfer the token? Wait for the browser")
        .waits_for_restored_modes()
        .press(Key::CtrlC);
    person.terminal.ends_with(130);
}

/// Over SSH the browser is elsewhere, so pasting is what Enter chooses.
#[test]
fn pastes_address_over_ssh() {
    let _port = port();
    let env = shop();
    let client_id = application(&env);
    let command = env
        .oc_quay(&["setup", "--browser", "--no-browser", "--client-id", &client_id])
        .env("SSH_CONNECTION", "1 2 3 4");
    let mut person = Person::begins(&env, command, 300);
    person.goes_to(HERE);
    let address = address(&person.terminal.screen());
    let end = Browser::signed_in(&env).answers(&address, "authorizeapp");
    person.types(HERE, "").goes_to(PASTE);
    person.asked.push(PASTE);
    person.terminal.pastes(end.as_str()).press(Key::Enter);
    let (_, asked) = person.finishes(0);
    assert!(!asked.contains(&WAY) && asked.contains(&ISSUE), "{asked:?}");
    assert_healthy(&env);
}

#[test]
fn rejects_pasted_address_of_other_sign_in() {
    let _port = port();
    let env = shop();
    let mut person = with_browser(&env, &application(&env));
    person
        .chooses(HERE, "Paste")
        .types(PASTE, &format!("{REDIRECT}?state=another#access_token=s0mebodys-t0ken"));
    env.note_secret("s0mebodys-t0ken");
    person.goes_to(TRY_AGAIN);
    let screen = person.terminal.screen();
    assert!(screen.contains("the pasted address does not belong to this sign-in"), "{screen}");
    person.terminal.press(Key::Esc);
    person.terminal.ends_with(130);
}

#[test]
fn waits_for_browser_without_terminal() {
    use std::io::{BufRead as _, BufReader, Read as _};
    let _port = port();
    let env = shop();
    let client_id = application(&env);
    let url = env.sandbox.quay.url();
    let arguments = [
        "setup",
        "--yes",
        "--browser",
        "--no-browser",
        "--client-id",
        &client_id,
        "--quay-url",
        &url,
    ];
    let mut child = env.oc_quay(&arguments).args(&["--link", "shop"]).spawn();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("/oauth/authorize?") {
        line.clear();
        assert_ne!(errors.read_line(&mut line).unwrap(), 0, "no address was shown");
    }
    let mut browser = Browser::signed_in(&env);
    let end = browser.answers(line.trim(), "authorizeapp");
    browser.brings(&end);
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{rest}{stdout}");
    for secret in env.secrets() {
        assert!(!rest.contains(&secret) && !stdout.contains(&secret), "{rest}{stdout}");
    }
    env.assert_linked("shop", &[]);
}

#[test]
fn reports_port_in_use() {
    let _port = port();
    let env = shop();
    let client_id = application(&env);
    let _taken = std::net::TcpListener::bind(("127.0.0.1", 17895)).unwrap();
    let mut person = person(&env).will_choose(WAY, "Sign in with the browser");
    person.types(CLIENT_ID, &client_id).goes_to(TRY_AGAIN);
    assert!(
        person.terminal.screen().contains("failed to listen on port 17895 of localhost"),
        "{}",
        person.terminal.screen()
    );
    person.terminal.press(Key::Esc);
    person.terminal.ends_with(130);
}
