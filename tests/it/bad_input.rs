//! Invalid input: exit code 2, one clear message, and no request.

use std::fs;

use crate::support::TestEnv;

/// Creates the files of the tables, in the environment's folder.
fn files(env: &TestEnv) {
    let kubeconfig = fs::read_to_string(env.kubeconfig()).unwrap();
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
        fs::write(env.dir().join(name), content).unwrap();
    }
    env.note_secret("hush-hush");
}

/// A command line, environment variables, and the expected stderr.
type Rejection<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// Runs each command line and compares the whole stderr. `{dir}` stands for the environment's folder and
/// `{kubeconfig}` for its kubeconfig.
fn rejects(table: &[Rejection]) {
    let env = TestEnv::new();
    files(&env);
    let dir = env.dir().display().to_string();
    for (arguments, environment, expected) in table {
        let arguments: Vec<_> = arguments
            .split(' ')
            .map(|word| word.replace("{dir}", &dir).replace("{empty}", ""))
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = env.oc_quay(&arguments);
        for (name, value) in *environment {
            command = command.env(name, value.replace("{dir}", &dir));
        }
        env.forget_traffic();
        let run = command.ends_with(2);
        let said = run
            .stderr
            .replace(&env.kubeconfig().display().to_string(), "{kubeconfig}")
            .replace(&dir, "{dir}");
        assert_eq!(said, *expected, "{}", run.line);
        assert_eq!(run.stdout, "", "{}", run.line);
        let asked = [env.cluster_traffic().entries(), env.quay_traffic().entries()].concat();
        assert!(asked.is_empty(), "{} asked {asked:#?}", run.line);
    }
}

#[test]
fn rejects_invalid_names() {
    rejects(&[
        ("status -n Shop", &[], "error: invalid namespace name: `Shop` contains 'S'\n"),
        ("manifests -n Shop", &[], "error: invalid namespace name: `Shop` contains 'S'\n"),
        (
            "manifests --image=",
            &[],
            "error: invalid value '' for '--image <IMAGE>': expected an image such as registry.example.com/oc-quay:v1\n\nFor more information, try '--help'.\n",
        ),
        ("status -n sho_p", &[], "error: invalid namespace name: `sho_p` contains '_'\n"),
        ("link shop a/b", &[], "error: invalid namespace name: `a/b` contains '/'\n"),
        (
            "repair -n {empty}",
            &[],
            "error: invalid namespace name: `` is not 1 to 253 characters long\n",
        ),
        (
            "link -n shop --service-account Pipeline",
            &[],
            "error: invalid value 'Pipeline' for '--service-account <NAME[=ROLE]>': `Pipeline` contains 'P'\n\nFor more information, try '--help'.\n",
        ),
        (
            "link -n shop --service-account pipeline=owner",
            &[],
            "error: invalid value 'pipeline=owner' for '--service-account <NAME[=ROLE]>': invalid role `owner`: expected read, write or admin\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -n shop --cluster-id Acme",
            &[],
            "error: --cluster-id: invalid cluster ID `Acme`: invalid Secret name: `builder-quay-Acme` contains 'A'\n",
        ),
        (
            "status -n shop",
            &[("OC_QUAY_CLUSTER_ID", "a--b")],
            "error: OC_QUAY_CLUSTER_ID: invalid cluster ID `a--b`: invalid organization name: `a--b_x` has a leading, trailing or doubled separator\n",
        ),
        ("explain OQ999", &[], "error: invalid finding code `OQ999`\nhint: oc quay explain\n"),
    ]);
}

