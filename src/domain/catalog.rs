//! The table of finding codes: the one source of the findings' severities and hints, of `explain` and of
//! `docs/findings.md`.

use serde::Serialize;

use super::finding::Severity;

/// The entry of a code in the table.
#[derive(Clone, Copy, Debug)]
pub struct FindingSpec {
    /// `OQ301`.
    pub code: &'static str,
    /// The severity every finding of this code has.
    pub severity: Severity,
    /// A few words.
    pub title: &'static str,
    /// What it means and how it comes about.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// A command to copy; `{namespace}` stands for the namespace. Empty if no command helps.
    pub hint: &'static str,
}

macro_rules! codes {
    ($($variant:ident $code:literal $severity:ident $title:literal, $meaning:literal, $remedy:literal, $hint:literal;)*) => {
        /// A stable finding code. Codes are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $title] $variant,)* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// Its entry in the table.
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

    /// Whether it stands in the way of changes in Quay, whichever namespace they are for.
    pub fn stops_changes(self) -> bool {
        matches!(
            self,
            Code::TokenRefused
                | Code::UserLacksRight
                | Code::TokenLacksScope
                | Code::QuayUnreachable
                | Code::QuayReadOnly
                | Code::CertificateUntrusted
                | Code::RobotsDisallowed
        )
    }

    /// The page and heading that explain it.
    pub fn docs(self) -> String {
        format!("docs/findings.md#{}", self.as_str().to_lowercase())
    }

    /// Whether repair does nothing in a namespace with this finding, so that its other findings stay too.
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

    /// The code written `OQ301`, in any case.
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
        "Set the integration up, or name the Quay by flags: --quay-url, --quay-token-file and --cluster-id.",
        "oc quay setup";
    MultipleIntegrations "OQ102" Error "More than one QuayIntegration",
        "The operator does nothing at all while there are two or more QuayIntegration resources, and nobody can say which one is meant.",
        "Delete all but one. Organizations and images are not touched by that.",
        "oc get quayintegrations.quay.redhat.com";
    HostnameWithoutScheme "OQ103" Error "The Quay hostname has no scheme",
        "spec.quayHostname must be a URL. Without https:// the operator sees no host at all: its calls fail, and secrets and image names come out empty.",
        "Put https:// in front of it.",
        "oc edit quayintegrations.quay.redhat.com";
    HostnameWithPath "OQ104" Warning "The Quay hostname has a path",
        "Only the scheme and the host of spec.quayHostname are used; what follows is ignored, here and in image names.",
        "Leave the path out.",
        "oc edit quayintegrations.quay.redhat.com";
    HostnamePlainHttp "OQ105" Warning "Quay is addressed over plain http",
        "Tokens and images travel unprotected, and OpenShift refuses to pull from it unless it is an insecure registry.",
        "Use https://.",
        "oc edit quayintegrations.quay.redhat.com";
    ClusterIdImpossible "OQ106" Error "The cluster ID gives impossible names",
        "Organizations are named after the lower-cased cluster ID, secrets after the ID as written. Capitals and underscores give valid organizations but secrets that Kubernetes refuses; other characters give organizations that Quay refuses.",
        "Use lower-case letters, digits and single hyphens. A changed ID means new organizations: existing images stay under the old name.",
        "oc edit quayintegrations.quay.redhat.com";
    CredentialsMissing "OQ107" Error "The token for Quay is missing",
        "The Secret that the QuayIntegration names, or the key in it, does not exist or is empty. Without a token nothing can be done in Quay.",
        "Set the integration up again: it asks for a token and stores it there, and leaves alone what is fine.",
        "oc quay setup";
    CredentialsUnreadable "OQ108" Info "The token for Quay is for administrators",
        "You are not allowed to read the Secret with the token, as is usual in a project. What Quay holds is not compared; what your project holds is.",
        "With --probe the registry itself says whether it accepts the logins in your project. A token of your own, given with --quay-token-file, shows the rest. Do not ask for the stored token: it administers every organization.",
        "oc quay status --probe -n {namespace}";
    TokenRefused "OQ109" Error "Quay refuses the token",
        "Quay does not know the token: it was revoked, has expired, or its application or user is gone. (Quay answers the same to a token without any scope that reads.)",
        "Set the integration up again: it asks for a new token and puts it in the place of the one that is refused.",
        "oc quay setup";
    UserLacksRight "OQ110" Error "The token's user lacks a right",
        "This Quay lets only superusers create organizations (FEATURE_SUPERUSERS_ORG_CREATION_ONLY or FEATURE_RESTRICTED_USERS), and the token's user is none. Quay 3.12 with FEATURE_RESTRICTED_USERS refuses superusers too, unless RESTRICTED_USERS_WHITELIST names them.",
        "Use a superuser's token, or have the organization created by one and your user made its owner. In Quay 3.12, have the user put on RESTRICTED_USERS_WHITELIST.",
        "";
    TokenLacksScope "OQ111" Error "The token lacks a scope",
        "The token's user has the right, but the token was made without the scope: org:admin for robot accounts and default permissions, user:admin to create organizations, repo:create for repositories, repo:admin for rights on them.",
        "Make a token with the scopes named in the documentation of the operator.",
        "";
    QuayUnreachable "OQ112" Error "Quay cannot be reached",
        "No answer came. The message says at which step it stopped: the name, the connection, TLS, or HTTP.",
        "Check the address, proxies (HTTPS_PROXY, NO_PROXY) and that Quay runs.",
        "oc quay version";
    QuayReadOnly "OQ113" Warning "Quay is read-only",
        "Quay is in its read-only mode (registry_state: readonly): pulls work, every change is refused with 503.",
        "Wait until the maintenance is over, then repair.",
        "oc quay version";
    CertificateUntrusted "OQ114" Error "Quay's certificate is not trusted",
        "The certificate that Quay shows was not issued by an authority this computer trusts, or is not for this name.",
        "Give the authority's certificate with --quay-ca-file or OC_QUAY_CA_FILE; oc quay setup stores it beside the token, where every command finds it.",
        "oc quay status --quay-ca-file CA.crt";
    VerificationOff "OQ115" Warning "Certificates are not verified",
        "insecureRegistry is true, or --insecure was given: anybody on the way can read the token and the images.",
        "Trust Quay's certificate authority instead, with --quay-ca-file, and set insecureRegistry to false.",
        "";
    KeyIgnoredByOperator "OQ116" Info "The operator ignores the custom key",
        "spec.credentialsSecret.key names a key other than token. This plugin honors it; the operator checks that it exists and then reads token all the same.",
        "If the operator is in use, keep the token under the key token.",
        "";
    TokenOfAnotherQuay "OQ117" Unknown "The stored token is for another Quay",
        "A flag or an environment variable names another Quay than the QuayIntegration. The token in the Secret is not sent there, so nothing in that Quay could be checked.",
        "Give a token for that Quay, or leave its address out.",
        "oc quay status --quay-token-file FILE";
    PullsNotAllowed "OQ118" Error "The cluster's image policy does not allow the Quay",
        "spec.registrySources of the Image cluster (config.openshift.io) has the Quay among its blockedRegistries, or has allowedRegistries without it. Nodes pull nothing from it, and builds cannot push to it.",
        "Put the Quay on the list of allowed registries, or take it off the list of blocked ones. The nodes restart one after another.",
        "oc edit images.config.openshift.io cluster";
    ImportsNotAllowed "OQ119" Error "Imports from the Quay are not allowed",
        "spec.allowedRegistriesForImport of the Image cluster (config.openshift.io) has registries, and the Quay is not one of them. The API server refuses image streams and imports that name it.",
        "Add the Quay to the list, with its port if it has one.",
        "oc edit images.config.openshift.io cluster";
    OutOfScope "OQ120" Info "The namespace is out of scope",
        "The namespace lists of the QuayIntegration, or its name, exclude it, so it is not linked.",
        "Link it, if it should be.",
        "oc quay link -n {namespace}";
    NamespaceMissing "OQ121" Error "No such namespace",
        "The namespace does not exist in this cluster.",
        "Check the name and the context.",
        "oc get projects";
    AwaitsAnnotations "OQ122" Info "OpenShift is still preparing the namespace",
        "A new project gets its annotations openshift.io/sa.scc.* after a moment; the operator waits for them.",
        "Look again in a few seconds.",
        "oc quay status -n {namespace}";
    HangsOnFinalizer "OQ123" Error "The namespace hangs on a finalizer",
        "It was deleted, but the operator's finalizer quay.redhat.com/quayintegrations, or the bridge's oc-quay/organization, was not taken off, so it stays Terminating. That happens when the operator, or the bridge, is gone or cannot work.",
        "Repair takes the finalizer off. The organization and its images stay.",
        "oc quay repair -n {namespace}";
    CarriesOperatorFinalizer "OQ124" Info "Deleting the namespace deletes its images",
        "The namespace carries the operator's finalizer, or the bridge's: when it is deleted, the operator deletes the whole organization in Quay with it, with every image. The bridge does so only where oc quay created the organization.",
        "Unlink the namespace before deleting it if the images shall stay.",
        "oc quay unlink -n {namespace}";
    PlainHttpRefused "OQ125" Error "Quay's address is plain http",
        "spec.quayHostname begins with http://, and nothing allows that. The token would travel unprotected, so Quay is not asked.",
        "Use https://. Where the Quay has no certificate, insecureRegistry: true in the QuayIntegration, or --insecure, accepts the risk.",
        "oc edit quayintegrations.quay.redhat.com";
    PlatformNamespace "OQ126" Info "The namespace belongs to the platform",
        "Namespaces such as default, openshift-* and kube-* are not linked unless the allowlist of the QuayIntegration names them.",
        "Nothing needs doing. oc quay link --force links one nevertheless.",
        "";
    TokenUnusable "OQ127" Error "The stored token cannot be one",
        "The Secret that the QuayIntegration names holds something else under the key: with spaces, line breaks or characters that no token has. A manifest with a placeholder may have been applied over the token.",
        "Set the integration up again: it asks for a token and stores it there. Keep the Secret out of manifests.",
        "oc quay setup";
    ControllerDown "OQ128" Warning "Nothing runs behind a webhook for builds",
        "The operator or the bridge registered a webhook for builds, and its Deployment has no pod that works. Namespaces are not linked automatically, and new builds are refused or pushed elsewhere.",
        "See why its pods do not run; a Deployment that was scaled to 0 has none.",
        "oc get deployments -n openshift-operators";
    OrganizationMissing "OQ201" Error "The organization is missing",
        "Quay has no organization for this namespace.",
        "Repair creates it.",
        "oc quay repair -n {namespace}";
    OrganizationNameImpossible "OQ202" Error "The namespace gives no possible organization name",
        "Quay refuses doubled, leading and trailing separators in organization names, so a namespace with -- in its name can never have one.",
        "Use another namespace name, or exclude it from the integration.",
        "oc quay unlink -n {namespace}";
    OrganizationNotAdministered "OQ203" Error "The organization is not ours to administer",
        "The organization exists, but the token's user is not one of its owners. Somebody else made it, or it was made with another user's token.",
        "Have the user made an owner of it, or take it over as a superuser.",
        "oc quay repair --adopt -n {namespace}";
    OrganizationOfAnotherCluster "OQ204" Error "Another cluster marked the organization",
        "Its robot accounts were made for another cluster: two clusters use the same cluster ID with one Quay. Working on it from both would mix their images, and deleting one namespace would delete the other's.",
        "Give one of the clusters another cluster ID. If the other cluster is gone, adopt the organization.",
        "oc quay repair --adopt -n {namespace}";
    OrganizationOfFormerNamespace "OQ205" Error "The organization was made for an earlier namespace of this name",
        "Its robot accounts were made for a namespace that was deleted since, or lost and restored, and its images were kept. Who may create a namespace of that name need not be who owns these images, so nobody gets them by the name alone.",
        "If they belong together, adopt the organization. If not, use another name, or have Quay's administrator delete or rename the organization.",
        "oc quay repair --adopt -n {namespace}";
    OrganizationNotProven "OQ206" Error "Nothing shows that the organization was made for this namespace",
        "The organization exists and carries no mark of oc-quay. The namespace does not hold the current token of its robot account builder, so nothing shows that it was linked with it. Another user might have created the organization before the namespace, and would read every image that is pushed there.",
        "If they belong together, adopt the organization. If not, use another name, or have Quay's administrator delete or rename the organization.",
        "oc quay repair --adopt -n {namespace}";
    RobotNotProven "OQ207" Error "A robot account was not made for the service account",
        "The organization has a robot account with the name of a linked service account. It carries no mark of oc-quay, and the namespace does not hold its token. Its token is not given to the namespace, and its permissions are kept as they are.",
        "If it is for the service account, adopt it. If not, link a service account with another name.",
        "oc quay repair --adopt -n {namespace}";
    RobotMissing "OQ211" Error "A robot account is missing",
        "A linked service account has no robot account in the organization.",
        "Repair creates it.",
        "oc quay repair -n {namespace}";
    RobotsDisallowed "OQ212" Error "This Quay allows no robot accounts",
        "ROBOTS_DISALLOW is set in Quay's configuration, so no robot account can be made.",
        "Ask Quay's administrator to lift it or to put the robot accounts on ROBOTS_WHITELIST.",
        "";
    RobotNameImpossible "OQ213" Error "The service account gives no possible robot name",
        "Robot accounts are named after their service accounts, but Quay refuses doubled separators and names of one letter.",
        "Link another service account.",
        "";
    QuotaNearlyUsedUp "OQ216" Warning "The organization's quota is nearly used up",
        "Four fifths of what the organization is allowed to hold are used. At the limit Quay refuses pushes.",
        "Delete images that are not needed, or ask Quay's administrator for a larger quota.",
        "";
    QuotaUsedUp "OQ217" Error "The organization's quota is used up",
        "The organization holds as much as its quota allows, and Quay refuses pushes to it. Pulls work. Bytes of refused pushes count until Quay clears them away.",
        "Delete images that are not needed, or ask Quay's administrator for a larger quota.",
        "";
    DefaultPermissionMissing "OQ221" Error "A default permission is missing",
        "The robot account gets no right on repositories that are created later.",
        "Repair creates it.",
        "oc quay repair -n {namespace}";
    DefaultPermissionWrongRole "OQ222" Error "A default permission has the wrong role",
        "The robot account gets too little or too much right on repositories that are created later.",
        "Repair changes it.",
        "oc quay repair -n {namespace}";
    DefaultPermissionDuplicated "OQ223" Warning "A default permission exists more than once",
        "Quay adds another one each time it is asked. Which of them applies to a new repository is left to chance.",
        "Repair deletes the superfluous ones.",
        "oc quay repair -n {namespace}";
    SecretMissing "OQ301" Error "A pull secret is missing",
        "The service account's secret with the login for Quay does not exist: pods and builds that run under it cannot log in.",
        "Repair creates it.",
        "oc quay repair -n {namespace}";
    SecretWrongType "OQ302" Error "A secret has the wrong type",
        "A secret has the right name but is not of type kubernetes.io/dockerconfigjson, so neither pods nor builds use it. A secret's type cannot be changed.",
        "Repair replaces it if we made it; one that somebody else made is replaced with --adopt.",
        "oc quay repair --adopt -n {namespace}";
    SecretUnreadable "OQ303" Error "A secret's content is invalid",
        "The secret does not hold a docker configuration with logins.",
        "Repair writes it anew.",
        "oc quay repair -n {namespace}";
    SecretWrongHost "OQ304" Error "A secret is for another registry",
        "The secret holds no login for the host of this Quay, so it is not used for its images.",
        "Repair writes it anew.",
        "oc quay repair -n {namespace}";
    SecretWrongRobot "OQ305" Error "A secret logs in as somebody else",
        "The login in the secret is not that of the service account's own robot account.",
        "Repair writes it anew.",
        "oc quay repair -n {namespace}";
    SecretTokenStale "OQ306" Error "A secret holds an old token",
        "The robot account's token was renewed in Quay, the secret still holds the old one: logins fail.",
        "Repair puts the current token into it.",
        "oc quay repair -n {namespace}";
    TokenNotReadable "OQ307" Unknown "Quay does not show a robot account's token",
        "Quay lists the robot account without its token, as it does for read-only superusers and, in newer releases, for superusers who do not own the organization. Whether the secret holds the current one cannot be told from here.",
        "Let the registry say it: --probe logs in with what the secret holds.",
        "oc quay status --probe -n {namespace}";
    RivalSecret "OQ308" Warning "Another secret for the same registry comes first",
        "Imports use every pull secret of the namespace, in the order of their names, linked or not. A login for the same host that comes before ours and may not read the image makes the import fail with 401.",
        "Delete or rename that secret, or correct its login.",
        "oc get secrets -n {namespace} --field-selector type=kubernetes.io/dockerconfigjson";
    TokenNotRenewed "OQ309" Error "A token was not renewed",
        "--rotate renews a token only together with the secret that holds it, since the old token is invalid at once. Here the secret, or what is in Quay, could not be read, or you are not allowed to write the secret. The tokens are as they were.",
        "The finding says what is in the way. Then rotate again.",
        "oc quay repair --rotate -n {namespace}";
    ServiceAccountMissing "OQ311" Warning "A service account is missing",
        "OpenShift makes default, builder and deployer in every namespace; builder and deployer are absent where the Build or DeploymentConfig capability is off.",
        "Nothing, if nothing builds or deploys here. Otherwise create the service account and repair.",
        "oc get serviceaccounts -n {namespace}";
    SecretNotMountable "OQ312" Error "A secret is not among the service account's secrets",
        "Builds look for push credentials in the service account's secrets, and the secret is not there.",
        "Repair adds it; what else is in the list stays.",
        "oc quay repair -n {namespace}";
    SecretNotPullSecret "OQ313" Error "A secret is not among the service account's pull secrets",
        "Pods that run under the service account pull without the login for Quay.",
        "Repair adds it; what else is in the list stays.",
        "oc quay repair -n {namespace}";
    RoleAnnotationInvalid "OQ314" Warning "A service account asks for an unknown role",
        "Its annotation oc-quay/role must be read, write or admin.",
        "Link it again with the role it shall have.",
        "oc quay link --service-account default=read -n {namespace}";
    SecretEntryUndecodable "OQ315" Error "A secret has an entry that nodes cannot decode",
        "Beside the login for Quay, the secret has an entry for another registry whose auth is not the base64 of user:password. Nodes then use no entry of the secret, and pods fail to pull. Repair keeps the entry, since it was added by others.",
        "Correct or remove that entry.",
        "oc get secrets -n {namespace} --field-selector type=kubernetes.io/dockerconfigjson";
    TooManyAccounts "OQ316" Error "The namespace asks for too many linked service accounts",
        "At most 50 service accounts of a namespace are linked: its own three, then those that link was asked for, then by name. Each takes a robot account, and a permission on every repository.",
        "Remove the annotation oc-quay/role from service accounts that do not need a login of their own.",
        "oc get serviceaccounts -n {namespace} -o yaml";
    PodWaits "OQ317" Error "A pod cannot pull its image from Quay",
        "Kubernetes gives a pod the pull secrets of its service account when the pod is created, and only if the pod names none itself. A pod that was there before the link, that names pull secrets of its own, or that runs under a service account that is not linked has no login for Quay.",
        "The finding says which of these it is. Restart what created the pod, or link its service account.",
        "oc get pods -n {namespace}";
    SecretKept "OQ318" Warning "A secret holds logins of others too",
        "Others have added logins for further registries to the pull secret. When the namespace is unlinked, deleting the secret would delete those, so it is kept, and so are the references to it. A secret whose name ends in -spare is a copy that an interrupted replacement of a secret of the wrong type left. It is kept while it may hold the only copy of such logins.",
        "Remove the login for Quay from the secret, or delete the secret. Of a copy, move what is missing into the secret, then delete the copy.",
        "oc get secrets -n {namespace} --field-selector type=kubernetes.io/dockerconfigjson";
    ServiceAccountOfOthers "OQ319" Warning "A service account is managed elsewhere",
        "A GitOps tool or another controller owns the service account, whose lists lack the secret. It may remove the secret again each time that it is added.",
        "Write the secret where the service account is kept, in secrets and imagePullSecrets.",
        "oc get serviceaccounts -o yaml -n {namespace}";
    LoginRefused "OQ321" Error "The registry refuses the login in a secret",
        "Logging in with what the secret really holds failed.",
        "Repair compares it with the robot account's current token; if that says nothing, renew the token with --rotate.",
        "oc quay repair -n {namespace}";
    RepositoryMissing "OQ401" Error "A repository is missing",
        "An image stream, or one that a BuildConfig pushes to, has no repository in Quay. The builder's robot account may \
         not create one by pushing.",
        "Repair creates it, private.",
        "oc quay repair -n {namespace}";
    RepositoryNameImpossible "OQ402" Warning "An image stream's name cannot be a repository",
        "Quay wants repository names to start with a lower-case letter or a digit and to hold only those, _, . and -.",
        "Rename the image stream.",
        "";
    RobotWithoutRight "OQ403" Error "A robot account has no right on a repository",
        "Default permissions only reach repositories that were created after them; older ones need the right given to them.",
        "Repair gives it.",
        "oc quay repair -n {namespace}";
    RobotTooLittleRight "OQ404" Error "A robot account has too little right on a repository",
        "The registry grants the login less than its role: a builder that may not push, or nothing at all.",
        "Repair with --probe gives it the role.",
        "oc quay repair --probe -n {namespace}";
    RepositoryWithoutImageStream "OQ405" Info "A repository has no image stream",
        "The organization holds a repository that no image stream of the namespace is named after: pushed by hand, or left when its image stream was deleted.",
        "Nothing needs doing. It is never deleted by this plugin.",
        "";
    ImportFailed "OQ406" Warning "The import of a tag failed",
        "OpenShift tried to import the image and could not; the image stream does not follow Quay until it can.",
        "See what it says: credentials, a rival secret, the certificate, or no such image.",
        "oc describe imagestreams -n {namespace}";
    TooManyRepositories "OQ407" Error "The namespace asks for too many repositories",
        "At most 1000 image streams of a namespace get a repository, in the order of their names.",
        "Split the namespace, or annotate image streams that need no repository with oc-quay/repository=false.",
        "oc get imagestreams -n {namespace}";
    SeveralRewriters "OQ501" Warning "Two webhooks rewrite builds",
        "The operator's webhook and that of oc quay run are both registered. They agree on where images go, but not on what is refused and imported.",
        "Take one of them away: the operator, or the bridge.",
        "oc get mutatingwebhookconfigurations";
    WebhookOutOfReach "OQ502" Error "The API server cannot call the webhook that rewrites builds",
        "A webhook is registered that the API server cannot call. Where it fails closed, as the operator's does, every build in the cluster is refused.",
        "See whether its pods run and its certificate is the one that the API server was told to trust. Until then, deleting the MutatingWebhookConfiguration lets builds through.",
        "oc get mutatingwebhookconfigurations";
    BuildToInternalRegistry "OQ505" Warning "A BuildConfig pushes to OpenShift's own registry",
        "No webhook rewrites its builds and it does not name Quay itself, so its images end up in OpenShift's own registry.",
        "Have it push to Quay by itself, or run a bridge that rewrites builds.",
        "oc quay builds rewrite -n {namespace}";
    BuildGoesNowhere "OQ506" Error "A build has no place to push to",
        "Its output is an image stream that OpenShift's own registry has no place for, since that registry is off or the image stream is missing. Builds stay New with the reason InvalidOutputReference.",
        "Have it push to Quay by itself, or run a bridge that rewrites builds. A build that waits already stays as it was made: cancel it and start another one.",
        "oc quay builds rewrite -n {namespace}";
    BuildRefused "OQ507" Error "The operator's webhook refuses builds",
        "The operator refuses every build of a namespace whose builder has no secret for Quay yet, and crashes over builds without any output.",
        "Repair the namespace; give the BuildConfig an output.",
        "oc quay repair -n {namespace}";
    BuildHangs "OQ508" Error "A build hangs, as its spec is immutable",
        "It was there before its namespace came into scope. Each time OpenShift notes how far it is, the operator's webhook rewrites its spec, and the change is refused. It cannot even be cancelled.",
        "Delete it and start another one.",
        "oc get builds -n {namespace}";
    OrganizationOfAnotherNamespace "OQ509" Warning "A build belongs in another namespace's organization",
        "Its output is an image stream of another namespace. Quay gives robot accounts no right on repositories of other organizations, so the login of this namespace cannot push there.",
        "Give the BuildConfig a pushSecret with the login of a robot account of that organization, or push here and tag the image into the other namespace.",
        "oc quay builds -n {namespace}";
    RewritingOutdated "OQ510" Warning "A BuildConfig was rewritten to another place",
        "It was made to push to Quay by itself, but the address of the Quay or the cluster ID has changed since.",
        "Rewrite it again.",
        "oc quay builds rewrite -n {namespace}";
    OutputLeft "OQ511" Info "The output of a BuildConfig is left as it is",
        "It has no image that belongs in Quay, or pushes there already.",
        "Nothing needs doing.",
        "";
    OutputNotOurs "OQ512" Error "The output of a BuildConfig cannot be changed",
        "What was asked for cannot be done: somebody else keeps the BuildConfig as it is, its image cannot be in Quay, or no login may push it there.",
        "The finding says what stands in the way.",
        "oc quay builds -n {namespace}";
    PushSecretMissing "OQ513" Error "A BuildConfig names a push secret that does not exist",
        "It pushes to Quay by itself, with a secret that is gone: its builds wait for it, or fail to push.",
        "Repair makes the secrets of linked service accounts anew. Otherwise name another secret, or have the BuildConfig push where it did before.",
        "oc quay repair -n {namespace}";
    TagNotImported "OQ521" Warning "A build's image did not come into its image stream",
        "A build pushed its image to Quay, but the image stream tag that it was meant for never had that image: it was not imported, or the import failed.",
        "Import it.",
        "oc quay import --missing -n {namespace}";
    TagBehindQuay "OQ522" Warning "Quay has another image than the image stream",
        "The tag follows Quay, and somebody pushed another image there since it was imported. OpenShift asks Quay again only when it is told to, or every 15 minutes where the tag is scheduled.",
        "Import it.",
        "oc quay import --missing -n {namespace}";
    TagGone "OQ523" Warning "Quay does not have a tag that an image stream follows",
        "The tag was never pushed to Quay, was deleted, or has expired there. Where the image stream has an image of it, that can be pulled only until Quay removes it.",
        "Push it again, or delete the tag of the image stream.",
        "oc describe imagestreams -n {namespace}";
    TagOfOthers "OQ524" Info "Something else than Quay decides over a tag",
        "Quay has a tag of this name, but the tag of the image stream follows something else or was pushed to OpenShift's own registry. An import would put Quay's image in its place, so it is only done for tags that are named.",
        "Nothing, or import it by name.",
        "";
    TagPushedOver "OQ525" Warning "A tag that follows Quay has an image of OpenShift's own registry",
        "The tag follows Quay, but its newest image was pushed to OpenShift's own registry, so pods pull that one. It may be the newer one, so no import replaces it unless the tag is named. Where the tag is scheduled, OpenShift replaces it within 15 minutes.",
        "Push the image to Quay, or import Quay's image by name.",
        "oc describe imagestreams -n {namespace}";
    CouldNotRead "OQ901" Unknown "Could not be checked",
        "A call failed or was refused, so this part is neither right nor wrong as far as we know. Nothing is repaired on a guess.",
        "Try again. Where a right is missing, the finding has the command with which a cluster administrator gives it.",
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
