//! What a live namespace gets: service accounts, OpenShift's registry credentials for each, and SCC annotations.

use anyhow::Result;
use serde_json::{Value, json};

use super::text;
use crate::api::Api;

/// The service accounts of every OpenShift namespace; `default` comes first and at once, from Kubernetes.
const ACCOUNTS: [&str; 3] = ["default", "builder", "deployer"];

/// Where a service account names the secret OpenShift made for it.
const REGISTRY_SECRET: &str = "openshift.io/internal-registry-pull-secret-ref";

/// The annotations that OpenShift's security context controller gives a namespace. The values differ from namespace
/// to namespace on a real cluster; nothing here depends on them.
const SCC_ANNOTATIONS: [(&str, &str); 3] = [
    ("openshift.io/sa.scc.mcs", "s0:c26,c5"),
    ("openshift.io/sa.scc.supplemental-groups", "1000650000/10000"),
    ("openshift.io/sa.scc.uid-range", "1000650000/10000"),
];

/// Whether `namespace` has all that it gets; `accounts` may be those of all namespaces.
pub(crate) fn is_furnished(namespace: &Value, accounts: &[Value]) -> bool {
    let own: Vec<&Value> = accounts.iter().filter(|account| is_in(account, namespace)).collect();
    has_scc_annotations(namespace)
        && ACCOUNTS
            .iter()
            .all(|name| own.iter().any(|account| account["metadata"]["name"] == *name))
        && own.iter().all(|account| has_registry_secret(account))
}

/// Gives `namespace` what it lacks: `default` at once, the rest when it has `settled`.
pub(super) async fn furnish(
    api: &Api,
    namespace: &Value,
    accounts: &[Value],
    settled: bool,
) -> Result<()> {
    let path = format!("/api/v1/namespaces/{}", text(&namespace["metadata"]["name"]));
    let wanted = if settled { &ACCOUNTS[..] } else { &ACCOUNTS[..1] };
    for name in wanted {
        if !accounts
            .iter()
            .any(|account| is_in(account, namespace) && account["metadata"]["name"] == *name)
        {
            api.create(
                &format!("{path}/serviceaccounts"),
                &json!({ "metadata": { "name": name } }),
            )
            .await?;
        }
    }
    if !settled {
        return Ok(());
    }
    if !has_scc_annotations(namespace) {
        let annotations: Value = SCC_ANNOTATIONS
            .into_iter()
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect();
        api.merge(&path, &json!({ "metadata": { "annotations": annotations } })).await?;
    }
    for account in
        accounts.iter().filter(|account| is_in(account, namespace) && !has_registry_secret(account))
    {
        give_registry_secret(api, &path, account).await?;
    }
    Ok(())
}

/// Makes the account's registry secret, where it is missing, and puts it into both lists, beside what is there.
async fn give_registry_secret(api: &Api, namespace_path: &str, account: &Value) -> Result<()> {
    let account_name = text(&account["metadata"]["name"]);
    // The same name every time, so an attempt that lost to another writer leaves no secret behind.
    let suffix: String = text(&account["metadata"]["uid"]).chars().take(5).collect();
    let name = format!("{account_name}-dockercfg-{suffix}");
    let secret = json!({
        "metadata": {
            "name": name,
            "annotations": { "openshift.io/internal-registry-auth-token.service-account": account_name },
        },
        "type": "kubernetes.io/dockercfg",
        "stringData": { ".dockercfg": r#"{"image-registry.openshift-image-registry.svc:5000":{"auth":"PHRva2VuPjp4"}}"# },
    });
    api.create(&format!("{namespace_path}/secrets"), &secret).await?;

    let mut account = account.clone();
    account["metadata"]["annotations"][REGISTRY_SECRET] = json!(name);
    for list in ["secrets", "imagePullSecrets"] {
        let mut references = account[list].as_array().cloned().unwrap_or_default();
        if !references.iter().any(|reference| reference["name"] == name.as_str()) {
            references.push(json!({ "name": name }));
        }
        account[list] = Value::Array(references);
    }
    // The resourceVersion it was read with guards against losing what another writer added meanwhile.
    api.replace(&format!("{namespace_path}/serviceaccounts/{account_name}"), &account).await?;
    Ok(())
}

fn has_registry_secret(account: &Value) -> bool {
    let name = &account["metadata"]["annotations"][REGISTRY_SECRET];
    !name.is_null()
        && ["secrets", "imagePullSecrets"].iter().all(|list| {
            account[list].as_array().is_some_and(|references| {
                references.iter().any(|reference| reference["name"] == *name)
            })
        })
}

fn has_scc_annotations(namespace: &Value) -> bool {
    SCC_ANNOTATIONS.iter().all(|(key, _)| !namespace["metadata"]["annotations"][key].is_null())
}

fn is_in(account: &Value, namespace: &Value) -> bool {
    account["metadata"]["namespace"] == namespace["metadata"]["name"]
}
