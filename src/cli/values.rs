//! The values of flags, with their help, for types of other rooms.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::logging::LogFormat;
use crate::report::{Format, ImagesFormat, StatusFormat, VersionFormat};
use crate::setup::{Approval, ControllerKind, NodeTrust, TokenScopes};

macro_rules! values {
    ($type:ty { $($value:expr, $name:literal, $help:literal;)+ }) => {
        impl ValueEnum for $type {
            fn value_variants<'a>() -> &'a [Self] {
                &[$($value),+]
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                let values = [$(($value, $name, $help)),+];
                let (_, name, help) = values.into_iter().find(|(value, ..)| value == self)?;
                Some(PossibleValue::new(name).help(help))
            }
        }
    };
}

values!(Format {
    Format::Text, "text", "Text";
    Format::Wide, "wide", "Text without truncation, with details";
    Format::Short, "short", "Problems and a summary line";
    Format::Json, "json", "JSON";
    Format::Yaml, "yaml", "YAML";
    Format::Name, "name", "Names of the affected objects";
});

impl ValueEnum for StatusFormat {
    fn value_variants<'a>() -> &'a [Self] {
        use StatusFormat::{Common, Html};
        &[
            Common(Format::Text),
            Common(Format::Wide),
            Common(Format::Short),
            Common(Format::Json),
            Common(Format::Yaml),
            Common(Format::Name),
            Html,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Common(format) => format.to_possible_value(),
            Self::Html => Some(PossibleValue::new("html").help("Self-contained HTML page")),
        }
    }
}

values!(ImagesFormat {
    ImagesFormat::Text, "text", "Text";
    ImagesFormat::Short, "short", "A summary line";
    ImagesFormat::Json, "json", "JSON";
    ImagesFormat::Yaml, "yaml", "YAML";
    ImagesFormat::Name, "name", "Names of the image stream tags";
    ImagesFormat::Mirror, "mirror", "Mapping file for `oc image mirror -f`";
    ImagesFormat::Commands, "commands", "One `oc image mirror` command per image";
});

values!(VersionFormat {
    VersionFormat::Text, "text", "Text";
    VersionFormat::Json, "json", "JSON";
    VersionFormat::Yaml, "yaml", "YAML";
});

values!(LogFormat {
    LogFormat::Text, "text", "Plain text";
    LogFormat::Json, "json", "One JSON object per line";
});

values!(ControllerKind {
    ControllerKind::Operator, "operator", "The Quay Bridge Operator";
    ControllerKind::InCluster, "in-cluster", "This program, in the cluster";
    ControllerKind::None, "none", "No controller: namespaces are linked and repaired with commands; only the QuayIntegration resource is installed";
});

values!(TokenScopes {
    TokenScopes::Default, "default", "All eight scopes";
    TokenScopes::Minimal, "minimal", "The minimum that works on this Quay";
});

values!(Approval {
    Approval::Automatic, "automatic", "OLM itself";
    Approval::Manual, "manual", "An administrator, for each update; setup approves the first one";
});

values!(NodeTrust {
    NodeTrust::Apply, "apply", "Write it into the cluster's image configuration";
    NodeTrust::Print, "print", "Print the manifests";
    NodeTrust::Skip, "skip", "Do not configure node trust";
});
