//! `plugin.yaml` follows krew's rules (krew `internal/index/validation/validate.go`,
//! `cmd/validate-krew-manifest`) and those of the public index (krew.sigs.k8s.io, "Plugin manifest"
//! and "Best practices").

use std::collections::BTreeSet;

use oc_quay::setup::controller_manifests::ControllerManifests;
use serde_json::{Value, json};

use super::{in_project, read};

/// Platforms of krew that we release for.
const PLATFORMS: [&str; 7] = [
    "linux-amd64",
    "linux-arm64",
    "linux-ppc64le",
    "darwin-amd64",
    "darwin-arm64",
    "windows-amd64",
    "windows-arm64",
];

/// The checksum of a missing archive.
const NO_CHECKSUM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn manifest() -> Value {
    serde_saphyr::from_str(&read("plugin.yaml")).unwrap()
}

/// A description of each violated rule.
fn problems(manifest: &Value) -> Vec<String> {
    let spec = &manifest["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let short = text(&spec["shortDescription"]);
    let mut rules = vec![
        ("apiVersion", manifest["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2"),
        ("kind", manifest["kind"] == "Plugin"),
        ("name", manifest["metadata"]["name"] == "quay"),
        (
            "version is that of the package",
            text(&spec["version"]) == format!("v{}", env!("CARGO_PKG_VERSION")),
        ),
        (
            "homepage is that of the package",
            text(&spec["homepage"]) == env!("CARGO_PKG_REPOSITORY"),
        ),
        (
            "shortDescription is 1 to 50 characters in one line",
            (1..=50).contains(&short.len()) && short.lines().count() == 1,
        ),
        (
            "shortDescription does not say what every plugin is",
            !short.to_lowercase().contains("plugin"),
        ),
        (
            "description is wrapped at 80",
            text(&spec["description"]).lines().all(|line| line.len() <= 80),
        ),
    ];
    let platforms = spec["platforms"].as_array().cloned().unwrap_or_default();
    let names: BTreeSet<_> = platforms.iter().map(name).collect();
    rules.push((
        "there are platforms, no two of them the same",
        !names.is_empty() && names.len() == platforms.len(),
    ));
    for platform in &platforms {
        let name = name(platform);
        let windows = name.starts_with("windows");
        let archive = format!(
            "/oc-quay-{}-{name}.{}",
            text(&spec["version"]),
            if windows { "zip" } else { "tar.gz" }
        );
        let sha256 = text(&platform["sha256"]);
        let selector = platform["selector"]["matchLabels"].as_object();
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        rules.extend([
            ("the platform is known", PLATFORMS.contains(&name.as_str())),
            (
                "the selector is of os and arch alone",
                selector.is_some_and(|labels| labels.len() == 2),
            ),
            (
                "uri names the archive",
                text(&platform["uri"]).starts_with("https://")
                    && text(&platform["uri"]).ends_with(&archive),
            ),
            ("sha256 is one", sha256.len() == 64 && sha256.chars().all(is_hex)),
            (
                "bin is the program",
                platform["bin"] == if windows { "oc-quay.exe" } else { "oc-quay" },
            ),
        ]);
    }
    rules.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| rule.to_owned()).collect()
}

/// `linux-amd64`
fn name(platform: &Value) -> String {
    let label = |key| platform["selector"]["matchLabels"][key].as_str().unwrap_or_default();
    format!("{}-{}", label("os"), label("arch"))
}

#[test]
fn manifest_follows_krew_rules() {
    assert_eq!(problems(&manifest()), Vec::<String>::new());
    assert!(in_project("LICENSE").exists(), "krew wants the license in the archive");
}

#[test]
fn detects_invalid_manifest() {
    let broken = [
        ("/apiVersion", json!("v1")),
        ("/spec/version", json!("0.1.0")),
        ("/spec/shortDescription", json!("x".repeat(51))),
        ("/spec/shortDescription", json!("two\nlines")),
        ("/spec/platforms", json!([])),
        ("/spec/platforms/0/selector/matchLabels/arch", json!("s390x")),
        ("/spec/platforms/0/selector/matchLabels/arch", json!("arm64")),
        ("/spec/platforms/0/sha256", json!("ABC")),
        ("/spec/platforms/0/uri", json!("https://example.com/other.tar.gz")),
        ("/spec/platforms/4/bin", json!("oc-quay")),
    ];
    for (place, value) in broken {
        let mut manifest = manifest();
        *manifest.pointer_mut(place).unwrap() = value;
        assert!(!problems(&manifest).is_empty(), "{place}");
    }
}

#[test]
fn marks_missing_checksums() {
    let text = read("plugin.yaml");
    assert_eq!(
        text.contains("PLACEHOLDER"),
        text.contains(NO_CHECKSUM),
        "mark the checksums of zeros, and only those"
    );
}

/// The targets of a release, as `krew/package` lists them.
fn targets() -> Vec<String> {
    let package = read("krew/package");
    let (_, list) = package.split_once("platforms=(\n").unwrap();
    let list = list.split_once("\n)").unwrap().0;
    list.lines().map(|line| line.trim().split_once('=').unwrap().1.to_owned()).collect()
}

#[test]
fn every_target_is_released_and_checked_by_cargo_deny() {
    let (workflow, deny) = (read(".github/workflows/release.yml"), read("deny.toml"));
    for target in targets() {
        assert!(workflow.contains(&format!("target: {target}")), "{target} is not released");
        assert!(deny.contains(&format!("\"{target}\"")), "{target} is not judged");
    }
    assert!(targets().len() > 7);
}

#[cfg(unix)]
#[test]
fn fills_in_manifest_from_existing_archives() {
    let folder = std::env::temp_dir().join(format!("oc-quay-index-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let archives = ["linux-amd64.tar.gz", "linux-s390x.tar.gz", "windows-arm64.zip"];
    for archive in archives {
        std::fs::write(folder.join(format!("oc-quay-v9.8.7-{archive}")), archive).unwrap();
    }
    let made = std::process::Command::new(in_project("krew/index"))
        .arg("v9.8.7")
        .arg(&folder)
        .status()
        .unwrap();
    assert!(made.success());
    let text = std::fs::read_to_string(folder.join("index/plugins/quay.yaml")).unwrap();
    let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();

    let filled: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(problems(&filled), ["version is that of the package"]);
    let platforms = filled["spec"]["platforms"].as_array().unwrap();
    // krew has no s390x.
    assert_eq!(platforms.iter().map(name).collect::<Vec<_>>(), ["linux-amd64", "windows-arm64"]);
    for platform in platforms {
        let (sum, uri) = (platform["sha256"].as_str().unwrap(), platform["uri"].as_str().unwrap());
        assert!(
            sums.contains(&format!("{sum}  {}\n", uri.rsplit('/').next().unwrap())),
            "{sums}\n{text}"
        );
    }
    assert!(
        !text.contains("PLACEHOLDER") && !text.contains(NO_CHECKSUM) && !text.contains("0.1.0"),
        "{text}"
    );
    assert!(sums.contains("  quay.yaml\n"), "{sums}");
    assert_eq!(sums.lines().count(), archives.len() + 1);
}

/// The default image of the controller.
#[test]
fn default_image_is_the_released_one() {
    let workflow = read(".github/workflows/release.yml");
    let released = workflow.lines().find_map(|line| line.strip_prefix("  IMAGE: ")).unwrap();
    let asked_for = ControllerManifests::new(None, None).image;
    // The workflow requires `v` and the version as the tag.
    assert_eq!(asked_for, format!("{released}:v{}", env!("CARGO_PKG_VERSION")));
    assert!(
        workflow.contains("tagged=$IMAGE:$GITHUB_REF_NAME\n"),
        "the image has the tag of the project"
    );
    assert!(!workflow.contains("GITHUB_REF_NAME#v"), "no image goes without its v");
    let pages = super::pages();
    let tags = pages
        .iter()
        .flat_map(|(path, page)| page.split("/oc-quay:").skip(1).map(move |rest| (path, rest)));
    for (path, rest) in tags {
        assert!(
            rest.starts_with("v1") || rest.starts_with(concat!("v", env!("CARGO_PKG_VERSION"))),
            "{path}: {rest:.20}"
        );
    }
}

/// Steps of pipelines run the program without its folder.
#[test]
fn image_has_the_program_on_its_path() {
    let file = read("Containerfile");
    for line in [
        "/src/target/release/oc-quay /usr/local/bin/oc-quay",
        "ENV PATH=/usr/local/bin",
        "[\"/usr/local/bin/oc-quay\"]",
    ] {
        assert!(file.contains(line), "{line}");
    }
    let toolchain = read("rust-toolchain.toml");
    let version =
        file.split_once("rust:").and_then(|(_, rest)| rest.split_once("-alpine")).unwrap().0;
    assert!(
        toolchain.contains(&format!("channel = \"{version}.")),
        "{version} builds the image, and not the rest"
    );
}
