//! The HTML report: written to the chosen output, and tested in a real browser, if there is one.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::TestEnv;

/// An environment with a healthy namespace, two with problems, and those of the platform.
fn troubled() -> Option<TestEnv> {
    let env = TestEnv::stand_in("its own namespaces are in the table too")?;
    for name in ["a-fine", "z-broken"] {
        env.namespace(name);
    }
    env.oc_quay(&["link", "shop", "a-fine", "z-broken", "--yes"]).succeeds();
    env.create_credentials("shop", "a-rival", "other:password");
    env.delete("Secret", "z-broken", "default-quay-openshift");
    Some(env)
}

/// The HTML report of `status -A`.
fn page(env: &TestEnv) -> (PathBuf, String) {
    let file = env.dir().join("status.html");
    let run = env
        .oc_quay(&["status", "-A", "-o", "html", "--output-file"])
        .args(&[file.to_str().unwrap()])
        .ends_with(1);
    assert_eq!(run.stdout, "");
    assert!(
        run.stderr.ends_with("status.html. 1 of 9 namespaces has errors. Run: oc quay repair -A\n"),
        "{}",
        run.stderr
    );
    let page = fs::read_to_string(&file).unwrap();
    (file, page)
}

#[test]
fn writes_report_to_the_chosen_output() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let page = env.oc_quay(&["status", "-n", "shop", "-o", "html"]).succeeds().stdout;
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"), "{page}");

    let file = env.dir().join("status.txt");
    let into = |path: &str| env.oc_quay(&["status", "-n", "shop", "--output-file", path]);
    into(file.to_str().unwrap()).args(&["--color", "always"]).succeeds();
    let text = fs::read_to_string(file).unwrap();
    assert_eq!(text, env.oc_quay(&["status", "-n", "shop"]).succeeds().stdout);

    let run = into("/nowhere/status.txt").ends_with(2);
    assert_eq!(
        run.stderr,
        "error: failed to write /nowhere/status.txt\ncaused by: No such file or directory (os error 2)\n"
    );
}

/// Actions in the browser and their results. The page's policy allows only its own script and is
/// removed here.
const VISIT: &str = r##"<script>
const one = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)].filter((element) => !element.hidden);
const names = () => all("#namespaces tbody tr").map((row) => row.dataset.namespace);
const click = (column) => all("#namespaces thead button")[column].click();
const fill = (selector, value) => { one(selector).value = value; one(selector).dispatchEvent(new Event("input")); };
const seen = { first: names(), title: document.title };
click(0); seen.byName = names();
click(0); seen.byNameDown = names();
click(1); seen.byState = names();
seen.sorted = all("thead th").map((head) => head.getAttribute("aria-sort"));
fill("#words", "BROKEN oq301"); seen.filtered = names(); seen.articles = all("article").map((article) => article.id);
seen.shown = one("#shown").textContent;
fill("#words", ""); fill("#state", "ok"); seen.fine = names();
fill("#state", ""); seen.again = names().length;
location.hash = "OQ301"; seen.target = one("article:target").id;
seen.fits = document.documentElement.scrollWidth <= innerWidth;
seen.paper = getComputedStyle(document.body).backgroundColor;
document.body.innerHTML = "<pre id=seen></pre>"; one("#seen").textContent = JSON.stringify(seen);
</script>"##;

#[test]
fn browser_shows_sorts_and_filters() {
    let Some(browser) = browser() else {
        println!("skipped: there is no chromium");
        return;
    };
    let Some(env) = troubled() else { return };
    let (file, page) = page(&env);
    let visit = |name: &str, arguments: &[&str]| {
        let output = Command::new(&browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--enable-logging=stderr",
            ])
            .args([
                "--window-size=800,600",
                "--dump-dom",
                &format!("--user-data-dir={}/browser", env.dir().display()),
            ])
            .args(arguments)
            .arg(env.dir().join(name))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stderr.contains("CONSOLE"), "the browser complains: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    };
    // Unchanged: its policy allows its style and its script.
    let shown = visit(file.to_str().unwrap(), &[]);
    assert!(shown.contains("<p id=\"tools\">") && shown.contains("9 of 9 namespaces"), "{shown}");

    let (before, after) = page.split_once("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
    let after = after.split_once('\n').unwrap().1.replace("</body>", &format!("{VISIT}</body>"));
    fs::write(env.dir().join("visit.html"), format!("{before}{after}")).unwrap();
    let seen = |arguments: &[&str]| -> Value {
        let shown = visit("visit.html", arguments);
        let seen = shown.split_once("<pre id=\"seen\">").unwrap().1.split_once("</pre>").unwrap().0;
        serde_json::from_str(seen).unwrap()
    };
    let dark = seen(&["--force-dark-mode"]);
    let seen = seen(&[]);
    let platform = [
        "default",
        "kube-system",
        "openshift",
        "openshift-config",
        "openshift-marketplace",
        "openshift-operators",
    ];
    let with_platform =
        |first: &[&str], last: &[&str]| json!([first, &platform[..], last].concat());
    assert_eq!(seen["title"], "1 of 9 namespaces has errors - oc quay status");
    assert_eq!(seen["first"], with_platform(&["z-broken", "shop", "a-fine"], &[]));
    assert_eq!(seen["byName"], with_platform(&["a-fine"], &["shop", "z-broken"]));
    let mut down = seen["byName"].as_array().unwrap().clone();
    down.reverse();
    assert_eq!(seen["byNameDown"], Value::from(down));
    assert_eq!(seen["byState"][0], "z-broken");
    assert_eq!(seen["sorted"], json!([null, "ascending", null, null, null]));
    assert_eq!((&seen["filtered"], &seen["articles"]), (&json!(["z-broken"]), &json!(["OQ301"])));
    assert_eq!(seen["shown"], "1 of 9 namespaces");
    assert_eq!((&seen["fine"], &seen["again"]), (&json!(["a-fine"]), &9.into()));
    assert_eq!((&seen["target"], &seen["fits"]), (&"OQ301".into(), &true.into()));
    assert_eq!(
        (&seen["paper"], &dark["paper"]),
        (&"rgb(255, 255, 255)".into(), &"rgb(20, 22, 26)".into())
    );
}

fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .flat_map(|path| names.map(|name| path.join(name)))
        .find(|file| file.is_file())
}
