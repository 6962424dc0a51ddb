//! Default objects of a namespace: service accounts with registry credentials, and SCC annotations.

use anyhow::Result;
use serde_json::{Value, json};

use super::text;
use crate::api::Api;

/// Kubernetes creates `default` immediately.
const ACCOUNTS: [&str; 3] = ["default", "builder", "deployer"];

/// Annotation with the name of the internal registry's secret.
const REGISTRY_SECRET: &str = "openshift.io/internal-registry-pull-secret-ref";

/// Annotations of OpenShift's security context controller, with arbitrary values.
const SCC_ANNOTATIONS: [(&str, &str); 3] = [
    ("openshift.io/sa.scc.mcs", "s0:c26,c5"),
    ("openshift.io/sa.scc.supplemental-groups", "1000650000/10000"),
    ("openshift.io/sa.scc.uid-range", "1000650000/10000"),
];

/// `accounts` may include those of other namespaces.
pub(crate) fn has_default_objects(namespace: &Value, accounts: &[Value]) -> bool {
    let own: Vec<&Value> = accounts.iter().filter(|account| is_in(account, namespace)).collect();
    has_scc_annotations(namespace)
        && ACCOUNTS
            .iter()
            .all(|name| own.iter().any(|account| account["metadata"]["name"] == *name))
        && own.iter().all(|account| has_registry_secret(account))
}

/// Creates `default` immediately, and the rest once the namespace has `settled`.
pub(super) async fn create_missing(
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
        create_registry_secret(api, &path, account).await?;
    }
    Ok(())
}

/// Creates the registry secret if missing and adds it to both lists.
async fn create_registry_secret(api: &Api, namespace_path: &str, account: &Value) -> Result<()> {
    let account_name = text(&account["metadata"]["name"]);
    // A deterministic name, so that an attempt after a conflict leaves no other secret.
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
    // The resourceVersion guards against concurrent changes.
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
