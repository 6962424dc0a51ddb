//! The report of `images`.

use owo_colors::OwoColorize as _;
use serde::Serialize;

use super::text_layout::{Style, TextPage};
use super::{API_VERSION, client, count, serialize};
use crate::domain::shell_quote::quoted;
use crate::printable::printable_line;

/// The formats of `images -o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImagesFormat {
    #[default]
    Text,
    /// A summary line.
    Short,
    Json,
    Yaml,
    /// Names of the image stream tags.
    Name,
    /// A mapping file for `oc image mirror -f`.
    Mirror,
    /// An `oc image mirror` command per image.
    Commands,
}

/// The images of a namespace in the internal registry.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ImagesReport {
    /// The version of this format.
    #[cfg_attr(test, schemars(extend("const" = API_VERSION)))]
    pub api_version: &'static str,
    /// The kind of report.
    #[cfg_attr(test, schemars(extend("const" = "ImagesReport")))]
    pub kind: &'static str,
    /// The namespace.
    pub namespace: String,
    /// The images, sorted by image stream and tag.
    pub images: Vec<ImageReport>,
    /// The result in one line.
    pub summary_line: String,
    #[serde(skip)]
    client: String,
}

/// An image in the internal registry.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// The tag of the image stream: `app:latest`.
    pub tag: String,
    /// The source reference, with digest.
    pub image: String,
    /// The size in bytes, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The target reference in Quay.
    pub target: String,
}

impl ImagesReport {
    /// `program` is `oc quay` or `kubectl quay`, as it was typed.
    pub fn new(program: &str, namespace: &str, mut images: Vec<ImageReport>) -> Self {
        for image in &mut images {
            for text in [&mut image.tag, &mut image.image, &mut image.target] {
                *text = printable_line(text);
            }
        }
        let size = total_size(&images).map(|size| format!(" ({size})")).unwrap_or_default();
        let summary_line = match images.len() {
            0 => format!("No images of {namespace} are in the internal registry"),
            1 => format!("1 image of {namespace} is in the internal registry{size}"),
            several => {
                format!(
                    "{} of {namespace} are in the internal registry{size}",
                    count(several, "image")
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

    /// # Errors
    /// If serialization fails, which is a bug.
    pub fn render(&self, format: ImagesFormat, style: &Style) -> anyhow::Result<String> {
        Ok(match format {
            ImagesFormat::Json => serialize::json(self)?,
            ImagesFormat::Yaml => serialize::yaml(self)?,
            ImagesFormat::Mirror => self.lines(|image| format!("{}={}", image.image, image.target)),
            ImagesFormat::Name => self.lines(|image| format!("imagestreamtag/{}", image.tag)),
            ImagesFormat::Commands => self.commands(),
            ImagesFormat::Short => format!("{}\n", self.summary_line),
            ImagesFormat::Text => self.table(style),
        })
    }

    /// With all platforms of the images.
    fn commands(&self) -> String {
        let client = &self.client;
        self.lines(|image| {
            let (from, to) = (quoted(&image.image), quoted(&image.target));
            format!("{client} image mirror --keep-manifest-list=true {from} {to}")
        })
    }

    fn lines(&self, line: impl Fn(&ImageReport) -> String) -> String {
        self.images.iter().map(|image| line(image) + "\n").collect()
    }

    /// One row per image; in a narrow terminal the target is on a second line.
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
        let size = |image: &ImageReport| image.size.map_or("unknown".to_owned(), format_size);
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
        page.paragraph("", &self.summary_line, |line| line.bold().to_string());
        page.finish()
    }
}

/// The sum of the known sizes; none if all are unknown.
fn total_size(images: &[ImageReport]) -> Option<String> {
    let known: Vec<_> = images.iter().filter_map(|image| image.size).collect();
    let sum = format_size(known.iter().fold(0, |sum, size| sum.saturating_add(*size)));
    match known.len() {
        0 => None,
        all if all == images.len() => Some(sum),
        _ => Some(format!("at least {sum}")),
    }
}

/// `1.5 KiB`
fn format_size(bytes: u64) -> String {
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
    fn total_size_is_lower_bound_if_sizes_are_unknown() {
        let (one, two) = (Some(1 << 20), Some(2 << 20));
        let table = [
            (&[one, two][..], Some("3.0 MiB")),
            (&[one, None], Some("at least 1.0 MiB")),
            (&[None, None], None),
        ];
        for (sizes, expected) in table {
            assert_eq!(total_size(&images(sizes)).as_deref(), expected, "{sizes:?}");
        }
        let summary_line = |sizes| ImagesReport::new("oc quay", "shop", images(sizes)).summary_line;
        assert_eq!(summary_line(&[None]), "1 image of shop is in the internal registry");
    }

    #[test]
    fn quotes_commands_and_prints_one_line_per_image() {
        let image = ImageReport {
            tag: "app:x\n\x1b[2Jimagestreamtag/other:y".into(),
            image: "registry.svc/shop/app@sha256:0\nregistry.svc/evil/app".into(),
            size: None,
            target: "quay.example.com/openshift_shop/app:$(id);'".into(),
        };
        let report = ImagesReport::new("oc quay", "shop", vec![image]);
        let style = Style { width: None, ascii: false };
        for format in [ImagesFormat::Mirror, ImagesFormat::Name] {
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
    fn lines_fit_the_terminal() {
        let report = ImagesReport::new("oc quay", "shop", images(&[Some(10 << 20), None]));
        for (window, rows) in [(None, 3), (Some(80), 3), (Some(50), 6)] {
            let style = Style { width: window, ascii: false };
            let text = anstream::adapter::strip_str(&report.table(&style)).to_string();
            assert!(text.lines().all(|line| line.len() <= window.unwrap_or(80)), "{text}");
            assert_eq!(text.lines().take_while(|line| !line.is_empty()).count(), rows, "{text}");
        }
    }

    #[test]
    fn formats_sizes() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (10 << 20, "10.0 MiB"),
            (7 << 29, "3.5 GiB"),
        ];
        for (bytes, words) in table {
            assert_eq!(format_size(bytes), words);
        }
    }
}
