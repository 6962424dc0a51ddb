//! What `images` has to say.

use owo_colors::OwoColorize as _;
use serde::Serialize;

use super::text_layout::{Style, TextPage};
use super::{API_VERSION, Format, client, count, serialize};
use crate::domain::shell_quote::quoted;
use crate::ui::printable_line;

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
    pub summary_line: String,
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
    pub fn new(program: &str, namespace: &str, mut images: Vec<ImageReport>) -> Self {
        for image in &mut images {
            for text in [&mut image.tag, &mut image.image, &mut image.target] {
                *text = printable_line(text);
            }
        }
        let size = total(&images).map(|size| format!(" ({size})")).unwrap_or_default();
        let summary_line = match images.len() {
            0 => format!("No tag of {namespace} has its image in OpenShift's own registry"),
            1 => format!("1 tag of {namespace} has its image in OpenShift's own registry{size}"),
            several => {
                format!(
                    "{} of {namespace} have their images in OpenShift's own registry{size}",
                    count(several, "tag")
                )
            }
        };
        let (client, namespace) = (client(program).to_owned(), namespace.to_owned());
        Self {
            api_version: API_VERSION,
            kind: "ImagesReport",
            namespace,
            images,
            summary_line,
            client,
        }
    }

    /// The report in a format.
    ///
    /// # Errors
    /// If a machine-readable format cannot be written, which is a mistake in this program.
    pub fn render(&self, format: Format, style: &Style) -> anyhow::Result<String> {
        Ok(match format {
            Format::Json => serialize::json(self)?,
            Format::Yaml => serialize::yaml(self)?,
            Format::Mirror => self.lines(|image| format!("{}={}", image.image, image.target)),
            Format::Name => self.lines(|image| format!("imagestreamtag/{}", image.tag)),
            Format::Short => format!("{}\n", self.summary_line),
            Format::Text | Format::Wide | Format::Html => self.table(style),
        })
    }

    /// The commands that copy the images, with all platforms that they are for.
    pub fn commands(&self) -> String {
        let client = &self.client;
        self.lines(|image| {
            let (from, to) = (quoted(&image.image), quoted(&image.target));
            format!("{client} image mirror --keep-manifest-list=true {from} {to}")
        })
    }

    fn lines(&self, line: impl Fn(&ImageReport) -> String) -> String {
        self.images.iter().map(|image| line(image) + "\n").collect()
    }

    /// A row each; where the window is too narrow for that, the address in Quay stands below.
    fn table(&self, style: &Style) -> String {
        let width = self
            .images
            .iter()
            .map(|image| image.tag.len())
            .max()
            .unwrap_or_default()
            .max("TAG".len());
        let widest = self.images.iter().map(|image| image.target.len()).max().unwrap_or_default();
        let is_narrow =
            style.width.is_some_and(|window| width + "   123.4 MiB   ".len() + widest > window);
        let between = if is_narrow { "\n    " } else { "   " };
        let row = |tag: &str, size: &str, target: &str| {
            format!("{tag:<width$}   {size:>10}{between}{target}")
        };
        let size = |image: &ImageReport| image.size.map_or("unknown".to_owned(), in_words);
        let mut page = TextPage::new(style);
        if !self.images.is_empty() {
            row("TAG", "SIZE", "IN QUAY")
                .lines()
                .for_each(|line| page.line(&line.dimmed().to_string()));
            for image in &self.images {
                row(&image.tag, &size(image), &image.target)
                    .lines()
                    .for_each(|line| page.line(line));
            }
            page.gap();
        }
        page.prose("", &self.summary_line, |line| line.bold().to_string());
        page.finish()
    }
}

/// The size of all images as people read it, as far as it is known; none where nothing is.
fn total(images: &[ImageReport]) -> Option<String> {
    let known: Vec<_> = images.iter().filter_map(|image| image.size).collect();
    let sum = in_words(known.iter().fold(0, |sum, size| sum.saturating_add(*size)));
    match known.len() {
        0 => None,
        all if all == images.len() => Some(sum),
        _ => Some(format!("at least {sum}")),
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

    fn images(sizes: &[Option<u64>]) -> Vec<ImageReport> {
        let image = |size: &Option<u64>| ImageReport {
            tag: "app:latest".into(),
            image: "image-registry.openshift-image-registry.svc:5000/shop/app@sha256:0".into(),
            size: *size,
            target: "quay.example.com/openshift_shop/app:latest".into(),
        };
        sizes.iter().map(image).collect()
    }

    #[test]
    fn the_sizes_that_are_not_known_are_not_taken_for_nothing() {
        let (one, two) = (Some(1 << 20), Some(2 << 20));
        let table = [
            (&[one, two][..], Some("3.0 MiB")),
            (&[one, None], Some("at least 1.0 MiB")),
            (&[None, None], None),
        ];
        for (sizes, expected) in table {
            assert_eq!(total(&images(sizes)).as_deref(), expected, "{sizes:?}");
        }
        let summary_line = |sizes| ImagesReport::new("oc quay", "shop", images(sizes)).summary_line;
        assert_eq!(
            summary_line(&[None]),
            "1 tag of shop has its image in OpenShift's own registry"
        );
    }

    #[test]
    fn quotes_words_of_commands_and_prints_one_line_for_each_image() {
        let image = ImageReport {
            tag: "app:x\n\x1b[2Jimagestreamtag/other:y".into(),
            image: "registry.svc/shop/app@sha256:0\nregistry.svc/evil/app".into(),
            size: None,
            target: "quay.example.com/openshift_shop/app:$(id);'".into(),
        };
        let report = ImagesReport::new("oc quay", "shop", vec![image]);
        let style = Style { width: None, ascii: false };
        for format in [Format::Mirror, Format::Name] {
            let text = report.render(format, &style).unwrap();
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(!text.contains('\x1b'), "{text:?}");
        }
        let expected = r"oc image mirror --keep-manifest-list=true 'registry.svc/shop/app@sha256:0 registry.svc/evil/app' 'quay.example.com/openshift_shop/app:$(id);'\'''";
        assert_eq!(report.commands(), format!("{expected}\n"));
        let table = anstream::adapter::strip_str(&report.table(&style)).to_string();
        assert_eq!(table.lines().take_while(|line| !line.is_empty()).count(), 2, "{table}");
    }

    #[test]
    fn no_line_is_wider_than_the_window() {
        let report = ImagesReport::new("oc quay", "shop", images(&[Some(10 << 20), None]));
        for (window, rows) in [(None, 3), (Some(80), 3), (Some(50), 6)] {
            let style = Style { width: window, ascii: false };
            let text = anstream::adapter::strip_str(&report.table(&style)).to_string();
            assert!(text.lines().all(|line| line.len() <= window.unwrap_or(80)), "{text}");
            assert_eq!(text.lines().take_while(|line| !line.is_empty()).count(), rows, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_by_people() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (10 << 20, "10.0 MiB"),
            (7 << 29, "3.5 GiB"),
        ];
        for (bytes, words) in table {
            assert_eq!(in_words(bytes), words);
        }
    }
}
