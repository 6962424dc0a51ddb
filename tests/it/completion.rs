//! Completion as `oc`, `kubectl` and the shells call it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::TestEnv;

/// A folder of programs on the `PATH`, and completions in it.
struct Person<'a> {
    env: &'a TestEnv,
    path: String,
}

impl<'a> Person<'a> {
    fn new(env: &'a TestEnv) -> Self {
        let bin = env.dir().join("bin");
        fs::create_dir_all(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_oc-quay"), bin.join("kubectl-quay")).unwrap();
        let person =
            Self { env, path: format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()) };
        for client in ["oc", "kubectl"] {
            let script = bin.join(format!("{client}_complete-quay"));
            fs::write(&script, person.script(client)).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        }
        person
    }

    fn script(&self, shell: &str) -> String {
        self.env.oc_quay(&["completion", shell]).succeeds().stdout
    }

    /// Runs a program, asserts an empty stderr, and returns stdout.
    fn runs(&self, program: &str, words: &[&str]) -> String {
        let mut command = Command::new(program);
        command
            .args(words)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.env.dir())
            .env("LC_ALL", "C.UTF-8");
        let output = command.env("KUBECONFIG", self.env.kubeconfig()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{program} {words:?}");
        assert!(output.status.success(), "{program} {words:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The completions for `oc` of the last word.
    fn oc_completes(&self, words: &[&str]) -> Vec<String> {
        self.runs("oc_complete-quay", words).lines().map(str::to_owned).collect()
    }

    /// Asserts the completions for `oc`; a machine under load needs several attempts.
    #[track_caller]
    fn sees(&self, words: &[&str], expected: &[&str]) {
        self.env.wait_for(
            &format!("{expected:?} after {words:?}, not {:?}", self.oc_completes(words)),
            || self.oc_completes(words) == expected,
        );
    }
}

/// The path of a program, if installed.
fn installed(name: &str) -> Option<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.exists());
    if found.is_none() {
        println!("skipped: there is no {name}");
    }
    found
}

/// A kubeconfig for a server that accepts connections and never responds.
fn silent_cluster(folder: &Path) -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let kubeconfig = folder.join("silent.yaml");
    let address = listener.local_addr().unwrap();
    fs::write(
        &kubeconfig,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: silent\ncontexts: [{{name: silent, context: {{cluster: silent}}}}]\nclusters: [{{name: silent, cluster: {{server: 'https://{address}'}}}}]\n"
        ),
    )
    .unwrap();
    (listener, kubeconfig.display().to_string())
}

#[test]
fn completes_names_from_cluster_and_kubeconfig() {
    let env = TestEnv::new();
    env.create(&serde_json::json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "pipeline", "namespace": "shop" }
    }));
    let person = Person::new(&env);
    person.sees(&["status", "-n", "sh"], &["shop", ":4"]);
    person.sees(&["link", "shop", "sh"], &["shop", ":4"]);
    person.sees(&["status", "--context", ""], &["admin", "dev", "guest", ":4"]);
    person.sees(&["link", "-n", "shop", "--service-account", "pi"], &["pipeline", ":4"]);
    person.sees(
        &["link", "--service-account=pipeline=w"],
        &["--service-account=pipeline=write", ":4"],
    );
    // A user without permission to list namespaces gets their projects.
    env.grant("dev", "shop");
    // On a real API server the projects take longer than the completion timeout.
    if !env.is_real() {
        person.sees(&["--context", "dev", "status", "-n", "s"], &["shop", ":4"]);
    }

    if let Some(kubectl) =
        installed("kubectl").filter(|kubectl| Command::new(kubectl).arg("version").output().is_ok())
    {
        env.wait_for("kubectl to complete", || {
            let asked = Command::new(&kubectl)
                .args(["__complete", "quay", "status", "-n", "sh"])
                .env_clear()
                .env("PATH", &person.path)
                .env("HOME", env.dir())
                .env("KUBECONFIG", env.kubeconfig())
                .output()
                .unwrap();
            String::from_utf8_lossy(&asked.stdout) == "shop\n:4\n"
        });
    }
}

