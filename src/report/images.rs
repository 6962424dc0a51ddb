//! What `images` has to say.

use owo_colors::OwoColorize as _;
use serde::Serialize;

use super::{API_VERSION, Format, client, count, machine};

/// The images of a namespace that are in OpenShift's own registry.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ImagesReport {
    /// The version of this format.
    #[cfg_attr(test, schemars(extend("const" = API_VERSION)))]
    pub api_version: &'static str,
    /// What this is.
    #[cfg_attr(test, schemars(extend("const" = "ImagesReport")))]
    pub kind: &'static str,
    /// The namespace.
    pub namespace: String,
    /// The images, by image stream and tag.
    pub images: Vec<ImageReport>,
    /// The answer in one line.
    pub verdict: String,
    #[serde(skip)]
    client: String,
}

/// An image in OpenShift's own registry.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// The tag of the image stream: `app:latest`.
    pub tag: String,
    /// Where it is pulled from.
    pub image: String,
    /// Its size in bytes, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Where it belongs in Quay.
    pub target: String,
}

impl ImagesReport {
    /// Puts a report together. `program` is what the person typed, `oc quay` or `kubectl quay`.
    pub fn new(program: &str, namespace: &str, images: Vec<ImageReport>) -> Self {
        let known: u64 = images.iter().filter_map(|image| image.size).sum();
        let verdict = match images.len() {
            0 => format!("No tag of {namespace} has its image in OpenShift's own registry"),
            1 => format!("1 tag of {namespace} has its image in OpenShift's own registry ({})", in_words(known)),
            several => {
                let tags = count(several, "tag");
                format!("{tags} of {namespace} have their images in OpenShift's own registry ({})", in_words(known))
            }
        };
        let (client, namespace) = (client(program).to_owned(), namespace.to_owned());
        Self { api_version: API_VERSION, kind: "ImagesReport", namespace, images, verdict, client }
    }

    /// The report in a format.
    ///
    /// # Errors
    /// If a machine-readable format cannot be written, which is a mistake in this program.
    pub fn render(&self, format: Format) -> anyhow::Result<String> {
        Ok(match format {
            Format::Json => machine::json(self)?,
            Format::Yaml => machine::yaml(self)?,
            Format::Mirror => self.lines(|image| format!("{}={}", image.image, image.target)),
            Format::Name => self.lines(|image| format!("imagestreamtag/{}", image.tag)),
            Format::Short => format!("{}\n", self.verdict),
            Format::Human | Format::Wide | Format::Html => self.table(),
        })
    }

    /// The commands that copy the images, with all platforms that they are for.
    pub fn commands(&self) -> String {
        let client = &self.client;
        self.lines(|image| format!("{client} image mirror --keep-manifest-list=true {} {}", image.image, image.target))
    }

    fn lines(&self, line: impl Fn(&ImageReport) -> String) -> String {
        self.images.iter().map(|image| line(image) + "\n").collect()
    }

    fn table(&self) -> String {
        let width = self.images.iter().map(|image| image.tag.len()).max().unwrap_or_default().max("TAG".len());
        let row = |tag: &str, size: &str, target: &str| format!("{tag:<width$}   {size:>10}   {target}");
        let size = |image: &ImageReport| image.size.map_or("unknown".to_owned(), in_words);
        let mut text = String::new();
        if !self.images.is_empty() {
            text = format!("{}\n", row("TAG", "SIZE", "IN QUAY").dimmed());
            text += &self.lines(|image| row(&image.tag, &size(image), &image.target));
            text.push('\n');
        }
        text + &format!("{}\n", self.verdict.bold())
    }
}

/// Bytes as people read them.
fn in_words(bytes: u64) -> String {
    const KIBI: u64 = 1 << 10;
    let (unit, name) = match bytes {
        0..KIBI => return format!("{bytes} B"),
        KIBI..0x10_0000 => (KIBI, "KiB"),
        0x10_0000..0x4000_0000 => (KIBI << 10, "MiB"),
        _ => (KIBI << 20, "GiB"),
    };
    let tenths = bytes.saturating_mul(10) / unit;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_by_people() {
        let table = [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (10 << 20, "10.0 MiB"), (7 << 29, "3.5 GiB")];
        for (bytes, words) in table {
            assert_eq!(in_words(bytes), words);
        }
    }
}
