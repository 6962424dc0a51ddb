//! The recordings, chapter by chapter: each starts from a fresh stand-in, brings it into the state the samples
//! were recorded in, and replays them in their order. What the recorder did in between without keeping it is
//! done before the sample that shows it.

use std::time::Duration;

use sandbox::quay::{RepoRole, TeamRole};
use serde_json::json;

use super::env::TestEnv;

/// Brings the env into another state.
type Step = fn(&mut TestEnv);

/// Some consecutive samples.
pub(crate) struct Chapter {
    /// The first number, and the first that is no longer part of it.
    pub(crate) numbers: (&'static str, &'static str),
    /// The state before the first sample.
    pub(crate) setup: Step,
    /// Steps right before a sample.
    pub(crate) before: &'static [(&'static str, Step)],
}

const fn chapter(from: &'static str, to: &'static str, setup: Step) -> Chapter {
    Chapter { numbers: (from, to), setup, before: &[] }
}

pub(crate) const CHAPTERS: &[Chapter] = &[
    chapter("000", "010", |env| {
        env.quay.empty();
        env.quay.set_flags(|flags| flags.user_initialize = true);
    }),
    Chapter {
        numbers: ("010", "100"),
        setup: |env| env.quay.add_user("throttled", false),
        before: &[
            ("070", |env| {
                env.add_application(
                    "flow-org",
                    "https://app.example.com/cb",
                    "YV8UP3Z91HBKJCR1HM4Q",
                );
            }),
            // Another token for a code.
            ("080", |env| {
                let client_id = env.learned["PJU9S0YDYBRRZG1D5GEX"].clone();
                env.quay.add_application_token(&client_id, "admin", Duration::from_secs(3600));
            }),
        ],
    },
    chapter("100", "116", |env| {
        for name in ["flow-org", "rig-bootstrap", "flow-ref"] {
            env.quay.add_organization(name, "admin");
        }
    }),
    Chapter {
        numbers: ("150", "460"),
        setup: |env| {
            for name in ["flow-org", "rig-bootstrap", "flow-ref"] {
                env.quay.add_organization(name, "admin");
            }
        },
        before: &[
            ("193", |env| env.quay.add_organization("shortlived", "admin")),
            ("258", |env| {
                env.quay.add_robot("my-org", "foreign", "").unwrap();
            }),
            // Made public by 344.
            ("350", |env| env.quay.set_public("acme", "app", false)),
            ("363", |env| {
                env.quay.add_organization("many", "admin");
                for number in 0..105 {
                    env.quay.add_repository("many", &format!("r{number:03}"), "admin");
                }
            }),
            ("365", |env| {
                env.quay.add_robot("acme", "late", "").unwrap();
            }),
            ("384", |env| {
                env.quay.add_prototype("acme", "acme+late", RepoRole::Write);
            }),
            ("385", |env| env.quay.add_repository("acme", "app2", "admin")),
            // Twenty organizations were there by then.
            ("430", |env| {
                for number in env.quay.organizations().len()..20 {
                    env.quay.add_organization(&format!("other{number}"), "alice");
                }
            }),
            ("446", |env| env.quay.add_organization("acme-renamed", "alice")),
            ("450", |env| {
                env.quay.add_organization("alice-org", "alice");
                env.quay.add_robot("alice-org", "ar", "").unwrap();
                env.quay.add_repository("alice-org", "priv", "alice");
            }),
        ],
    },
    Chapter {
        numbers: ("460", "500"),
        setup: |env| {
            acme(env);
            env.quay.add_organization("reg", "admin");
            for robot in ["writer", "reader", "nobody", "admin-robot"] {
                env.quay.add_robot("reg", robot, "").unwrap();
            }
            env.quay.add_prototype("reg", "reg+writer", RepoRole::Write);
            env.quay.add_prototype("reg", "reg+reader", RepoRole::Read);
            env.quay.add_repository("reg", "app", "admin");
            env.quay.add_repository("reg", "pub", "admin");
            env.quay.set_public("reg", "pub", true);
        },
        before: &[
            ("462", |env| {
                env.secrets.insert("reg+writer".to_owned(), "wrong".to_owned());
            }),
            ("463", |env| env.secrets.clear()),
            ("477", |env| {
                env.quay.add_team("reg", "creators", TeamRole::Creator, &["reg+admin-robot"])
            }),
            ("482", |env| {
                env.admin("DELETE", "/api/v1/repository/reg/brandnew", &json!(null));
                env.quay.push_tag("reg", "app", "latest").unwrap();
            }),
            ("496", |env| {
                env.registry_token("reg+admin-robot", "reg/by-creator");
            }),
            ("498", |env| {
                let token = env.registry_token("reg+writer", "reg/app");
                env.registry_tokens.insert("reg+writer".to_owned(), token);
                let secret = env.quay.robot_token("reg", "writer").unwrap();
                env.secrets.insert("reg+writer".to_owned(), secret);
                env.quay.regenerate("reg", "writer").unwrap();
            }),
        ],
    },
    chapter("500", "534", |env| {
        env.quay.set_flags(|flags| flags.full_access = true);
        acme(env);
        env.quay.add_organization("alice-fa", "alice");
        env.quay.add_robot("alice-fa", "ar", "").unwrap();
        env.quay.add_repository("alice-fa", "priv", "alice");
        env.add_application("alice-fa", "", "K0XRQCBTRJKYMXCTOHV8");
        env.sign_in("admin");
    }),
    chapter("560", "563", |env| env.quay.set_flags(|flags| flags.org_creation_only = true)),
    chapter("563", "564", |_| {}),
    chapter("564", "565", |env| env.quay.set_flags(|flags| flags.org_creation_only = true)),
    chapter("570", "575", |env| env.quay.set_flags(|flags| flags.mailing = true)),
    chapter("580", "581", |env| env.quay.set_flags(|flags| flags.xhr_only = false)),
    chapter("590", "594", |env| {
        env.quay.set_flags(|flags| flags.restricted_users = true);
        env.quay.add_organization("alice-boot", "alice");
    }),
    Chapter {
        numbers: ("600", "609"),
        setup: |env| {
            acme(env);
            env.quay.add_organization("misc-org", "admin");
            let client_id = env.add_application("misc-org", "", "Z0RTH6FQWZJJBUXAZUKM");
            let token =
                env.quay.add_application_token(&client_id, "admin", Duration::from_secs(3600));
            assert!(env.ask(&token, "GET", "/api/v1/user/", &json!(null)).status.is_success());
            env.note_token("token", token);
            env.sign_in("alice");
        },
        before: &[("603", |env| env.sign_in("admin"))],
    },
    Chapter {
        numbers: ("611", "640"),
        setup: |env| {
            env.quay.add_organization("life", "admin");
            env.quay.add_robot("life", "rr", "").unwrap();
            env.quay.add_prototype("life", "life+rr", RepoRole::Write);
            env.quay.add_repository("life", "one", "admin");
            assert_eq!(env.quay.permissions("life", "one").get("life+rr"), Some(&RepoRole::Write));
            env.admin("DELETE", "/api/v1/organization/life/robots/rr", &json!(null));
        },
        before: &[
            ("630", |env| {
                env.quay.add_organization("gc-a", "admin");
                env.admin("DELETE", "/api/v1/organization/gc-a", &json!(null));
                env.quay.set_flags(|flags| flags.namespace_gc = true);
            }),
            ("632a", |env| {
                env.quay.add_organization("race2", "admin");
                env.quay.add_robot("race2", "rr", "").unwrap();
            }),
            ("634e", |env| {
                env.quay.add_organization("race3", "admin");
                env.quay.add_robot("race3", "rr", "").unwrap();
                env.quay.add_repository("race3", "p8", "admin");
            }),
        ],
    },
    chapter("640", "646", |env| {
        env.quay.set_flags(|flags| flags.anonymous_access = false);
        acme(env);
    }),
    chapter("646", "650", |env| {
        acme(env);
        env.quay.set_flags(|flags| flags.readonly = true);
    }),
    chapter("650", "655", |env| {
        env.quay.set_flags(|flags| flags.direct_login = false);
        env.quay.add_organization("rig-bootstrap", "admin");
        env.add_application("rig-bootstrap", "", "ZWGG3P8PLVNT4EJH0GKL");
        env.open_browser();
    }),
    chapter("659", "660", |env| {
        env.quay.add_organization("rig-bootstrap", "admin");
        let client_id = env.add_application("rig-bootstrap", "", "RIGWHITELISTEDAPP000");
        env.quay.set_flags(|flags| {
            flags.direct_oauth_clients.insert(client_id);
        });
    }),
    chapter("660", "661", |env| {
        env.quay.set_flags(|flags| flags.extended_names = false);
        acme(env);
    }),
    chapter("661", "662", |env| {
        env.quay.set_flags(|flags| flags.robots_disallow = true);
        acme(env);
    }),
    chapter("665", "666", |env| {
        env.quay.set_flags(|flags| flags.max_application_tokens = Some(2));
        env.quay.add_organization("rig-bootstrap", "admin");
        env.add_application("rig-bootstrap", "", "3RW3RQ4M0KU8PPR8RAE3");
        env.sign_in("admin");
    }),
    chapter("666", "669", |env| {
        env.quay.set_flags(|flags| {
            flags.readonly_superusers.insert("carol".to_owned());
        });
        acme(env);
        env.quay.add_robot("acme", "puller", "pull").unwrap();
        env.admin("PUT", "/api/v1/repository/acme/app", &json!({"description": "new text"}));
        env.admin("PUT", "/api/v1/organization/acme", &json!({"tag_expiration_s": 86_400}));
    }),
    Chapter {
        numbers: ("67a", "680"),
        setup: |env| {
            env.quay.add_organization("teamorg", "admin");
            env.quay.add_robot("teamorg", "r1", "").unwrap();
            env.quay.add_repository("teamorg", "one", "admin");
            env.quay.add_team("teamorg", "tm", TeamRole::Member, &["bob"]);
        },
        before: &[("67i", |env| {
            env.admin("PUT", "/api/v1/organization/teamorg/team/tm", &json!({"role": "creator"}))
        })],
    },
    chapter("680", "690", acme),
];

/// The organization most samples are about, with a private and a public repository.
fn acme(env: &mut TestEnv) {
    env.quay.add_organization("acme", "admin");
    env.quay.add_repository("acme", "app", "admin");
    env.quay.add_repository("acme", "public1", "admin");
    env.quay.set_public("acme", "public1", true);
}
