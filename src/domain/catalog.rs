//! The catalog of finding codes: the source of severities and hints, of `explain` and of `docs/findings.md`.

use serde::Serialize;

use super::finding::Severity;

/// The catalog entry of a code.
#[derive(Clone, Copy, Debug)]
pub struct FindingSpec {
    /// `OQ301`.
    pub code: &'static str,
    pub severity: Severity,
    pub title: &'static str,
    /// Meaning and cause.
    pub meaning: &'static str,
    /// How to resolve it.
    pub remedy: &'static str,
    /// A command to copy, in which `{namespace}` is replaced. Empty if no command helps.
    pub hint: &'static str,
}

macro_rules! codes {
    ($($variant:ident $code:literal $severity:ident $title:literal, $meaning:literal, $remedy:literal, $hint:literal;)*) => {
        /// Stable; codes are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $title] $variant,)* }

        impl Code {
            /// In order.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            pub fn entry(self) -> FindingSpec {
                match self {
                    $(Code::$variant => FindingSpec {
                        code: $code, severity: Severity::$severity, title: $title, meaning: $meaning, remedy: $remedy, hint: $hint,
                    },)*
                }
            }
        }
    };
}

impl Code {
    /// `OQ301`.
    pub fn as_str(self) -> &'static str {
        self.entry().code
    }

    /// Whether it prevents changes in Quay for all namespaces.
    pub fn stops_changes(self) -> bool {
        matches!(
            self,
            Code::TokenRejected
                | Code::UserLacksPermission
                | Code::TokenLacksScope
                | Code::QuayUnreachable
                | Code::QuayReadOnly
                | Code::CertificateUntrusted
                | Code::RobotsDisallowed
        )
    }

    /// Page and anchor of its documentation.
    pub fn docs(self) -> String {
        format!("docs/findings.md#{}", self.as_str().to_lowercase())
    }

    /// Whether repair changes nothing in a namespace with this finding.
    pub fn blocks_repair(self) -> bool {
        use Code::*;
        matches!(
            self,
            OrganizationNameImpossible
                | OrganizationNotAdministered
                | OrganizationOfAnotherCluster
                | OrganizationOfFormerNamespace
                | OrganizationNotProven
        )
    }

    /// Parses `OQ301`, in upper or lower case.
    pub fn parse(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text.trim()))
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