#[test]
fn rejects_invalid_quay_addresses() {
    rejects(&[
        (
            "status -n shop --quay-url ftp://quay.example.com",
            &[],
            "error: --quay-url: `ftp://quay.example.com` is not a valid Quay URL: the scheme is ftp, not https\n",
        ),
        (
            "status -n shop --quay-url https://admin:pass@quay.example.com",
            &[],
            "error: --quay-url: invalid Quay URL: contains a user name or password\n",
        ),
        (
            "link -n shop --yes --quay-url http://quay.example.com",
            &[],
            "error: http://quay.example.com is plain http: the token would travel unprotected\nhint: use https://, or accept the risk with --insecure\n",
        ),
        (
            "status -n shop --quay-url https://",
            &[],
            "error: --quay-url: `https://` is not a valid Quay URL: empty host\n",
        ),
        ("status -n shop --quay-url {empty}", &[], "error: --quay-url is empty\n"),
        (
            "status -n shop",
            &[("OC_QUAY_URL", "https://quay example.com")],
            "error: OC_QUAY_URL: `https://quay example.com` is not a valid Quay URL: invalid international domain name\n",
        ),
        (
            "status -n shop",
            &[("OC_QUAY_URL", "http://quay.example.com")],
            "error: http://quay.example.com is plain http: the token would travel unprotected\nhint: use https://, or accept the risk with --insecure\n",
        ),
    ]);
}

#[test]
fn rejects_invalid_files() {
    rejects(&[
        (
            "status -n shop --quay-ca-file {dir}/no-certificate",
            &[],
            "error: --quay-ca-file: no PEM certificate found in {dir}/no-certificate\n",
        ),
        (
            "status -n shop --quay-ca-file {dir}/broken-certificate",
            &[],
            "error: --quay-ca-file: invalid PEM certificate in {dir}/broken-certificate\n",
        ),
        (
            "status -n shop --quay-ca-file {dir}/nowhere",
            &[],
            "error: --quay-ca-file: failed to read {dir}/nowhere: No such file or directory (os error 2)\n",
        ),
        (
            "status -n shop",
            &[("OC_QUAY_CA_FILE", "{dir}/no-certificate")],
            "error: OC_QUAY_CA_FILE: no PEM certificate found in {dir}/no-certificate\n",
        ),
        (
            "status -n shop --quay-token-file {dir}/nowhere",
            &[],
            "error: --quay-token-file: failed to read {dir}/nowhere: No such file or directory (os error 2)\n",
        ),
        (
            "status -n shop --quay-token-file {dir}/empty-token",
            &[],
            "error: --quay-token-file: the token is empty\n",
        ),
        (
            "status -n shop --quay-token-file {dir}/two-tokens",
            &[],
            "error: --quay-token-file: invalid token: contains whitespace, control or non-ASCII characters\n",
        ),
        (
            "status -n shop --quay-token-file {dir}/token-with-space",
            &[],
            "error: --quay-token-file: invalid token: contains whitespace, control or non-ASCII characters\n",
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
            "error: OC_QUAY_TOKEN: invalid token: contains whitespace, control or non-ASCII characters\n",
        ),
    ]);
}

#[test]
fn rejects_unusable_kubeconfigs() {
    rejects(&[
        (
            "status -n shop --kubeconfig {dir}/nowhere",
            &[],
            "error: failed to read kubeconfig {dir}/nowhere: No such file or directory (os error 2)\n",
        ),
        (
            "status -n shop",
            &[("KUBECONFIG", "{dir}/nowhere")],
            "error: no kubeconfig found (kubeconfig {dir}/nowhere): log in with `oc login SERVER`, or set --kubeconfig\n",
        ),
        (
            "status -n shop --kubeconfig {dir}/broken.yaml",
            &[],
            "error: kubeconfig {dir}/broken.yaml is invalid at line 2, column 9\n",
        ),
        (
            "status -n shop --kubeconfig {dir}/no-kubeconfig.yaml",
            &[],
            "error: kubeconfig {dir}/no-kubeconfig.yaml is invalid at line 1, column 1\n",
        ),
        (
            "status -n shop --kubeconfig {dir}/no-context",
            &[],
            "error: kubeconfig {dir}/no-context has no current context: set --context or run `oc config use-context NAME` (it has admin, dev, guest)\n",
        ),
        (
            "status -n shop --context production",
            &[],
            "error: kubeconfig {kubeconfig} has no context production: set --context (it has admin, dev, guest)\n",
        ),
        (
            "status -n shop --cluster production",
            &[],
            "error: kubeconfig {kubeconfig} has no cluster production: set another --cluster or --context\n",
        ),
        (
            "status -n shop --user other",
            &[],
            "error: kubeconfig {kubeconfig} has no user other: set another --user\n",
        ),
    ]);
}

