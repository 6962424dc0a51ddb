//! `images`.

use clap::Args;

use crate::report::ImagesFormat;

/// `images`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # List the images in the internal registry
  oc quay images

  # Print a mapping file for oc image mirror -f
  oc quay images -n shop -o mirror

  # Print one copy command for each image
  oc quay images -n shop -o commands")]
pub struct Images {
    /// Output format
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_default_value = true
    )]
    pub output: ImagesFormat,
}
