//! `images`.

use clap::Args;

/// `images`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # What is still in OpenShift's own registry
  oc quay images

  # The list of copies to make, for oc image mirror -f
  oc quay images -n shop -o mirror

  # The commands that copy, one for each image
  oc quay images -n shop --oc-adm")]
pub struct Images {
    /// Print the commands of `oc` that copy the images to Quay
    #[arg(long)]
    pub oc_adm: bool,
}
