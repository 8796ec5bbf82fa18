//! What a request costs. Timing means nothing in a debug build, so these run on demand:
//! `cargo nextest run -p taskyard-access --release --run-ignored only`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskyard_access::sign::Destination;
use taskyard_access::*;

const NOW_MS: i64 = 1_741_064_767_890;
const TARGET: &str = "/api/queue/v1/task/JzTGxwxhQ76_Tt1dxkaG5g/runs/0/completed";

/// 2,000 roles as a large deployment has them: plain and with parameters, each of several scopes.
fn roles() -> Roles {
    let mut roles: Vec<Role> = (0..1_500)
        .map(|number| Role {
            role_id: format!("repo:github.com/organisation/project-{number}:branch:main"),
            scopes: (0..5)
                .map(|scope| format!("queue:create-task:high:project-{number}/pool-{scope}"))
                .chain([format!("assume:group:{}/tasks", number % 300)])
                .collect(),
        })
        .collect();
    roles.extend((0..500).map(|number| Role {
        role_id: format!("group:{number}/*"),
        scopes: vec![
            format!("secrets:get:group-{number}/<..>"),
            format!("index:insert-task:group-{number}.*"),
        ],
    }));
    assert_eq!(check(&roles), Ok(()));
    Roles::new(&roles)
}

fn clients() -> HashMap<String, Arc<Client>> {
    (0..10_000)
        .map(|number| {
            let client_id = format!("project/{}/worker-{number}", number % 100);
            let client = Client {
                client_id: client_id.clone(),
                access_token: new_access_token(),
                expires_ms: NOW_MS + 1_000_000,
                disabled: false,
                scopes: vec![
                    format!(
                        "assume:repo:github.com/organisation/project-{}:*",
                        number % 1_500
                    ),
                    format!("queue:claim-work:project-{number}/*"),
                    format!("queue:worker-id:project-{number}/*"),
                    "queue:resolve-task".to_owned(),
                ]
                .into(),
            };
            (client_id, Arc::new(client))
        })
        .collect()
}

/// The best of several rounds, so that other work on the machine doesn't count.
fn cost(repetitions: u32, mut work: impl FnMut()) -> Duration {
    let round = |_| {
        let start = Instant::now();
        (0..repetitions).for_each(|_| work());
        start.elapsed() / repetitions
    };
    (0..7).map(round).min().unwrap()
}

#[test]
#[ignore = "measures time: run it with --release"]
fn authenticating_and_authorizing_a_request_costs_at_most_25_microseconds() {
    let (roles, clients) = (roles(), clients());
    let find = |client_id: &str| clients.get(client_id).cloned();
    let required: Expression = serde_json::from_str(
        r#"{"AnyOf": ["queue:resolve-task:<taskGroupId>/<taskId>", "queue:resolve-task"]}"#,
    )
    .unwrap();
    let destination = Destination {
        target: TARGET,
        host: "tasks.example.com",
        port: 443,
    };
    let authorize = |authorization: &str| {
        let request = HawkRequest {
            method: "POST",
            target: TARGET,
            host: "tasks.example.com",
            port: 443,
            authorization: Some(authorization),
        };
        let Outcome::Success(who) = authenticate(&request, NOW_MS, &find, &roles) else {
            panic!("the request is signed");
        };
        let rendered = required
            .render(&|_| Some(Param::from("JzTGxwxhQ76_Tt1dxkaG5g")))
            .unwrap();
        assert!(rendered.unwrap().satisfied_by(&who.scopes));
    };

    let issuer = &clients["project/42/worker-42"];
    let permanent = Credentials {
        client_id: issuer.client_id.clone(),
        access_token: issuer.access_token.clone(),
        certificate: None,
    };
    let scopes = ["queue:resolve-task".to_owned()];
    let issued = temporary::create(
        &issuer.client_id,
        issuer.access_token.expose(),
        None,
        NOW_MS,
        NOW_MS + 1_000,
        &scopes,
        &temporary::new_seed(),
    )
    .unwrap();
    let temporary = Credentials {
        client_id: issued.client_id,
        access_token: issued.access_token,
        certificate: Some(issued.certificate),
    };
    for (name, credentials) in [("permanent", permanent), ("temporary", temporary)] {
        let signer = Signer::new(&credentials, None).unwrap();
        let payload = Payload {
            content_type: "application/json",
            body: b"{}",
        };
        let header = signer.authorization_header(
            "POST",
            &destination,
            NOW_MS / 1000,
            "nonce",
            Some(payload),
        );
        let cost = cost(2_000, || authorize(black_box(&header)));
        println!("{name} credentials: {cost:?}");
        assert!(
            cost <= Duration::from_micros(25),
            "{name} credentials: {cost:?}"
        );
    }
}

#[test]
#[ignore = "measures time: run it with --release"]
fn expanding_over_2000_roles_costs_at_most_a_millisecond() {
    let roles = roles();
    let everything = ["assume:*"];
    let expanded = roles.expand(&everything).len();
    assert!(expanded > 7_500, "{expanded}");
    let all = cost(20, || drop(black_box(roles.expand(black_box(&everything)))));
    let one = cost(200, || {
        drop(black_box(roles.expand(&[
            "assume:repo:github.com/organisation/project-7:*",
        ])));
    });
    let root = cost(200, || drop(black_box(roles.expand(&["*"]))));
    println!("all roles ({expanded} scopes): {all:?}, one role: {one:?}, root: {root:?}");
    assert!(all <= Duration::from_millis(1), "{all:?}");
    assert!(one <= Duration::from_micros(25), "{one:?}");
}
