//! Arguments of `manifests`.

use clap::{Args, ValueEnum};

/// `manifests`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Deploy the controller in namespace oc-quay
  oc quay manifests | oc apply -f -

  # Deploy it with another image and namespace
  oc quay manifests --image registry.example.com/oc-quay:v1 -n quay-controller | oc apply -f -")]
pub struct Manifests {
    /// Image of the controller [default: this version's]
    #[arg(long, value_name = "IMAGE", value_parser = super::image)]
    pub image: Option<String>,
    /// Output format
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_default_value = true
    )]
    pub output: ManifestsFormat,
}

/// The formats of `manifests -o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ManifestsFormat {
    /// A stream of documents
    #[default]
    Yaml,
    /// A List
    Json,
}
