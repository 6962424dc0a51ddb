//! How the commands begin that are shown to be copied.

use std::fmt;

/// The program as the person typed it, `oc quay` or `kubectl quay`, and the connection flags that were given: a command without
/// them would work on another cluster or another Quay.
#[derive(Clone, Debug)]
pub struct Invocation {
    program: String,
    cluster_flags: String,
    quay_flags: String,
}

impl Invocation {
    /// `cluster_flags` are those that `oc` has too; both are as a shell takes them.
    pub fn new(program: &str, cluster_flags: &[String], quay_flags: &[String]) -> Self {
        let joined = |flags: &[String]| flags.iter().map(|flag| format!(" {flag}")).collect();
        Self {
            program: program.to_owned(),
            cluster_flags: joined(cluster_flags),
            quay_flags: joined(quay_flags),
        }
    }

    /// The beginning for somebody else, who reaches the cluster in another way: without the cluster's flags.
    pub fn of_others(&self) -> Self {
        Self { cluster_flags: String::new(), ..self.clone() }
    }

    /// A command that is kept as `oc …` or `oc quay …`, beginning as the person began. Any other text stays as it is.
    pub fn begin(&self, command: &str) -> String {
        // `kubectl` has no such command, and these are for administrators, who have their own context.
        if command.contains("policy add-") {
            return command.to_owned();
        }
        let Self { program, cluster_flags, quay_flags } = self;
        let client = super::client(program);
        match (command.strip_prefix("oc quay "), command.strip_prefix("oc ")) {
            // It connects to nothing.
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
        let begins =
            |program, command: &str| Invocation::new(program, &flags, &quay_flags).begin(command);
        let table = [
            (
                "oc quay repair -n shop",
                "kubectl quay --context dev --quay-url https://quay.example.com repair -n shop",
            ),
            ("oc quay explain OQ101", "kubectl quay explain OQ101"),
            ("oc get secrets -n shop", "kubectl --context dev get secrets -n shop"),
            ("ask somebody", "ask somebody"),
        ];
        for (command, expected) in table {
            assert_eq!(begins("kubectl quay", command), expected);
        }
        let plain = Invocation::new("oc quay", &[], &[]);
        assert_eq!(plain.begin("oc quay repair -n shop"), "oc quay repair -n shop");
        assert_eq!(plain.begin("oc get secrets"), "oc get secrets");
    }
}
