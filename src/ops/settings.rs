//! Settings for Quay from flags and environment variables, validated before the first request.

use std::env;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::integration::{Overrides, Source, Sourced};
use crate::domain::names::{ClusterId, QuayUrl};
use crate::error::Error;
use crate::ops::ConnectionOptions;
use crate::ops::collect::NamespaceSelector;
use crate::quay::CaBundle;

/// The settings, with the contents of files.
#[derive(Clone)]
pub(crate) struct Settings {
    pub given: Overrides,
    pub token: Option<SecretString>,
    /// PEM, certificates only.
    pub ca: Option<Vec<u8>>,
    /// The namespace whose pull secrets identify Quay if nothing else does; `None` for that of the
    /// context.
    pub namespace: Option<String>,
    /// The equivalent command for a cluster administrator, if the command needs the token.
    pub for_administrator: Option<String>,
    pub warnings: Vec<String>,
}

impl Settings {
    /// No overrides of the QuayIntegration.
    pub(crate) fn none() -> Self {
        Self {
            given: Overrides::default(),
            token: None,
            ca: None,
            namespace: None,
            for_administrator: None,
            warnings: vec![],
        }
    }

    /// # Errors
    /// If a setting is invalid.
    pub(crate) fn read(options: &ConnectionOptions) -> Result<Self, Error> {
        let url = from_flag_or_env(options.quay_url.as_deref(), "--quay-url", "OC_QUAY_URL")?;
        if let Some(url) = &url {
            let (parsed, _) = QuayUrl::parse(&url.value)
                .map_err(|problem| Error::new(format!("{}: {problem}", url.source)))?;
            reject_plain_http(&parsed, options.insecure)?;
        }
        let cluster_id =
            from_flag_or_env(options.cluster_id.as_deref(), "--cluster-id", "OC_QUAY_CLUSTER_ID")?;
        if let Some(id) = &cluster_id
            && let Some(problem) = ClusterId::new(&id.value).problem()
        {
            return Err(Error::new(format!(
                "{}: invalid cluster ID `{}`: {problem}",
                id.source, id.value
            )));
        }
        let ca_file = options.quay_ca_file.as_ref().map(|path| path.display().to_string());
        let mut warnings = Vec::new();
        let ca = match from_flag_or_env(ca_file.as_deref(), "--quay-ca-file", "OC_QUAY_CA_FILE")? {
            Some(file) => {
                let bundle = read_ca(&file)?;
                warnings.extend(bundle.warning(&format!("{}: {}", file.source, file.value)));
                Some(bundle.pem)
            }
            None => None,
        };
        let token = read_token(options.quay_token_file.as_deref())?;
        let (token, source) =
            token.map_or((None, None), |(token, source)| (Some(token), Some(source)));
        Ok(Self {
            given: Overrides { url, cluster_id, token: source, insecure: options.insecure },
            token,
            ca,
            namespace: options.namespace.clone(),
            for_administrator: None,
            warnings,
        })
    }

    /// Sets the first of these namespaces as the one whose pull secrets identify Quay.
    pub(crate) fn for_namespaces(self, which: &NamespaceSelector) -> Self {
        match which {
            NamespaceSelector::Named(names) => Self { namespace: names.first().cloned(), ..self },
            NamespaceSelector::Selected(_) | NamespaceSelector::All => self,
        }
    }

    /// Sets the equivalent command for a cluster administrator, which is shown to users who cannot
    /// read the token.
    pub(crate) fn for_administrator(self, command: String) -> Self {
        Self { for_administrator: Some(command), ..self }
    }
}

/// # Errors
/// If the token would be sent unencrypted, unless `insecure` allows it.
pub(crate) fn reject_plain_http(url: &QuayUrl, insecure: bool) -> Result<(), Error> {
    if !url.is_plain_http() || insecure {
        return Ok(());
    }
    Err(Error::new(format!("{url} is plain http: the token would travel unprotected"))
        .hint("use https://, or accept the risk with --insecure"))
}

/// The value of a flag, else of its environment variable. An empty variable counts as unset.
fn from_flag_or_env(
    flag: Option<&str>,
    name: &'static str,
    variable: &'static str,
) -> Result<Option<Sourced<String>>, Error> {
    let setting = match flag {
        Some(value) => Some(Sourced { value: value.trim().to_owned(), source: Source::Flag(name) }),
        None => env::var(variable).ok().filter(|value| !value.is_empty()).map(|value| Sourced {
            value: value.trim().to_owned(),
            source: Source::Environment(variable),
        }),
    };
    match setting {
        Some(setting) if setting.value.is_empty() => {
            Err(Error::new(format!("{} is empty", setting.source)))
        }
        setting => Ok(setting),
    }
}

/// A private key in the file must not be
/// stored in the cluster or printed.
fn read_ca(file: &Sourced<String>) -> Result<CaBundle, Error> {
    let invalid = |reason: &str| Error::new(format!("{}: {reason} in {}", file.source, file.value));
    let ca = fs::read(&file.value).map_err(|error| {
        Error::new(format!("{}: failed to read {}: {error}", file.source, file.value))
    })?;
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&ca) {
        let is_usable = certificate.is_ok_and(|certificate| authorities.add(certificate).is_ok());
        if !is_usable {
            return Err(invalid("invalid PEM certificate"));
        }
    }
    CaBundle::parse(&ca)
        .filter(|_| !authorities.is_empty())
        .ok_or_else(|| invalid("no PEM certificate found"))
}

fn read_token(file: Option<&Path>) -> Result<Option<(SecretString, Source)>, Error> {
    let Some((content, source)) = read_secret(file, "--quay-token-file", "OC_QUAY_TOKEN")? else {
        return Ok(None);
    };
    match parse_token(content.expose_secret()) {
        Ok(token) => Ok(Some((token, source))),
        Err(problem) => Err(Error::new(format!("{source}: {problem}"))),
    }
}

/// The contents of a file (`-` for stdin), else of an environment variable. An empty variable
/// counts as unset.
pub(crate) fn read_secret(
    file: Option<&Path>,
    flag: &'static str,
    variable: &'static str,
) -> Result<Option<(SecretString, Source)>, Error> {
    let Some(file) = file else {
        let content = env::var(variable).ok().filter(|content| !content.is_empty());
        return Ok(content.map(|content| (content.into(), Source::Environment(variable))));
    };
    let mut content = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut content).map(|_| ())
    } else {
        fs::read_to_string(file).map(|text| content = text)
    };
    read.map_err(|error| {
        Error::new(format!("{flag}: failed to read {}: {error}", file.display()))
    })?;
    Ok(Some((content.into(), Source::Flag(flag))))
}

/// Validates a password, and removes the line break at the end of a file.
pub(crate) fn parse_password(content: &SecretString) -> Result<SecretString, &'static str> {
    let password = content.expose_secret().trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err("the password is empty");
    }
    if password.contains(['\r', '\n']) {
        return Err("invalid password: contains more than one line");
    }
    Ok(password.into())
}

/// Validates a token, and removes surrounding whitespace.
pub(crate) fn parse_token(content: &str) -> Result<SecretString, &'static str> {
    let token = content.trim();
    if token.is_empty() {
        return Err("the token is empty");
    }
    if token.chars().any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii()) {
        return Err("invalid token: contains whitespace, control or non-ASCII characters");
    }
    Ok(token.into())
}