#[test]
fn rejects_unknown_and_conflicting_flags() {
    rejects(&[
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
            "error: invalid value 'soon' for '--request-timeout <DURATION>': invalid duration `soon`: expected for example 10s or 1m30s\n\nFor more information, try '--help'.\n",
        ),
        (
            "link -n shop --wait 1.5s",
            &[],
            "error: invalid value '1.5s' for '--wait <DURATION>': invalid duration `1.5s`: expected for example 10s or 1m30s\n\nFor more information, try '--help'.\n",
        ),
        (
            "link -n shop --wait 18446744073709551615",
            &[],
            "error: invalid value '18446744073709551615' for '--wait <DURATION>': invalid duration `18446744073709551615`: the maximum is 100 years\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -n shop --concurrency 0",
            &[],
            "error: invalid value '0' for '--concurrency <N>': 0 is not in 1..=64\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -n shop -o xml",
            &[],
            "error: invalid value 'xml' for '--output <FORMAT>'\n  [possible values: text, wide, short, json, yaml, name, html]\n\n  tip: a similar value exists: 'html'\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -n shop --fail-on info",
            &[],
            "error: invalid value 'info' for '--fail-on <SEVERITY>'\n  [possible values: unknown, warning, error, never]\n\nFor more information, try '--help'.\n",
        ),
        (
            "status -A --watch",
            &[],
            "error: --watch works on one namespace\nhint: use -n NAMESPACE\n",
        ),
        (
            "status -n shop --watch -o html",
            &[],
            "error: --watch does not support -o html\nhint: use --output-file to write the HTML report once\n",
        ),
        (
            "link -n shop -o html",
            &[],
            "error: invalid value 'html' for '--output <FORMAT>'\n  [possible values: text, wide, short, json, yaml, name]\n\nFor more information, try '--help'.\n",
        ),
        (
            "status --watch --output-file a.txt",
            &[],
            "error: the argument '--watch' cannot be used with '--output-file <FILE>'\n\nUsage: oc quay status --watch [NAMESPACE]...\n\nFor more information, try '--help'.\n",
        ),
        (
            "builds -A rewrite --yes",
            &[],
            "error: -A must follow `builds rewrite`\nhint: oc quay builds rewrite -A\n",
        ),
        (
            "unlink -A --delete-organization --yes",
            &[],
            "error: --delete-organization works on one namespace\n",
        ),
    ]);
}

/// Exit code 0, nothing to do, is only for an existing namespace.
#[test]
fn fails_for_missing_namespace() {
    let env = TestEnv::new();
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
        let run =
            env.oc_quay(&command.split(' ').collect::<Vec<_>>()).args(&["-n", "shpo"]).ends_with(2);
        let expected = "error: namespace shpo not found\nhint: check the name and the context\n";
        assert_eq!((run.stderr.as_str(), run.stdout.as_str()), (expected, ""), "{}", run.line);
    }
    env.assert_nothing_written();
}

#[test]
fn accepts_token_with_newline_and_from_stdin() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let token = env.sandbox.quay.admin_token();
    let file = env.dir().join("token");
    for ending in ["", "\n", "\r\n"] {
        fs::write(&file, format!("{token}{ending}")).unwrap();
        env.oc_quay(&["status", "-n", "shop", "--quay-token-file", file.to_str().unwrap()])
            .succeeds();
        env.oc_quay(&["status", "-n", "shop", "--quay-token-file", "-"])
            .stdin(&format!("{token}{ending}"))
            .succeeds();
    }
}
