//! What flags and environment variables say about the Quay, read and checked before anything is connected to.

use std::env;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret, SecretString};

use crate::cli::GlobalArgs;
use crate::domain::integration::{Overrides, Source, Sourced};
use crate::domain::names::{ClusterId, QuayUrl};
use crate::error::Error;
use crate::ops::collect::NamespaceSelector;
use crate::quay::{certificates_only, left_out_warning};

/// The settings that were given, with the token and the certificate authority themselves.
#[derive(Clone)]
pub(crate) struct Settings {
    /// What was given, and where.
    pub given: Overrides,
    /// The token.
    pub token: Option<SecretString>,
    /// PEM, with certificates alone.
    pub ca: Option<Vec<u8>>,
    /// The namespace whose pull secrets say which Quay, where nothing else does; none for the context's.
    pub namespace: Option<String>,
    /// The command as a cluster administrator runs it, if it is one that needs the token.
    pub for_administrator: Option<String>,
    /// The warnings to print about them.
    pub warnings: Vec<String>,
}

impl Settings {
    /// None: what the cluster says is what counts.
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

    /// Reads them.
    ///
    /// # Errors
    /// For a setting that cannot be used, whichever it is: nothing was sent yet.
    pub(crate) fn read(global: &GlobalArgs) -> Result<Self, Error> {
        let url = given(global.quay_url.as_deref(), "--quay-url", "OC_QUAY_URL")?;
        if let Some(url) = &url {
            let (parsed, _) = QuayUrl::parse(&url.value)
                .map_err(|problem| Error::new(format!("{}: {problem}", url.source)))?;
            refuse_plain_http(&parsed, global.insecure)?;
        }
        let cluster_id = given(global.cluster_id.as_deref(), "--cluster-id", "OC_QUAY_CLUSTER_ID")?;
        if let Some(id) = &cluster_id
            && let Some(problem) = ClusterId::new(&id.value).problem()
        {
            return Err(Error::new(format!(
                "{}: cluster ID `{}` cannot be used: {problem}",
                id.source, id.value
            )));
        }
        let ca_file = global.quay_ca_file.as_ref().map(|path| path.display().to_string());
        let mut warnings = Vec::new();
        let ca = match given(ca_file.as_deref(), "--quay-ca-file", "OC_QUAY_CA_FILE")? {
            Some(file) => {
                let (ca, left_out) = read_ca(&file)?;
                warnings.extend(left_out_warning(
                    &format!("{}: {}", file.source, file.value),
                    &left_out,
                ));
                Some(ca)
            }
            None => None,
        };
        let token = read_token(global.quay_token_file.as_deref())?;
        let (token, source) =
            token.map_or((None, None), |(token, source)| (Some(token), Some(source)));
        Ok(Self {
            given: Overrides { url, cluster_id, token: source, insecure: global.insecure },
            token,
            ca,
            namespace: global.namespace.clone(),
            for_administrator: None,
            warnings,
        })
    }

    /// The same for a command that works on these namespaces: where nothing else does, the pull secrets of the first one say
    /// which Quay.
    pub(crate) fn for_namespaces(self, which: &NamespaceSelector) -> Self {
        match which {
            NamespaceSelector::Named(names) => Self { namespace: names.first().cloned(), ..self },
            NamespaceSelector::Selected(_) | NamespaceSelector::All => self,
        }
    }

    /// The same for a command that needs the token: how a cluster administrator runs it, for users who are not allowed to read
    /// the token.
    pub(crate) fn for_administrator(self, command: String) -> Self {
        Self { for_administrator: Some(command), ..self }
    }
}

/// Refuses an address to which the token would travel unprotected.
pub(crate) fn refuse_plain_http(url: &QuayUrl, insecure: bool) -> Result<(), Error> {
    if !url.is_plain_http() || insecure {
        return Ok(());
    }
    Err(Error::new(format!("{url} is plain http: the token would travel unprotected"))
        .hint("use https://, or accept the risk with --insecure"))
}

/// A setting from its flag, or else from its environment variable; an empty variable counts as none.
fn given(
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

/// The certificates, and the labels of what else is in the file: it may be a key, and what is read here is stored in the
/// cluster and printed.
fn read_ca(file: &Sourced<String>) -> Result<(Vec<u8>, Vec<String>), Error> {
    let failure =
        |reason: String| Error::new(format!("{}: {reason} in {}", file.source, file.value));
    let ca = fs::read(&file.value)
        .map_err(|error| failure(format!("could not read the certificate authority ({error})")))?;
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&ca) {
        let is_usable = certificate.is_ok_and(|certificate| authorities.add(certificate).is_ok());
        if !is_usable {
            return Err(failure("there is a certificate that makes no sense".into()));
        }
    }
    certificates_only(&ca)
        .filter(|_| !authorities.is_empty())
        .ok_or_else(|| failure("there is no PEM certificate".into()))
}

fn read_token(file: Option<&Path>) -> Result<Option<(SecretString, Source)>, Error> {
    let Some((content, source)) = secret(file, "--quay-token-file", "OC_QUAY_TOKEN")? else {
        return Ok(None);
    };
    match token(content.expose_secret()) {
        Ok(token) => Ok(Some((token, source))),
        Err(problem) => Err(Error::new(format!("{source}: {problem}"))),
    }
}

/// A secret as it was given: in a file, `-` for stdin, or in an environment variable; an empty variable counts as none.
pub(crate) fn secret(
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
        Error::new(format!("{flag}: could not read {} ({error})", file.display()))
    })?;
    Ok(Some((content.into(), Source::Flag(flag))))
}

/// A password as it is to be sent: without the line break that ends a file.
pub(crate) fn password(content: &SecretString) -> Result<SecretString, &'static str> {
    let password = content.expose_secret().trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err("the password is empty");
    }
    if password.contains(['\r', '\n']) {
        return Err("what is given is more than a password: it has several lines");
    }
    Ok(password.into())
}

/// A token as it is to be sent: without the line break that ends a file, and refused with one inside.
pub(crate) fn token(content: &str) -> Result<SecretString, &'static str> {
    let token = content.trim();
    if token.is_empty() {
        return Err("the token is empty");
    }
    if token.chars().any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii()) {
        return Err(
            "what is given is more than a token: it has spaces, line breaks or other characters in it",
        );
    }
    Ok(token.into())
}