#[test]
fn completes_commands_flags_and_codes_without_cluster() {
    let Some(env) = TestEnv::stand_in("nothing of it asks the cluster") else { return };
    let person = Person::new(&env);
    assert_eq!(
        person.oc_completes(&["stat"]),
        ["status\tShow the state of linked namespaces and what is wrong", ":4"]
    );
    assert_eq!(
        person.oc_completes(&["status", "--fail"]),
        ["--fail-on\tLowest severity that sets exit code 1", ":4"]
    );
    assert_eq!(
        person.oc_completes(&["explain", "OQ306"]),
        ["OQ306\tPull secret holds a stale token", ":4"]
    );
    assert_eq!(person.oc_completes(&["status", "-o", "js"]), ["json\tJSON", ":4"]);
    // A folder is completed with its slash.
    fs::create_dir_all(env.dir().join("certificates")).unwrap();
    let start = format!("{}/cert", env.dir().display());
    assert_eq!(
        person.oc_completes(&["status", "--quay-ca-file", &start]),
        [format!("{start}ificates/"), ":6".to_owned()]
    );
    assert!(env.cluster_traffic().entries().is_empty());
}

#[test]
fn errors_give_no_candidates_and_no_message() {
    let Some(env) = TestEnv::stand_in("nothing of it asks the cluster") else { return };
    let person = Person::new(&env);
    let (_listener, silent) = silent_cluster(env.dir());
    let broken = env.dir().join("broken.yaml");
    fs::write(&broken, "users: [").unwrap();
    for kubeconfig in [silent.as_str(), "/nowhere", broken.to_str().unwrap()] {
        assert_eq!(
            person.oc_completes(&["--kubeconfig", kubeconfig, "status", "-n", ""]),
            [":4"],
            "{kubeconfig}"
        );
    }
    for words in [
        &["status", "--concurrency", "many", "-n", ""][..],
        &["nonsense", ""],
        &["status", "--nonsense", "x", ""],
        &[],
    ] {
        let found = person.oc_completes(words);
        assert_eq!(found.last().map(String::as_str), Some(":4"), "{words:?}");
    }
}

#[test]
fn scripts_complete_in_their_shells() {
    let Some(env) = TestEnv::stand_in("nothing of it asks the cluster") else { return };
    let person = Person::new(&env);
    let folder = env.dir().join("bin");
    symlink(env!("CARGO_BIN_EXE_oc-quay"), folder.join("oc-quay")).unwrap();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        fs::write(folder.join(format!("script.{shell}")), person.script(shell)).unwrap();
    }
    let script = |shell: &str| folder.join(format!("script.{shell}")).display().to_string();

    // Bash passes the text up to = and expects the rest.
    let bash = format!(
        "source {}; complete -p oc-quay; COMP_LINE='oc-quay status --output=js'; COMP_POINT=26; _oc_quay oc-quay js =; echo \"${{COMPREPLY[@]}}\"
         COMP_LINE='oc-quay stat'; COMP_POINT=12; _oc_quay oc-quay stat oc-quay; echo \"${{COMPREPLY[@]}}\"",
        script("bash")
    );
    assert_eq!(person.runs("bash", &["-c", &bash]), "complete -F _oc_quay oc-quay\njson\nstatus\n");

    if installed("zsh").is_some() {
        // The candidates in zsh's own completion.
        let zsh = format!(
            "compdef() {{ : }}; _describe() {{ print -rl -- ${{(P)3}} }}; source {}; words=(oc-quay explain OQ306); CURRENT=3; _oc-quay",
            script("zsh")
        );
        assert_eq!(
            person.runs("zsh", &["-f", "-c", &zsh]),
            "OQ306:Pull secret holds a stale token\n"
        );
    }
    if installed("fish").is_some() {
        let fish =
            format!("source {}; complete --do-complete 'oc-quay explain OQ306'", script("fish"));
        assert_eq!(
            person.runs("fish", &["--no-config", "-c", &fish]),
            "OQ306\tPull secret holds a stale token\n"
        );
    }
    let powershell = person.script("powershell");
    assert!(
        powershell.contains("Register-ArgumentCompleter -Native -CommandName 'oc-quay'"),
        "{powershell}"
    );
}
