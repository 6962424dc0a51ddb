//! Input that cannot be right: exit code 2, one clear message, and nobody was asked anything.

use std::fs;

use crate::support::World;

/// Makes the files that the tables name, in the world's folder.
fn files(world: &World) {
    let kubeconfig = fs::read_to_string(world.kubeconfig()).unwrap();
    let contents: [(&str, &str); 8] = [
        ("no-certificate", "this is no certificate\n"),
        ("broken-certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ("broken.yaml", "apiVersion: v1\nusers: [{name: admin, user: {token: hush-hush}\n"),
        ("no-kubeconfig.yaml", "- a\n- b\n"),
        ("empty-token", "\n"),
        ("two-tokens", "hush-hush\nhush-hush-too\n"),
        ("token-with-space", "Bearer hush-hush\n"),
        ("no-context", &kubeconfig.replace("current-context", "former-context")),
    ];
    for (name, content) in contents {
        fs::write(world.dir().join(name), content).unwrap();
    }
    world.note_secret("hush-hush");
}

/// A command line, environment variables, and what is to be said on stderr.
type Refusal<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// Runs each command line and compares what it says, in full. `{dir}` stands for the world's folder and `{kubeconfig}`
/// for its kubeconfig.
fn refuses(table: &[Refusal]) {
    let world = World::new();
    files(&world);
    let dir = world.dir().display().to_string();
    for (arguments, environment, expected) in table {
        let arguments: Vec<_> = arguments
            .split(' ')
            .map(|word| word.replace("{dir}", &dir).replace("{empty}", ""))
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = world.oc_quay(&arguments);
        for (name, value) in *environment {
            command = command.env(name, value.replace("{dir}", &dir));
        }
        world.forget_traffic();
        let run = command.ends_with(2);
        let said = run
            .stderr
            .replace(&world.kubeconfig().display().to_string(), "{kubeconfig}")
            .replace(&dir, "{dir}");
        assert_eq!(said, *expected, "{}", run.line);
        assert_eq!(run.stdout, "", "{}", run.line);
        let asked = [world.cluster_traffic().entries(), world.quay_traffic().entries()].concat();
        assert!(asked.is_empty(), "{} asked {asked:#?}", run.line);
    }
}

#[test]
fn names_that_nothing_can_have() {
    refuses(&[
        ("status -n Shop", &[], "error: no namespace can be called that: `Shop` contains 'S'\n"),
        ("status -n sho_p", &[], "error: no namespace can be called that: `sho_p` contains '_'\n"),
        ("link shop a/b", &[], "error: no namespace can be called that: `a/b` contains '/'\n"),
        (
            "repair -n {empty}",
            &[],
            "error: no namespace can be called that: `` is not 1 to 253 characters long\n",
        ),
        (
            "link -n shop --service-account Pipeline",
            &[],
            "error: invalid value 'Pipeline' for '--service-account <NAME[=ROLE]>': `Pipeline` contains 'P'\n\nFor more information, try '--help'.\n",
        ),
        (
            "link -n shop --service-account pipeline=owner",
            &[],
            "error: invalid value 'pipeline=owner' for '--service-account <NAME[=ROLE]>': `owner` is no role: use read, write or admin\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -n shop --cluster-id Acme",
            &[],
            "error: --cluster-id: cluster ID `Acme` cannot be used: Kubernetes refuses the secret name it gives: `builder-quay-Acme` contains 'A'\n",
        ),
        (
            "status -n shop",
            &[("OC_QUAY_CLUSTER_ID", "a--b")],
            "error: OC_QUAY_CLUSTER_ID: cluster ID `a--b` cannot be used: Quay refuses the organization name it gives: `a--b_x` has a leading, trailing or doubled separator\n",
        ),
        (
            "explain OQ999",
            &[],
            "error: `OQ999` is no finding code\nhint: oc quay explain lists them\n",
        ),
    ]);
}

#[test]
fn addresses_that_no_quay_can_have() {
    refuses(&[
        (
            "status -n shop --quay-url ftp://quay.example.com",
            &[],
            "error: --quay-url: `ftp://quay.example.com` is no address of a Quay: the scheme ftp:// is not https://\n",
        ),
        (
            "status -n shop --quay-url https://admin:pass@quay.example.com",
            &[],
            "error: --quay-url: the address of the Quay carries a user name or password: leave them out\n",
        ),
        (
            "link -n shop --yes --quay-url http://quay.example.com",
            &[],
            "error: http://quay.example.com is plain http: the token would travel unprotected\nhint: use https://, or accept the risk with --insecure\n",
        ),
        (
            "status -n shop --quay-url https://",
            &[],
            "error: --quay-url: `https://` is no address of a Quay: empty host\n",
        ),
        ("status -n shop --quay-url {empty}", &[], "error: --quay-url is empty\n"),
        (
            "status -n shop",
            &[("OC_QUAY_URL", "https://quay example.com")],
            "error: OC_QUAY_URL: `https://quay example.com` is no address of a Quay: invalid international domain name\n",
        ),
        (
            "status -n shop",
            &[("OC_QUAY_URL", "http://quay.example.com")],
            "error: http://quay.example.com is plain http: the token would travel unprotected\nhint: use https://, or accept the risk with --insecure\n",
        ),
    ]);
}

#[test]
fn files_that_are_not_what_they_should_be() {
    refuses(&[
        (
            "status -n shop --quay-ca-file {dir}/no-certificate",
            &[],
            "error: --quay-ca-file: there is no PEM certificate in {dir}/no-certificate\n",
        ),
        (
            "status -n shop --quay-ca-file {dir}/broken-certificate",
            &[],
            "error: --quay-ca-file: there is a certificate that makes no sense in {dir}/broken-certificate\n",
        ),
        (
            "status -n shop --quay-ca-file {dir}/nowhere",
            &[],
            "error: --quay-ca-file: could not read the certificate authority (No such file or directory (os error 2)) in {dir}/nowhere\n",
        ),
        (
            "status -n shop",
            &[("OC_QUAY_CA_FILE", "{dir}/no-certificate")],
            "error: OC_QUAY_CA_FILE: there is no PEM certificate in {dir}/no-certificate\n",
        ),
        (
            "status -n shop --quay-token-file {dir}/nowhere",
            &[],
            "error: --quay-token-file: could not read {dir}/nowhere (No such file or directory (os error 2))\n",
        ),
        (
            "status -n shop --quay-token-file {dir}/empty-token",
            &[],
            "error: --quay-token-file: the token is empty\n",
        ),
        (
            "status -n shop --quay-token-file {dir}/two-tokens",
            &[],
            "error: --quay-token-file: what is given is more than a token: it has spaces, line breaks or other characters in it\n",
        ),
        (
            "status -n shop --quay-token-file {dir}/token-with-space",
            &[],
            "error: --quay-token-file: what is given is more than a token: it has spaces, line breaks or other characters in it\n",
        ),
        (
            "status -n shop --quay-token-file -",
            &[],
            "error: --quay-token-file: the token is empty\n",
        ),
        (
            "status -n shop",
            &[("OC_QUAY_TOKEN", "\n")],
            "error: OC_QUAY_TOKEN: the token is empty\n",
        ),
        (
            "status -n shop",
            &[("OC_QUAY_TOKEN", "hush-hush\nhush-hush-too")],
            "error: OC_QUAY_TOKEN: what is given is more than a token: it has spaces, line breaks or other characters in it\n",
        ),
    ]);
}

#[test]
fn kubeconfigs_that_lead_nowhere() {
    refuses(&[
        (
            "status -n shop --kubeconfig {dir}/nowhere",
            &[],
            "error: kubeconfig {dir}/nowhere cannot be read: No such file or directory (os error 2)\n",
        ),
        (
            "status -n shop",
            &[("KUBECONFIG", "{dir}/nowhere")],
            "error: there is no kubeconfig (kubeconfig {dir}/nowhere): log in with `oc login SERVER`, or name one with --kubeconfig\n",
        ),
        (
            "status -n shop --kubeconfig {dir}/broken.yaml",
            &[],
            "error: kubeconfig {dir}/broken.yaml is not valid: look at line 2, column 9\n",
        ),
        (
            "status -n shop --kubeconfig {dir}/no-kubeconfig.yaml",
            &[],
            "error: kubeconfig {dir}/no-kubeconfig.yaml is not valid: look at line 1, column 1\n",
        ),
        (
            "status -n shop --kubeconfig {dir}/no-context",
            &[],
            "error: kubeconfig {dir}/no-context has no current context: choose one with --context or `oc config use-context NAME` (it has admin, dev, nobody)\n",
        ),
        (
            "status -n shop --context production",
            &[],
            "error: kubeconfig {kubeconfig} has no context production: choose another with --context (it has admin, dev, nobody)\n",
        ),
        (
            "status -n shop --cluster production",
            &[],
            "error: kubeconfig {kubeconfig} has no cluster production: choose one that it has with --cluster, or another context with --context\n",
        ),
        (
            "status -n shop --user somebody",
            &[],
            "error: kubeconfig {kubeconfig} has no user somebody: choose one that it has with --user\n",
        ),
    ]);
}

#[test]
fn flags_that_do_not_exist_or_contradict_each_other() {
    refuses(&[
        (
            "status --namspace shop",
            &[],
            "error: unexpected argument '--namspace' found\n\n  tip: a similar argument exists: '--namespace'\n\nUsage: oc quay status --namespace <NAME> [NAMESPACE]...\n\nFor more information, try '--help'.\n",
        ),
        (
            "stauts",
            &[],
            "error: unrecognized subcommand 'stauts'\n\n  tip: a similar subcommand exists: 'status'\n\nUsage: oc quay [OPTIONS] <COMMAND>\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -A shop",
            &[],
            "error: the argument '--all-namespaces' cannot be used with '[NAMESPACE]...'\n\nUsage: oc quay status --all-namespaces [NAMESPACE]...\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -A -l team=a",
            &[],
            "error: the argument '--all-namespaces' cannot be used with '--selector <LABELS>'\n\nUsage: oc quay status --all-namespaces [NAMESPACE]...\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -l team=a shop",
            &[],
            "error: the argument '--selector <LABELS>' cannot be used with '[NAMESPACE]...'\n\nUsage: oc quay status --selector <LABELS> [NAMESPACE]...\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -n shop --request-timeout soon",
            &[],
            "error: invalid value 'soon' for '--request-timeout <DURATION>': `soon` is no time: write for example 10s or 1m30s\n\nFor more information, try '--help'.\n",
        ),
        (
            "link -n shop --wait 1.5s",
            &[],
            "error: invalid value '1.5s' for '--wait <DURATION>': `1.5s` is no time: write for example 10s or 1m30s\n\nFor more information, try '--help'.\n",
        ),
        (
            "link -n shop --wait 18446744073709551615",
            &[],
            "error: invalid value '18446744073709551615' for '--wait <DURATION>': `18446744073709551615` is more than a hundred years\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -n shop --concurrency 0",
            &[],
            "error: invalid value '0' for '--concurrency <N>': 0 is not in 1..=64\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -n shop -o xml",
            &[],
            "error: invalid value 'xml' for '--output <OUTPUT>'\n  [possible values: text, wide, short, json, yaml, name, html, mirror]\n\n  tip: a similar value exists: 'html'\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -n shop --fail-on info",
            &[],
            "error: invalid value 'info' for '--fail-on <LEVEL>'\n  [possible values: unknown, warning, error, never]\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -A --watch",
            &[],
            "error: --watch looks at one namespace\nhint: name it with -n\n",
        ),
        (
            "status -n shop --watch -o html",
            &[],
            "error: --watch shows text, not a page\nhint: leave out -o html\n",
        ),
        (
            "link -n shop -o html",
            &[],
            "error: -o html is for status alone\nhint: oc quay status -A -o html\n",
        ),
        (
            "status --watch --output-file a.txt",
            &[],
            "error: the argument '--watch' cannot be used with '--output-file <FILE>'\n\nUsage: oc quay status --watch [NAMESPACE]...\n\nFor more information, try '--help'.\n",
        ),
        (
            "builds -A rewrite --yes",
            &[],
            "error: -A of `builds` is for the list: `rewrite` has its own\nhint: oc quay builds rewrite -A\n",
        ),
        (
            "unlink -A --delete-organization --yes",
            &[],
            "error: --delete-organization works on one namespace at a time\n",
        ),
    ]);
}

/// Nothing to do, exit code 0, would be a good answer for a namespace that is there.
#[test]
fn a_namespace_that_is_not_there_is_no_namespace_with_nothing_to_do() {
    let world = World::new();
    let commands = [
        "link --yes",
        "builds",
        "builds -o json",
        "builds rewrite --yes",
        "builds restore --dry-run",
        "images",
        "images -o json",
        "import --missing --yes",
        "import app:1 --dry-run",
    ];
    for command in commands {
        let run = world
            .oc_quay(&command.split(' ').collect::<Vec<_>>())
            .args(&["-n", "shpo"])
            .ends_with(2);
        let expected = "error: there is no namespace shpo\nhint: check the name and the context\n";
        assert_eq!((run.stderr.as_str(), run.stdout.as_str()), (expected, ""), "{}", run.line);
    }
    world.assert_nothing_written();
}

#[test]
fn a_token_may_end_with_a_line_break_and_come_from_stdin() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let token = world.sandbox.quay.admin_token();
    let file = world.dir().join("token");
    for ending in ["", "\n", "\r\n"] {
        fs::write(&file, format!("{token}{ending}")).unwrap();
        world
            .oc_quay(&["status", "-n", "shop", "--quay-token-file", file.to_str().unwrap()])
            .succeeds();
        world
            .oc_quay(&["status", "-n", "shop", "--quay-token-file", "-"])
            .stdin(&format!("{token}{ending}"))
            .succeeds();
    }
}
