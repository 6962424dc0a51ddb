//! The kubeconfig of the sandbox's users.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::openshift::OpenShift;

/// A user, who is also a context, and the namespace of that context.
const CONTEXTS: [(&str, &str); 3] = [("admin", "default"), ("dev", "myproj"), ("guest", "myproj")];

/// One cluster, and a context for each user; YAML.
pub(crate) fn render(openshift: &OpenShift, ca: &str) -> String {
    let (mut contexts, mut users) = (String::new(), String::new());
    for (name, namespace) in CONTEXTS {
        let token = openshift.token(name);
        // Writing to a String cannot fail.
        let _ = write!(
            contexts,
            "- name: {name}\n  context:\n    cluster: sandbox\n    user: {name}\n    namespace: {namespace}\n"
        );
        let _ = write!(users, "- name: {name}\n  user:\n    token: {token}\n");
    }
    let (url, ca) = (openshift.url(), STANDARD.encode(ca));
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: admin\npreferences: {{}}\nclusters:\n- name: sandbox\n  \
         cluster:\n    server: {url}\n    certificate-authority-data: {ca}\ncontexts:\n{contexts}users:\n{users}"
    )
}