codes! {
    NoIntegration "OQ101" Error "No QuayIntegration",
        "The cluster has no QuayIntegration resource, so neither the operator nor this plugin knows which Quay to use.",
        "Set up the integration, or specify the Quay by flags: --quay-url, --quay-token-file and --cluster-id.",
        "oc quay setup";
    MultipleIntegrations "OQ102" Error "Multiple QuayIntegrations found",
        "The operator does nothing while there are two or more QuayIntegration resources, since it is ambiguous which one applies.",
        "Delete all but one. Organizations and images are not affected.",
        "oc get quayintegrations.quay.redhat.com";
    HostnameWithoutScheme "OQ103" Error "The Quay hostname has no scheme",
        "spec.quayHostname must be a URL. Without https:// the operator sees no host at all: its calls fail, and secrets and image names come out empty.",
        "Add https:// to it.",
        "oc edit quayintegrations.quay.redhat.com";
    HostnameWithPath "OQ104" Warning "The Quay hostname has a path",
        "Only the scheme and the host of spec.quayHostname are used. The path is ignored, here and in image names.",
        "Remove the path.",
        "oc edit quayintegrations.quay.redhat.com";
    HostnamePlainHttp "OQ105" Warning "Quay is accessed over plain http",
        "Tokens and images are sent unencrypted, and OpenShift does not pull from it unless it is an insecure registry.",
        "Use https://.",
        "oc edit quayintegrations.quay.redhat.com";
    ClusterIdImpossible "OQ106" Error "Cluster ID produces invalid names",
        "Organizations are named after the lower-cased cluster ID, secrets after the ID as written. Capitals and underscores produce Secret names that Kubernetes rejects. Other characters produce organization names that Quay rejects.",
        "Use lower-case letters, digits and single hyphens. A changed ID means new organizations: existing images are kept under the old name.",
        "oc edit quayintegrations.quay.redhat.com";
    CredentialsMissing "OQ107" Error "The token for Quay is missing",
        "The Secret that the QuayIntegration references, or the key in it, does not exist or is empty. Quay cannot be used without a token.",
        "Run setup again. It asks for a token, stores it there, and does not change existing settings.",
        "oc quay setup";
    CredentialsUnreadable "OQ108" Info "No permission to read the Quay token",
        "You are not allowed to read the Secret with the token, as is usual in a project. Your project is checked, but not compared with Quay.",
        "Use --probe to check whether the registry accepts the credentials in your project. To check the rest, pass a token of your own with --quay-token-file. Do not ask for the stored token: it has admin permission on every organization.",
        "oc quay status --probe -n {namespace}";
    TokenRejected "OQ109" Error "Quay rejected the token",
        "The token is invalid: it was revoked, has expired, or its application or user was deleted. Quay answers the same to a token without any read scope.",
        "Run setup again. It asks for a new token and replaces the rejected one.",
        "oc quay setup";
    UserLacksPermission "OQ110" Error "Token user lacks a required permission",
        "This Quay lets only superusers create organizations (FEATURE_SUPERUSERS_ORG_CREATION_ONLY or FEATURE_RESTRICTED_USERS), and the token's user is not a superuser. Quay 3.12 with FEATURE_RESTRICTED_USERS rejects superusers too, unless RESTRICTED_USERS_WHITELIST names them.",
        "Use a superuser's token, or ask a superuser to create the organization and make your user its owner. In Quay 3.12, ask for an entry of the user in RESTRICTED_USERS_WHITELIST.",
        "";
    TokenLacksScope "OQ111" Error "The token lacks a scope",
        "The token's user has the permission, but the token was issued without the scope: org:admin for robot accounts and default permissions, user:admin to create organizations, repo:create for repositories, repo:admin for permissions on them.",
        "Issue a token with the scopes in the documentation of the operator.",
        "";
    QuayUnreachable "OQ112" Error "Quay cannot be reached",
        "There was no response. The message names the stage that failed: name resolution, connection, TLS, or HTTP.",
        "Check the URL, the proxies (HTTPS_PROXY, NO_PROXY) and that Quay is running.",
        "oc quay version";
    QuayReadOnly "OQ113" Warning "Quay is read-only",
        "Quay is in its read-only mode (registry_state: readonly): pulls work, and every change is rejected with 503.",
        "Wait until the maintenance has ended, then run repair.",
        "oc quay version";
    CertificateUntrusted "OQ114" Error "Quay's certificate is not trusted",
        "The certificate of Quay was not issued by an authority that this computer trusts, or is not for this host name.",
        "Give the authority's certificate with --quay-ca-file or OC_QUAY_CA_FILE; oc quay setup stores it with the token, where every command finds it.",
        "oc quay status --quay-ca-file CA.crt";
    VerificationOff "OQ115" Warning "TLS verification is disabled",
        "insecureRegistry is true, or --insecure was given: the token and the images can be intercepted.",
        "Trust Quay's certificate authority instead, with --quay-ca-file, and set insecureRegistry to false.",
        "";
    KeyIgnoredByOperator "OQ116" Info "The operator ignores the custom key",
        "spec.credentialsSecret.key names a key other than token. This plugin uses that key. The operator only checks that it exists, and reads the key token.",
        "If the operator is in use, store the token under the key token.",
        "";
    TokenOfAnotherQuay "OQ117" Unknown "The stored token is for another Quay",
        "A flag or an environment variable sets another Quay than the QuayIntegration. The token in the Secret is not sent there, so that Quay could not be checked.",
        "Pass a token for that Quay, or omit its URL.",
        "oc quay status --quay-token-file FILE";
    PullsNotAllowed "OQ118" Error "The cluster's image policy does not allow Quay",
        "spec.registrySources of the Image cluster (config.openshift.io) has Quay in blockedRegistries, or has allowedRegistries without it. Nodes cannot pull from it, and builds cannot push to it.",
        "Add Quay to the allowed registries, or remove it from the blocked ones. The nodes restart one after another.",
        "oc edit images.config.openshift.io cluster";
    ImportsNotAllowed "OQ119" Error "Imports from Quay are not allowed",
        "spec.allowedRegistriesForImport of the Image cluster (config.openshift.io) has registries, but not Quay. The API server rejects image streams and imports that reference it.",
        "Add Quay to the list, with its port if it has one.",
        "oc edit images.config.openshift.io cluster";
    OutOfScope "OQ120" Info "The namespace is out of scope",
        "The namespace lists of the QuayIntegration exclude it, so it is not linked.",
        "Link it if needed.",
        "oc quay link -n {namespace}";
    NamespaceMissing "OQ121" Error "No such namespace",
        "The namespace does not exist in this cluster.",
        "Check the name and the current context.",
        "oc get projects";
    AwaitsAnnotations "OQ122" Info "OpenShift is still preparing the namespace",
        "OpenShift adds the annotations openshift.io/sa.scc.* to a new project within seconds, and the operator waits for them.",
        "Retry in a few seconds.",
        "oc quay status -n {namespace}";
    StuckInTerminating "OQ123" Error "Namespace stuck in Terminating",
        "It was deleted, but the operator's finalizer quay.redhat.com/quayintegrations, or the controller's oc-quay/organization, was not removed. That happens when the operator, or the controller, was removed or cannot work.",
        "`repair` removes the finalizer. The organization and its images are kept.",
        "oc quay repair -n {namespace}";
    CarriesOperatorFinalizer "OQ124" Info "Deleting this namespace deletes its Quay organization",
        "The namespace has the finalizer of the operator or of the controller. When it is deleted, the operator deletes its organization in Quay with every image. The controller does so only if oc quay created the organization.",
        "Unlink the namespace before deleting it to keep the images.",
        "oc quay unlink -n {namespace}";
    PlainHttpRejected "OQ125" Error "Quay's URL is plain http",
        "spec.quayHostname begins with http://, and no setting allows that. The token would be sent unencrypted, so Quay is not called.",
        "Use https://. If Quay has no certificate, accept the risk with insecureRegistry: true in the QuayIntegration, or with --insecure.",
        "oc edit quayintegrations.quay.redhat.com";
    PlatformNamespace "OQ126" Info "Reserved platform namespace",
        "Namespaces such as default, openshift-* and kube-* are not linked unless they are on the allowlist of the QuayIntegration.",
        "No action needed. Use oc quay link --force to link it anyway.",
        "";
    TokenUnusable "OQ127" Error "The stored token is invalid",
        "The value in the Secret that the QuayIntegration references contains spaces, line breaks or other characters that no token has. A manifest with a placeholder might have replaced the token.",
        "Run setup again. It asks for a token and stores it there. Keep the Secret out of manifests.",
        "oc quay setup";
    ControllerDown "OQ128" Warning "The Deployment of a build webhook is unavailable",
        "The operator or the controller registered a build webhook, and its Deployment has no available pod. Namespaces are not linked automatically, and new builds are rejected or pushed elsewhere.",
        "Check why no pod is available. The Deployment might be scaled to 0.",
        "oc get deployments -n openshift-operators";
    OrganizationMissing "OQ201" Error "The organization is missing",
        "Quay has no organization for this namespace.",
        "`repair` creates it.",
        "oc quay repair -n {namespace}";
    OrganizationNameImpossible "OQ202" Error "Namespace name is not a valid organization name",
        "Quay rejects doubled, leading and trailing separators in organization names, so a namespace with -- in its name cannot have an organization.",
        "Use another namespace name, or exclude it from the integration.",
        "oc quay unlink -n {namespace}";
    OrganizationNotAdministered "OQ203" Error "No admin permission on the organization",
        "The organization exists, but the token's user is not one of its owners. It was created by another user, or with another user's token.",
        "Make the user an owner, or adopt it as a superuser.",
        "oc quay repair --adopt -n {namespace}";
    OrganizationOfAnotherCluster "OQ204" Error "Organization belongs to another cluster",
        "Its robot accounts were created for another cluster: two clusters use the same cluster ID with one Quay. If both used the organization, their images would be mixed, and deleting one namespace would delete the images of the other.",
        "Change the cluster ID of one of the clusters. If the other cluster no longer exists, adopt the organization.",
        "oc quay repair --adopt -n {namespace}";
    OrganizationOfFormerNamespace "OQ205" Error "Organization belongs to a previous namespace of this name",
        "Its robot accounts were created for a namespace that was deleted since, or lost and restored, and its images were kept. Namespace names can be reused by other users, so the name alone gives no access to these images.",
        "If the organization belongs to the namespace, adopt it. If not, use another namespace name, or ask Quay's administrator to delete or rename the organization.",
        "oc quay repair --adopt -n {namespace}";
    OrganizationNotProven "OQ206" Error "Ownership of the organization cannot be verified",
        "The organization exists and has no ownership mark. The namespace does not have the current token of its robot account builder, so no link with the organization can be verified. Another user might have created the organization before the namespace, and could read every image that is pushed there.",
        "If the organization belongs to the namespace, adopt it. If not, use another namespace name, or ask Quay's administrator to delete or rename the organization.",
        "oc quay repair --adopt -n {namespace}";
    RobotNotProven "OQ207" Error "Ownership of a robot account cannot be verified",
        "The organization has a robot account with the name of a linked service account. It has no ownership mark, and the namespace does not have its token. Its token is not stored in the namespace, and its permissions are not changed.",
        "If it belongs to the service account, adopt it. If not, link a service account with another name.",
        "oc quay repair --adopt -n {namespace}";
    RobotMissing "OQ211" Error "A robot account is missing",
        "A linked service account has no robot account in the organization.",
        "`repair` creates it.",
        "oc quay repair -n {namespace}";
    RobotsDisallowed "OQ212" Error "Quay does not allow robot accounts",
        "ROBOTS_DISALLOW is set in Quay's configuration, so no robot account can be created.",
        "Ask Quay's administrator to unset it, or to add the robot accounts to ROBOTS_WHITELIST.",
        "";
    RobotNameImpossible "OQ213" Error "Service account name is not a valid robot account name",
        "Robot accounts are named after their service accounts, but Quay rejects doubled separators and names of one letter.",
        "Link a service account with another name.",
        "";
    QuotaNearlyUsedUp "OQ216" Warning "The organization's quota is nearly used up",
        "Four fifths of the quota are used. At the limit Quay rejects pushes.",
        "Delete images that are not needed, or ask Quay's administrator for a larger quota.",
        "";
    QuotaUsedUp "OQ217" Error "The organization's quota is used up",
        "The organization uses its whole quota, and Quay rejects pushes to it. Pulls work. Bytes of rejected pushes count until Quay's garbage collection.",
        "Delete images that are not needed, or ask Quay's administrator for a larger quota.",
        "";
    DefaultPermissionMissing "OQ221" Error "A default permission is missing",
        "The robot account gets no permission on repositories that are created later.",
        "`repair` creates it.",
        "oc quay repair -n {namespace}";
    DefaultPermissionWrongRole "OQ222" Error "A default permission has the wrong role",
        "The robot account gets the wrong permission on repositories that are created later.",
        "`repair` changes it.",
        "oc quay repair -n {namespace}";
    DefaultPermissionDuplicated "OQ223" Warning "Duplicate default permissions",
        "Quay does not check for duplicates. It is undefined which of them applies to a new repository.",
        "`repair` deletes the duplicates.",
        "oc quay repair -n {namespace}";
    SecretMissing "OQ301" Error "A pull secret is missing",
        "The service account's secret with the credentials for Quay does not exist, so its pods and builds cannot log in.",
        "`repair` creates it.",
        "oc quay repair -n {namespace}";
    SecretWrongType "OQ302" Error "Pull secret has the wrong type",
        "The secret is not of type kubernetes.io/dockerconfigjson, so neither pods nor builds use it. A secret's type is immutable.",
        "`repair` replaces it if oc quay created it, otherwise only with --adopt.",
        "oc quay repair --adopt -n {namespace}";
    SecretUnreadable "OQ303" Error "Pull secret has invalid content",
        "The secret does not contain a docker configuration with credentials.",
        "`repair` rewrites it.",
        "oc quay repair -n {namespace}";
    SecretWrongHost "OQ304" Error "Pull secret is for a different registry",
        "The secret has no credentials for the host of this Quay, so it is not used for its images.",
        "`repair` rewrites it.",
        "oc quay repair -n {namespace}";
    SecretWrongRobot "OQ305" Error "Pull secret holds another account's credentials",
        "The credentials in the secret are not those of the service account's robot account.",
        "`repair` rewrites it.",
        "oc quay repair -n {namespace}";
    SecretTokenStale "OQ306" Error "Pull secret holds a stale token",
        "The robot account's token was replaced in Quay, and the secret still holds the previous one, so logging in fails.",
        "`repair` stores the current token in it.",
        "oc quay repair -n {namespace}";
    TokenNotReadable "OQ307" Unknown "Robot token not readable",
        "Quay lists the robot account without its token, as it does for read-only superusers and, in newer releases, for superusers who do not own the organization. It is unknown whether the secret holds the current one.",
        "Use --probe, which logs in to the registry with the credentials in the secret.",
        "oc quay status --probe -n {namespace}";
    RivalSecret "OQ308" Warning "Another pull secret for this registry takes precedence",
        "Imports use every pull secret of the namespace, in the order of their names, linked or not. If an earlier secret has credentials for the same host without permission to read the image, the import fails with 401.",
        "Delete or rename that secret, or correct its credentials.",
        "oc get secrets -n {namespace} --field-selector type=kubernetes.io/dockerconfigjson";
    TokenNotRenewed "OQ309" Error "A token was not renewed",
        "--rotate renews a token only together with the secret that holds it, since the previous token becomes invalid immediately. Here the secret or the organization could not be read, or you are not allowed to write the secret. The tokens are unchanged.",
        "See the finding's message, then rotate again.",
        "oc quay repair --rotate -n {namespace}";
    ServiceAccountMissing "OQ311" Warning "A service account is missing",
        "OpenShift creates default, builder and deployer in every namespace. builder and deployer are missing where the Build or DeploymentConfig capability is disabled.",
        "No action needed without builds or deployments. Otherwise create the service account and run repair.",
        "oc get serviceaccounts -n {namespace}";
    SecretNotMountable "OQ312" Error "Secret not listed in the service account's `secrets`",
        "Builds look for push credentials in the service account's secrets, and the secret is not listed there.",
        "`repair` adds it. Other entries of the list are kept.",
        "oc quay repair -n {namespace}";
    SecretNotPullSecret "OQ313" Error "Secret not listed in the service account's `imagePullSecrets`",
        "Pods of the service account pull without the credentials for Quay.",
        "`repair` adds it. Other entries of the list are kept.",
        "oc quay repair -n {namespace}";
    RoleAnnotationInvalid "OQ314" Warning "Invalid role annotation on service account",
        "Its annotation oc-quay/role must be read, write or admin.",
        "Link it again with a valid role.",
        "oc quay link --service-account default=read -n {namespace}";
    SecretEntryUndecodable "OQ315" Error "Pull secret has an entry that nodes cannot decode",
        "The secret has an entry for another registry whose auth is not the base64 of user:password. Nodes then use no entry of the secret, and pods fail to pull. `repair` keeps the entry, since it was added by others.",
        "Correct or remove that entry.",
        "oc get secrets -n {namespace} --field-selector type=kubernetes.io/dockerconfigjson";
    TooManyAccounts "OQ316" Error "Too many linked service accounts in the namespace",
        "At most 50 service accounts of a namespace are linked: the default three, then those requested with link, then by name. Each needs a robot account, and a permission on every repository.",
        "Remove the annotation oc-quay/role from service accounts that need no credentials of their own.",
        "oc get serviceaccounts -n {namespace} -o yaml";
    PodWaits "OQ317" Error "A pod cannot pull its image from Quay",
        "A pod gets the pull secrets of its service account when it is created, and only if its spec has none. A pod has no credentials for Quay if it was created before the link, has pull secrets of its own, or runs under a service account that is not linked.",
        "See the finding's message. Restart the workload of the pod, or link its service account.",
        "oc get pods -n {namespace}";
    SecretKept "OQ318" Warning "Secret kept: it holds credentials for other registries",
        "Others have added credentials for further registries to the pull secret. Deleting the secret when the namespace is unlinked would delete those, so the secret and the references to it are kept. A secret whose name ends in -spare is a copy from an interrupted replacement of a secret of the wrong type. It is kept while it might hold the only copy of such credentials.",
        "Remove the credentials for Quay from the secret, or delete the secret. If it is a copy, move the missing entries into the secret, then delete the copy.",
        "oc get secrets -n {namespace} --field-selector type=kubernetes.io/dockerconfigjson";
    ServiceAccountOfOthers "OQ319" Warning "Service account is managed by another controller",
        "A GitOps tool or another controller owns the service account, whose lists lack the secret. It might remove the secret each time that it is added.",
        "Add the secret to secrets and imagePullSecrets in the source of the service account.",
        "oc get serviceaccounts -o yaml -n {namespace}";
    CredentialsRejected "OQ321" Error "Registry rejected the secret's credentials",
        "Logging in with the credentials in the secret failed.",
        "`repair` compares them with the robot account's current token. If they are equal, replace the token with --rotate.",
        "oc quay repair -n {namespace}";
    RepositoryMissing "OQ401" Error "A repository is missing",
        "An image stream, or one that a BuildConfig pushes to, has no repository in Quay. The builder's robot account is \
         not allowed to create one by pushing.",
        "`repair` creates it as a private repository.",
        "oc quay repair -n {namespace}";
    RepositoryNameImpossible "OQ402" Warning "Image stream name is not a valid repository name",
        "Repository names in Quay start with a lower-case letter or a digit and contain only those, _, . and -.",
        "Rename the image stream.",
        "";
    RobotWithoutPermission "OQ403" Error "Robot account has no permission on a repository",
        "Default permissions apply only to repositories that are created later. Earlier repositories need a permission of their own.",
        "`repair` grants it.",
        "oc quay repair -n {namespace}";
    RobotPermissionTooLow "OQ404" Error "Robot account has insufficient permission on a repository",
        "The registry grants less than the role of the robot account: a builder is not allowed to push, for example.",
        "`repair --probe` grants the role.",
        "oc quay repair --probe -n {namespace}";
    RepositoryWithoutImageStream "OQ405" Info "A repository has no image stream",
        "The organization has a repository without an image stream of the same name: it was pushed manually, or its image stream was deleted.",
        "No action needed. oc quay never deletes it.",
        "";
    ImportFailed "OQ406" Warning "The import of a tag failed",
        "OpenShift failed to import the image. The image stream is not updated from Quay until an import succeeds.",
        "See the finding's message. Common causes: credentials, another pull secret, the certificate, or a missing image.",
        "oc describe imagestreams -n {namespace}";
    TooManyRepositories "OQ407" Error "Too many repositories for the namespace",
        "At most 1000 image streams of a namespace get a repository, in the order of their names.",
        "Split the namespace, or annotate image streams that need no repository with oc-quay/repository=false.",
        "oc get imagestreams -n {namespace}";
    SeveralRewriters "OQ501" Warning "Multiple build webhooks registered",
        "The operator's webhook and that of oc quay run are both registered. They push to the same images, but differ in the builds that they reject and import.",
        "Remove one of them: the operator, or the controller.",
        "oc get mutatingwebhookconfigurations";
    WebhookUnreachable "OQ502" Error "Build webhook unreachable",
        "The API server cannot call a registered build webhook. If the webhook fails closed, as the operator's does, every build in the cluster is rejected.",
        "Check that its pods are running and that its certificate matches the caBundle. As a workaround, delete the MutatingWebhookConfiguration.",
        "oc get mutatingwebhookconfigurations";
    BuildToInternalRegistry "OQ505" Warning "BuildConfig pushes to the internal registry",
        "No webhook rewrites its builds and its output is not in Quay, so its images are pushed to the internal registry.",
        "Rewrite it to push to Quay, or run a controller that rewrites builds.",
        "oc quay builds rewrite -n {namespace}";
    BuildGoesNowhere "OQ506" Error "Build output cannot be resolved",
        "Its output is an image stream without a repository in the internal registry, since that registry is disabled or the image stream is missing. Builds wait in phase New with the reason InvalidOutputReference.",
        "Rewrite it to push to Quay, or run a controller that rewrites builds. A build that is waiting already is not changed: cancel it and start a new one.",
        "oc quay builds rewrite -n {namespace}";
    BuildRejected "OQ507" Error "Operator webhook rejects builds",
        "The operator rejects every build of a namespace whose builder has no secret for Quay yet, and crashes on builds without output.",
        "Repair the namespace, or add an output to the BuildConfig.",
        "oc quay repair -n {namespace}";
    BuildStuck "OQ508" Error "Build stuck: webhook modifies its immutable spec",
        "It was created before its namespace came into scope. On each status update the operator's webhook rewrites its spec, and the update is rejected. It cannot be cancelled either.",
        "Delete it and start a new one.",
        "oc get builds -n {namespace}";
    OrganizationOfAnotherNamespace "OQ509" Warning "Build output belongs to another namespace's organization",
        "Its output is an image stream of another namespace. Robot accounts have no permission on repositories of other organizations, so the credentials of this namespace cannot push there.",
        "Set a pushSecret with the credentials of a robot account of that organization, or push here and tag the image into the other namespace.",
        "oc quay builds -n {namespace}";
    RewritingOutdated "OQ510" Warning "Rewritten BuildConfig points to an new_image location",
        "It was rewritten to push to Quay, but the URL of Quay or the cluster ID has changed since.",
        "Rewrite it again.",
        "oc quay builds rewrite -n {namespace}";
    OutputUnchanged "OQ511" Info "BuildConfig output not changed",
        "It has no image that belongs in Quay, or pushes there already.",
        "No action needed.",
        "";
    OutputNotOurs "OQ512" Error "The output of a BuildConfig cannot be changed",
        "The requested change is not possible: the BuildConfig is managed by another tool, its image name is invalid in Quay, or no credentials are allowed to push it.",
        "See the finding's message.",
        "oc quay builds -n {namespace}";
    PushSecretMissing "OQ513" Error "BuildConfig references a missing push secret",
        "It pushes to Quay with a secret that does not exist. Its builds wait for the secret, or fail to push.",
        "`repair` creates the secrets of linked service accounts. Otherwise set another secret, or restore the original output of the BuildConfig.",
        "oc quay repair -n {namespace}";
    TagNotImported "OQ521" Warning "Built image was not imported",
        "A build pushed its image to Quay, but its image stream tag never had that image: it was not imported, or the import failed.",
        "Import it.",
        "oc quay import --missing -n {namespace}";
    TagBehindQuay "OQ522" Warning "Image stream tag is out of date",
        "The tag tracks Quay, and another image was pushed there since the last import. OpenShift imports again only on request, or every 15 minutes if the tag is scheduled.",
        "Import it.",
        "oc quay import --missing -n {namespace}";
    TagGone "OQ523" Warning "Tracked tag was deleted in Quay",
        "The tag was never pushed to Quay, was deleted, or has expired there. If the image stream has an image of it, that can be pulled only until Quay deletes it.",
        "Push the tag again, or delete it from the image stream.",
        "oc describe imagestreams -n {namespace}";
    TagOfOthers "OQ524" Info "Tag is not managed from Quay",
        "Quay has a tag of this name, but the tag of the image stream tracks another source or was pushed to the internal registry. An import would replace its image, so only tags that are specified by name are imported.",
        "No action needed. To replace the image, import the tag by name.",
        "";
    TagPushedOver "OQ525" Warning "Tag that tracks Quay has an image of the internal registry",
        "The tag tracks Quay, but its newest image was pushed to the internal registry, so pods pull that one. It might be newer than Quay's, so it is replaced only if the tag is specified by name. If the tag is scheduled, OpenShift replaces it within 15 minutes.",
        "Push the image to Quay, or import the tag by name.",
        "oc describe imagestreams -n {namespace}";
    CouldNotRead "OQ901" Unknown "Could not be checked",
        "A request failed or was rejected, so the state of this part is unknown. Repair changes only parts whose state is known.",
        "Try again. If a permission is missing, the finding has the command for a cluster administrator that grants it.",
        "oc quay status -n {namespace}";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(codes.is_sorted(), "{codes:?}");
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
    }

    #[test]
    fn every_code_reads_back() {
        for &code in Code::ALL {
            assert_eq!(Code::parse(&code.as_str().to_lowercase()), Some(code));
        }
        assert_eq!(Code::parse("OQ000"), None);
    }
}
