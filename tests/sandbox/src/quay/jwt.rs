//! The registry's own tokens: real RS256 JWTs, signed with a key made when the first one is needed.

use std::sync::OnceLock;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::names::RepoPath;
use super::random;
use super::roles::RepoRole;

/// The subject of an anonymous token (wire/470).
pub(crate) const ANONYMOUS: &str = "(anonymous)";
const ISSUER: &str = "quay";
const LIFETIME_S: i64 = 3600;

/// Claims of a token (wire/461-475).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    aud: String,
    nbf: i64,
    iat: i64,
    exp: i64,
    /// The user or robot, or [`ANONYMOUS`].
    pub(crate) sub: String,
    access: Vec<Access>,
    context: Value,
}

/// The granted actions on a repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Access {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    actions: Vec<String>,
}

impl Access {
    pub(crate) fn to_repository(path: &RepoPath, actions: &[&str]) -> Access {
        Access {
            kind: "repository".to_owned(),
            name: path.to_string(),
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        }
    }

    fn role(&self) -> Option<RepoRole> {
        let has = |wanted: &str| self.actions.iter().any(|action| action == wanted);
        [("*", RepoRole::Admin), ("push", RepoRole::Write), ("pull", RepoRole::Read)]
            .into_iter()
            .find(|(action, _)| has(action))
            .map(|(_, role)| role)
    }
}

impl Claims {
    /// A token's content for `subject` at the registry `service`, valid for an hour from now.
    pub(crate) fn new(service: &str, subject: Option<&str>, access: Vec<Access>) -> Claims {
        let now = Timestamp::now().as_second();
        let kind = match subject {
            None => "anonymous",
            Some(name) if name.contains('+') => "robot",
            Some(_) => "user",
        };
        Claims {
            iss: ISSUER.to_owned(),
            aud: service.to_owned(),
            nbf: now,
            iat: now,
            exp: now + LIFETIME_S,
            sub: subject.unwrap_or(ANONYMOUS).to_owned(),
            access,
            context: json!({"version": 2, "entity_kind": kind, "com.apostille.root": "$disabled"}),
        }
    }

    /// The right the token gives on a repository. It holds for the token's whole life, even after changes of its
    /// owner (wire/499).
    pub(crate) fn role(&self, path: &RepoPath) -> Option<RepoRole> {
        let name = path.to_string();
        let granted = self.access.iter().filter(|access| access.name == name);
        granted.filter_map(Access::role).max()
    }
}

/// Signs a token. `None` only if this machine cannot make keys.
pub(crate) fn sign(claims: &Claims) -> Option<String> {
    let key = key()?;
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(key.id.clone());
    jsonwebtoken::encode(&header, claims, &key.private).ok()
}

/// Checks a token for the registry `service`; the error is what Quay says about it (wire/493).
pub(crate) fn verify(token: &str, service: &str) -> Result<Claims, &'static str> {
    // `TOKEN_REGEX` of `util/security/jwtutil.py`: an OAuth token has no dots.
    if !token.contains('.') {
        return Err("Invalid bearer token format");
    }
    let key = key().ok_or("Unknown service key")?;
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_issuer(&[ISSUER]);
    rules.set_audience(&[service]);
    rules.leeway = 30;
    jsonwebtoken::decode(token, &key.public, &rules).map(|decoded| decoded.claims).map_err(
        |error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::ExpiredSignature => "Signature has expired",
            jsonwebtoken::errors::ErrorKind::InvalidAudience => "Invalid audience",
            _ => "Signature verification failed",
        },
    )
}

struct Key {
    id: String,
    private: EncodingKey,
    public: DecodingKey,
}

fn key() -> Option<&'static Key> {
    static KEY: OnceLock<Option<Key>> = OnceLock::new();
    KEY.get_or_init(make_key).as_ref()
}

fn make_key() -> Option<Key> {
    let pair =
        rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).ok()?;
    Some(Key {
        id: random::sha256(pair.public_key_raw())[..43].to_owned(),
        private: EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).ok()?,
        public: DecodingKey::from_rsa_pem(pair.public_key_pem().as_bytes()).ok()?,
    })
}
