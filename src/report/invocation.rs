//! The start of commands in output.

use std::fmt;

/// The program as it was typed, `oc quay` or `kubectl quay`, and the connection flags, so that shown commands use the
/// same cluster and Quay.
#[derive(Clone, Debug)]
pub struct Invocation {
    program: String,
    cluster_flags: String,
    quay_flags: String,
}

impl Invocation {
    /// `cluster_flags` are also valid for `oc`. Both are quoted for a shell.
    pub fn new(program: &str, cluster_flags: &[String], quay_flags: &[String]) -> Self {
        let join = |flags: &[String]| flags.iter().map(|flag| format!(" {flag}")).collect();
        Self {
            program: program.to_owned(),
            cluster_flags: join(cluster_flags),
            quay_flags: join(quay_flags),
        }
    }

    /// Without the cluster's flags, since an administrator has other ones.
    pub fn for_administrator(&self) -> Self {
        Self { cluster_flags: String::new(), ..self.clone() }
    }

    /// Replaces `oc` or `oc quay` at the start of a command. Other texts are returned unchanged.
    pub fn prefix(&self, command: &str) -> String {
        // Not available in `kubectl`, and for administrators, who have their own context.
        if command.contains("policy add-") {
            return command.to_owned();
        }
        let Self { program, cluster_flags, quay_flags } = self;
        let client = super::client(program);
        match (command.strip_prefix("oc quay "), command.strip_prefix("oc ")) {
            // No connection.
            (Some(arguments), _) if arguments.starts_with("explain ") => {
                format!("{program} {arguments}")
            }
            (Some(arguments), _) => format!("{program}{cluster_flags}{quay_flags} {arguments}"),
            (None, Some(arguments)) => format!("{client}{cluster_flags} {arguments}"),
            (None, None) => command.to_owned(),
        }
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.program, self.cluster_flags, self.quay_flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_connection_flags_in_shown_commands() {
        let flags = ["--context dev".to_owned()];
        let quay_flags = ["--quay-url https://quay.example.com".to_owned()];
        let prefix =
            |program, command: &str| Invocation::new(program, &flags, &quay_flags).prefix(command);
        let table = [
            (
                "oc quay repair -n shop",
                "kubectl quay --context dev --quay-url https://quay.example.com repair -n shop",
            ),
            ("oc quay explain OQ101", "kubectl quay explain OQ101"),
            ("oc get secrets -n shop", "kubectl --context dev get secrets -n shop"),
            ("another text", "another text"),
        ];
        for (command, expected) in table {
            assert_eq!(prefix("kubectl quay", command), expected);
        }
        let plain = Invocation::new("oc quay", &[], &[]);
        assert_eq!(plain.prefix("oc quay repair -n shop"), "oc quay repair -n shop");
        assert_eq!(plain.prefix("oc get secrets"), "oc get secrets");
    }
}
