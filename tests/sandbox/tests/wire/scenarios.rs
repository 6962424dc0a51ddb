//! The recordings, chapter by chapter: each starts from a fresh stand-in, brings it into the state the samples
//! were recorded in, and replays them in their order. What the recorder did in between without keeping it is
//! done before the sample that shows it.

use std::time::Duration;

use sandbox::quay::{RepoRole, TeamRole};
use serde_json::json;

use super::env::World;

/// Brings the world into another state.
type Step = fn(&mut World);

/// Some consecutive samples.
pub(crate) struct Chapter {
    /// The first number, and the first that is no longer part of it.
    pub(crate) numbers: (&'static str, &'static str),
    /// What is there before the first sample.
    pub(crate) setup: Step,
    /// What happens right before a sample.
    pub(crate) before: &'static [(&'static str, Step)],
}

const fn chapter(from: &'static str, to: &'static str, setup: Step) -> Chapter {
    Chapter { numbers: (from, to), setup, before: &[] }
}

/// All chapters.
pub(crate) const CHAPTERS: &[Chapter] = &[
    chapter("000", "010", |world| {
        world.quay.empty();
        world.quay.set_flags(|flags| flags.user_initialize = true);
    }),
    Chapter {
        numbers: ("010", "100"),
        setup: |world| world.quay.add_user("throttled", false),
        before: &[
            ("070", |world| {
                world.add_application(
                    "flow-org",
                    "https://app.example.com/cb",
                    "YV8UP3Z91HBKJCR1HM4Q",
                );
            }),
            // One more token, got for a code.
            ("080", |world| {
                let client_id = world.learned["PJU9S0YDYBRRZG1D5GEX"].clone();
                world.quay.add_application_token(&client_id, "admin", Duration::from_secs(3600));
            }),
        ],
    },
    chapter("100", "116", |world| {
        for name in ["flow-org", "rig-bootstrap", "flow-ref"] {
            world.quay.add_organization(name, "admin");
        }
    }),
    Chapter {
        numbers: ("150", "460"),
        setup: |world| {
            for name in ["flow-org", "rig-bootstrap", "flow-ref"] {
                world.quay.add_organization(name, "admin");
            }
        },
        before: &[
            ("193", |world| world.quay.add_organization("shortlived", "admin")),
            ("258", |world| {
                world.quay.add_robot("my-org", "foreign", "").unwrap();
            }),
            // Made public by 344.
            ("350", |world| world.quay.set_public("acme", "app", false)),
            ("363", |world| {
                world.quay.add_organization("many", "admin");
                for number in 0..105 {
                    world.quay.add_repository("many", &format!("r{number:03}"), "admin");
                }
            }),
            ("365", |world| {
                world.quay.add_robot("acme", "late", "").unwrap();
            }),
            ("384", |world| {
                world.quay.add_prototype("acme", "acme+late", RepoRole::Write);
            }),
            ("385", |world| world.quay.add_repository("acme", "app2", "admin")),
            // Twenty organizations were there by then.
            ("430", |world| {
                for number in world.quay.organizations().len()..20 {
                    world.quay.add_organization(&format!("other{number}"), "alice");
                }
            }),
            ("446", |world| world.quay.add_organization("acme-renamed", "alice")),
            ("450", |world| {
                world.quay.add_organization("alice-org", "alice");
                world.quay.add_robot("alice-org", "ar", "").unwrap();
                world.quay.add_repository("alice-org", "priv", "alice");
            }),
        ],
    },
    Chapter {
        numbers: ("460", "500"),
        setup: |world| {
            acme(world);
            world.quay.add_organization("reg", "admin");
            for robot in ["writer", "reader", "nobody", "admin-robot"] {
                world.quay.add_robot("reg", robot, "").unwrap();
            }
            world.quay.add_prototype("reg", "reg+writer", RepoRole::Write);
            world.quay.add_prototype("reg", "reg+reader", RepoRole::Read);
            world.quay.add_repository("reg", "app", "admin");
            world.quay.add_repository("reg", "pub", "admin");
            world.quay.set_public("reg", "pub", true);
        },
        before: &[
            ("462", |world| {
                world.secrets.insert("reg+writer".to_owned(), "wrong".to_owned());
            }),
            ("463", |world| world.secrets.clear()),
            ("477", |world| {
                world.quay.add_team("reg", "creators", TeamRole::Creator, &["reg+admin-robot"])
            }),
            ("482", |world| {
                world.admin("DELETE", "/api/v1/repository/reg/brandnew", &json!(null));
                world.quay.push_tag("reg", "app", "latest").unwrap();
            }),
            ("496", |world| {
                world.registry_token("reg+admin-robot", "reg/by-creator");
            }),
            ("498", |world| {
                let token = world.registry_token("reg+writer", "reg/app");
                world.registry_tokens.insert("reg+writer".to_owned(), token);
                let secret = world.quay.robot_token("reg", "writer").unwrap();
                world.secrets.insert("reg+writer".to_owned(), secret);
                world.quay.regenerate("reg", "writer").unwrap();
            }),
        ],
    },
    chapter("500", "534", |world| {
        world.quay.set_flags(|flags| flags.full_access = true);
        acme(world);
        world.quay.add_organization("alice-fa", "alice");
        world.quay.add_robot("alice-fa", "ar", "").unwrap();
        world.quay.add_repository("alice-fa", "priv", "alice");
        world.add_application("alice-fa", "", "K0XRQCBTRJKYMXCTOHV8");
        world.sign_in("admin");
    }),
    chapter("560", "563", |world| world.quay.set_flags(|flags| flags.org_creation_only = true)),
    chapter("563", "564", |_| {}),
    chapter("564", "565", |world| world.quay.set_flags(|flags| flags.org_creation_only = true)),
    chapter("570", "575", |world| world.quay.set_flags(|flags| flags.mailing = true)),
    chapter("580", "581", |world| world.quay.set_flags(|flags| flags.xhr_only = false)),
    chapter("590", "594", |world| {
        world.quay.set_flags(|flags| flags.restricted_users = true);
        world.quay.add_organization("alice-boot", "alice");
    }),
    Chapter {
        numbers: ("600", "609"),
        setup: |world| {
            acme(world);
            world.quay.add_organization("misc-org", "admin");
            let client_id = world.add_application("misc-org", "", "Z0RTH6FQWZJJBUXAZUKM");
            let token =
                world.quay.add_application_token(&client_id, "admin", Duration::from_secs(3600));
            assert!(world.ask(&token, "GET", "/api/v1/user/", &json!(null)).status.is_success());
            world.note_token("token", token);
            world.sign_in("alice");
        },
        before: &[("603", |world| world.sign_in("admin"))],
    },
    Chapter {
        numbers: ("611", "640"),
        setup: |world| {
            world.quay.add_organization("life", "admin");
            world.quay.add_robot("life", "rr", "").unwrap();
            world.quay.add_prototype("life", "life+rr", RepoRole::Write);
            world.quay.add_repository("life", "one", "admin");
            assert_eq!(
                world.quay.permissions("life", "one").get("life+rr"),
                Some(&RepoRole::Write)
            );
            world.admin("DELETE", "/api/v1/organization/life/robots/rr", &json!(null));
        },
        before: &[
            ("630", |world| {
                world.quay.add_organization("gc-a", "admin");
                world.admin("DELETE", "/api/v1/organization/gc-a", &json!(null));
                world.quay.set_flags(|flags| flags.namespace_gc = true);
            }),
            ("632a", |world| {
                world.quay.add_organization("race2", "admin");
                world.quay.add_robot("race2", "rr", "").unwrap();
            }),
            ("634e", |world| {
                world.quay.add_organization("race3", "admin");
                world.quay.add_robot("race3", "rr", "").unwrap();
                world.quay.add_repository("race3", "p8", "admin");
            }),
        ],
    },
    chapter("640", "646", |world| {
        world.quay.set_flags(|flags| flags.anonymous_access = false);
        acme(world);
    }),
    chapter("646", "650", |world| {
        acme(world);
        world.quay.set_flags(|flags| flags.readonly = true);
    }),
    chapter("650", "655", |world| {
        world.quay.set_flags(|flags| flags.direct_login = false);
        world.quay.add_organization("rig-bootstrap", "admin");
        world.add_application("rig-bootstrap", "", "ZWGG3P8PLVNT4EJH0GKL");
        world.open_browser();
    }),
    chapter("659", "660", |world| {
        world.quay.add_organization("rig-bootstrap", "admin");
        let client_id = world.add_application("rig-bootstrap", "", "RIGWHITELISTEDAPP000");
        world.quay.set_flags(|flags| {
            flags.direct_oauth_clients.insert(client_id);
        });
    }),
    chapter("660", "661", |world| {
        world.quay.set_flags(|flags| flags.extended_names = false);
        acme(world);
    }),
    chapter("661", "662", |world| {
        world.quay.set_flags(|flags| flags.robots_disallow = true);
        acme(world);
    }),
    chapter("665", "666", |world| {
        world.quay.set_flags(|flags| flags.max_application_tokens = Some(2));
        world.quay.add_organization("rig-bootstrap", "admin");
        world.add_application("rig-bootstrap", "", "3RW3RQ4M0KU8PPR8RAE3");
        world.sign_in("admin");
    }),
    chapter("666", "669", |world| {
        world.quay.set_flags(|flags| {
            flags.readonly_superusers.insert("carol".to_owned());
        });
        acme(world);
        world.quay.add_robot("acme", "puller", "pull").unwrap();
        world.admin("PUT", "/api/v1/repository/acme/app", &json!({"description": "new text"}));
        world.admin("PUT", "/api/v1/organization/acme", &json!({"tag_expiration_s": 86_400}));
    }),
    Chapter {
        numbers: ("67a", "680"),
        setup: |world| {
            world.quay.add_organization("teamorg", "admin");
            world.quay.add_robot("teamorg", "r1", "").unwrap();
            world.quay.add_repository("teamorg", "one", "admin");
            world.quay.add_team("teamorg", "tm", TeamRole::Member, &["bob"]);
        },
        before: &[("67i", |world| {
            world.admin("PUT", "/api/v1/organization/teamorg/team/tm", &json!({"role": "creator"}))
        })],
    },
    chapter("680", "690", acme),
];

/// The organization most samples are about, with a private and a public repository.
fn acme(world: &mut World) {
    world.quay.add_organization("acme", "admin");
    world.quay.add_repository("acme", "app", "admin");
    world.quay.add_repository("acme", "public1", "admin");
    world.quay.set_public("acme", "public1", true);
}
