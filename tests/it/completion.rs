//! Completion, asked for as `oc`, `kubectl` and the shells ask.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::World;

/// A folder of programs, as a person has it on the `PATH`, and what a word is completed with there.
struct Person<'a> {
    world: &'a World,
    path: String,
}

impl<'a> Person<'a> {
    fn new(world: &'a World) -> Self {
        let bin = world.dir().join("bin");
        fs::create_dir_all(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_oc-quay"), bin.join("kubectl-quay")).unwrap();
        let person =
            Self { world, path: format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()) };
        for client in ["oc", "kubectl"] {
            let script = bin.join(format!("{client}_complete-quay"));
            fs::write(&script, person.script(client)).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        }
        person
    }

    fn script(&self, shell: &str) -> String {
        self.world.oc_quay(&["completion", shell]).succeeds().stdout
    }

    /// Runs a program that the person has, and returns what it printed; nothing may be said on stderr.
    fn runs(&self, program: &str, words: &[&str]) -> String {
        let mut command = Command::new(program);
        command
            .args(words)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.world.dir())
            .env("LC_ALL", "C.UTF-8");
        let output = command.env("KUBECONFIG", self.world.kubeconfig()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{program} {words:?}");
        assert!(output.status.success(), "{program} {words:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `oc` is told; the last word is to be completed.
    fn oc_completes(&self, words: &[&str]) -> Vec<String> {
        self.runs("oc_complete-quay", words).lines().map(str::to_owned).collect()
    }

    /// Insists on what `oc` is told, which on a machine under load takes more than one try.
    #[track_caller]
    fn sees(&self, words: &[&str], expected: &[&str]) {
        self.world.wait_for(
            &format!("{expected:?} after {words:?}, not {:?}", self.oc_completes(words)),
            || self.oc_completes(words) == expected,
        );
    }
}

/// Where a program is that not every machine has.
fn installed(name: &str) -> Option<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.exists());
    if found.is_none() {
        println!("skipped: there is no {name}");
    }
    found
}

/// A kubeconfig of its own for a cluster that takes connections and never says anything.
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
fn names_come_from_the_cluster_and_the_kubeconfig() {
    let world = World::new();
    world.create(&serde_json::json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "pipeline", "namespace": "shop" }
    }));
    let person = Person::new(&world);
    person.sees(&["status", "-n", "sh"], &["shop", ":4"]);
    person.sees(&["link", "shop", "sh"], &["shop", ":4"]);
    person.sees(&["status", "--context", ""], &["admin", "dev", "nobody", ":4"]);
    person.sees(&["link", "-n", "shop", "--service-account", "pi"], &["pipeline", ":4"]);
    person.sees(
        &["link", "--service-account=pipeline=w"],
        &["--service-account=pipeline=write", ":4"],
    );
    // Whoever may not list namespaces sees the own projects.
    world.grant("dev", "shop");
    // The projects that the kit adds to a real API server take longer than a shell is kept waiting.
    if !world.is_real() {
        person.sees(&["--context", "dev", "status", "-n", "s"], &["shop", ":4"]);
    }

    if let Some(kubectl) =
        installed("kubectl").filter(|kubectl| Command::new(kubectl).arg("version").output().is_ok())
    {
        world.wait_for("kubectl to complete", || {
            let asked = Command::new(&kubectl)
                .args(["__complete", "quay", "status", "-n", "sh"])
                .env_clear()
                .env("PATH", &person.path)
                .env("HOME", world.dir())
                .env("KUBECONFIG", world.kubeconfig())
                .output()
                .unwrap();
            String::from_utf8_lossy(&asked.stdout) == "shop\n:4\n"
        });
    }
}

#[test]
fn commands_flags_and_codes_need_no_cluster() {
    let Some(world) = World::stand_in("nothing of it asks the cluster") else { return };
    let person = Person::new(&world);
    assert_eq!(
        person.oc_completes(&["stat"]),
        ["status\tSay exactly what is right and wrong", ":4"]
    );
    assert_eq!(
        person.oc_completes(&["status", "--fail"]),
        ["--fail-on\tThe severity that makes the exit code 1", ":4"]
    );
    assert_eq!(
        person.oc_completes(&["explain", "OQ306"]),
        ["OQ306\tA secret holds an old token", ":4"]
    );
    assert_eq!(person.oc_completes(&["status", "-o", "js"]), ["json\tJSON", ":4"]);
    // A folder goes on.
    fs::create_dir_all(world.dir().join("certificates")).unwrap();
    let start = format!("{}/cert", world.dir().display());
    assert_eq!(
        person.oc_completes(&["status", "--quay-ca-file", &start]),
        [format!("{start}ificates/"), ":6".to_owned()]
    );
    assert!(world.cluster_traffic().entries().is_empty());
}

#[test]
fn what_goes_wrong_gives_no_candidates_and_no_message() {
    let Some(world) = World::stand_in("nothing of it asks the cluster") else { return };
    let person = Person::new(&world);
    let (_listener, silent) = silent_cluster(world.dir());
    let broken = world.dir().join("broken.yaml");
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
fn the_shells_complete_with_their_scripts() {
    let Some(world) = World::stand_in("nothing of it asks the cluster") else { return };
    let person = Person::new(&world);
    let folder = world.dir().join("bin");
    symlink(env!("CARGO_BIN_EXE_oc-quay"), folder.join("oc-quay")).unwrap();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        fs::write(folder.join(format!("script.{shell}")), person.script(shell)).unwrap();
    }
    let script = |shell: &str| folder.join(format!("script.{shell}")).display().to_string();

    // Bash hands over a word that ends at = and wants what is behind it.
    let bash = format!(
        "source {}; complete -p oc-quay; COMP_LINE='oc-quay status --output=js'; COMP_POINT=26; _oc_quay oc-quay js =; echo \"${{COMPREPLY[@]}}\"
         COMP_LINE='oc-quay stat'; COMP_POINT=12; _oc_quay oc-quay stat oc-quay; echo \"${{COMPREPLY[@]}}\"",
        script("bash")
    );
    assert_eq!(person.runs("bash", &["-c", &bash]), "complete -F _oc_quay oc-quay\njson\nstatus\n");

    if installed("zsh").is_some() {
        // What zsh's own completion would show.
        let zsh = format!(
            "compdef() {{ : }}; _describe() {{ print -rl -- ${{(P)3}} }}; source {}; words=(oc-quay explain OQ306); CURRENT=3; _oc-quay",
            script("zsh")
        );
        assert_eq!(person.runs("zsh", &["-f", "-c", &zsh]), "OQ306:A secret holds an old token\n");
    }
    if installed("fish").is_some() {
        let fish =
            format!("source {}; complete --do-complete 'oc-quay explain OQ306'", script("fish"));
        assert_eq!(
            person.runs("fish", &["--no-config", "-c", &fish]),
            "OQ306\tA secret holds an old token\n"
        );
    }
    let powershell = person.script("powershell");
    assert!(
        powershell.contains("Register-ArgumentCompleter -Native -CommandName 'oc-quay'"),
        "{powershell}"
    );
}
