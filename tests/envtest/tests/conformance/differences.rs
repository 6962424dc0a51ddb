//! Intended differences between the sandbox and the real server.

use crate::Found;

pub(crate) struct Difference {
    script: &'static str,
    /// Substring of the request line.
    request: &'static str,
    /// Prefix of the JSON pointer into the response.
    at: &'static str,
    reason: &'static str,
}

impl Difference {
    pub(crate) fn matches(&self, found: &Found) -> bool {
        found.script == self.script
            && found.request.contains(self.request)
            && found.at.starts_with(self.at)
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { script, request, at, reason } = self;
        write!(f, "{script}: {request}\n  {at}\n    {reason}")
    }
}

/// Status and reason are equal; the message quotes Go internals.
const WORDING: &str = "Go's decoders word it";
const LABEL: &str = "one message for all invalid names";
const ONCE: &str = "the real server reports it twice";
const ORDER: &str = "new items are last here, and no program may depend on their order";
const FIELDS: &str = "the stand-in warns of no unknown fields";
const ANONYMOUS: &str = "the stand-in has no anonymous user: 401 in place of 403";
const COLLECTIONS: &str = "the stand-in deletes no collections";
const MEDIA_TYPES: &str = "the real server has two messages for it";
const OPTIONS: &str = "one message for all verbs";
const STREAMING: &str = "as servers without WatchList, so that clients fall back to lists";
const BOTH_FORMS: &str = "groups carry the fields of both forms of discovery here";
const EMPTY: &str = "empty fields are left out here";

#[rustfmt::skip]
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference { script: "creates", request: "\"a/b/c\"", at: "/body", reason: LABEL },
    Difference { script: "creates", request: "\"data\":[\"a\"]", at: "/body/message", reason: WORDING },
    Difference { script: "creates", request: "\"kind\":\"ConfigMap\"", at: "/body/message", reason: WORDING },
    Difference { script: "creates", request: "\"apiVersion\":\"v2\"", at: "/body/message", reason: WORDING },
    Difference { script: "creates", request: "secrets [\"a\"]", at: "/body/message", reason: WORDING },
    Difference { script: "creates", request: "{\"metadata\":\"b\"}", at: "/body/message", reason: WORDING },
    Difference { script: "creates", request: "{cut", at: "/body/message", reason: WORDING },
    Difference { script: "creates", request: "\"not json\"", at: "/body", reason: WORDING },
    Difference { script: "creates", request: "dryRun=Some", at: "/body", reason: OPTIONS },
    Difference { script: "creates", request: "\"pullSecrets\"", at: "/warnings", reason: FIELDS },
    Difference { script: "custom-resources", request: "\"quayHostnames\"", at: "/warnings", reason: FIELDS },
    Difference { script: "definitions", request: "GET /apis", at: "/body//groups/", reason: BOTH_FORMS },
    Difference { script: "deletion", request: "\"preconditions\"", at: "/body", reason: "the stand-in names the resource, not the kind" },
    Difference { script: "deletion", request: "example.com/more", at: "/body/details/causes", reason: ONCE },
    Difference { script: "discovery", request: "", at: "/body//resources/", reason: COLLECTIONS },
    Difference { script: "discovery", request: "GET /apis", at: "/body//groups/", reason: BOTH_FORMS },
    Difference { script: "discovery", request: "GET /apis/quay.redhat.com as", at: "/body/metadata", reason: BOTH_FORMS },
    Difference { script: "discovery", request: "GET /apis/quay.redhat.com as", at: "/body/versions/0/resources", reason: BOTH_FORMS },
    Difference { script: "discovery", request: "GET /api accept", at: "/body//items/0/versions/0/resources", reason: COLLECTIONS },
    Difference { script: "discovery", request: "PUT /apis/quay.redhat.com", at: "", reason: "405 for every write to a collection" },
    Difference { script: "discovery", request: "accept: text/plain", at: "/body", reason: MEDIA_TYPES },
    Difference { script: "expiry", request: "continue=", at: "/body//message", reason: "no list goes on inconsistently here" },
    Difference { script: "namespaces", request: "\"aaa", at: "/body", reason: LABEL },
    Difference { script: "namespaces", request: "\"a.b\"", at: "/body", reason: LABEL },
    Difference { script: "pages", request: "Dlisted", at: "/body/metadata/continue", reason: EMPTY },
    Difference { script: "pages", request: "continue=garbage", at: "/body/message", reason: WORDING },
    Difference { script: "pages", request: "accept", at: "/body/message", reason: MEDIA_TYPES },
    Difference { script: "patches", request: "{\"metadata\":{\"name\":\"a\"}}", at: "/body/message", reason: WORDING },
    Difference { script: "patches", request: "{cut", at: "/body/message", reason: WORDING },
    Difference { script: "patches", request: "secrets/a {}", at: "/body", reason: MEDIA_TYPES },
    Difference { script: "patches", request: "text/plain", at: "/body", reason: MEDIA_TYPES },
    Difference { script: "rejections", request: "secrets as \"\"", at: "", reason: ANONYMOUS },
    Difference { script: "rejections", request: "impersonate-group: developers", at: "/body", reason: WORDING },
    Difference { script: "reviews", request: "{\"spec\":{}}", at: "/body", reason: "the real server forgets the kind" },
    Difference { script: "reviews", request: "{cut", at: "/body/message", reason: WORDING },
    Difference { script: "service-accounts", request: "strategic", at: "/body/secrets", reason: ORDER },
    Difference { script: "service-accounts", request: "GET", at: "/body/secrets", reason: ORDER },
    Difference { script: "service-accounts", request: "strategic", at: "/body/metadata", reason: ORDER },
    Difference { script: "service-accounts", request: "{\"op\":\"add\"}", at: "/body/message", reason: WORDING },
    Difference { script: "service-accounts", request: "\"uid\":\"0000", at: "/body/details/causes", reason: ONCE },
    Difference { script: "updates", request: "\"uid\":\"0000", at: "/body/message", reason: "the real server reports details of its storage" },
    Difference { script: "updates", request: "basic-auth", at: "/body", reason: "the stand-in knows the fields of pull secrets only" },
    Difference { script: "watches", request: "resourceVersion=x", at: "", reason: "the real server answers 500" },
    Difference { script: "watches", request: "sendInitialEvents", at: "", reason: STREAMING },
    Difference { script: "webhooks", request: "\"rules\":[]", at: "/body//webhooks/0/rules", reason: EMPTY },
];
