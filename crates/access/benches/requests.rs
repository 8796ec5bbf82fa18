//! What a request costs, with 2,000 roles and 10,000 clients. The aim: 25 µs to authenticate and
//! authorize one, 1 ms for the largest expansion. `cargo bench -p taskyard-access`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark of something broken ends at once"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use divan::Bencher;
use taskyard_access::sign::Destination;
use taskyard_access::{
    Client, Credentials, Expression, HawkRequest, Outcome, Param, Payload, Role, Roles, Signer,
    authenticate, check, new_access_token, temporary,
};

fn main() {
    divan::main();
}

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

type Clients = HashMap<String, Arc<Client>>;

fn clients() -> Clients {
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

/// A signed request, judged and authorized again and again.
fn judge(bencher: Bencher<'_, '_>, credentials: &Credentials, clients: &Clients) {
    let roles = roles();
    let find = |client_id: &str| clients.get(client_id).cloned();
    let required: Expression = serde_json::from_str(
        r#"{"AnyOf": ["queue:resolve-task:<taskGroupId>/<taskId>", "queue:resolve-task"]}"#,
    )
    .unwrap();
    let (host, port) = ("tasks.example.com", 443);
    let signer = Signer::new(credentials, None).unwrap();
    let to = Destination {
        target: TARGET,
        host,
        port,
    };
    let payload = Payload {
        content_type: "application/json",
        body: b"{}",
    };
    let seconds = NOW_MS / 1000;
    let header = signer.authorization_header("POST", &to, seconds, "nonce", Some(payload));
    bencher.bench_local(|| {
        let authorization = Some(black_box(header.as_str()));
        let request = HawkRequest {
            method: "POST",
            target: TARGET,
            host,
            port,
            authorization,
        };
        let Outcome::Success(who) = authenticate(&request, NOW_MS, &find, &roles) else {
            panic!("the request is signed");
        };
        let rendered = required
            .render(&|_| Some(Param::from("JzTGxwxhQ76_Tt1dxkaG5g")))
            .unwrap();
        assert!(rendered.unwrap().satisfied_by(&who.scopes));
    });
}

#[divan::bench]
fn judging_a_client(bencher: Bencher<'_, '_>) {
    let clients = clients();
    let issuer = &clients["project/42/worker-42"];
    let credentials = Credentials {
        client_id: issuer.client_id.clone(),
        access_token: issuer.access_token.clone(),
        certificate: None,
    };
    judge(bencher, &credentials, &clients);
}

#[divan::bench]
fn judging_temporary_credentials(bencher: Bencher<'_, '_>) {
    let clients = clients();
    let issuer = &clients["project/42/worker-42"];
    let (id, token) = (&issuer.client_id, issuer.access_token.expose());
    let scopes = ["queue:resolve-task".to_owned()];
    let seed = temporary::new_seed();
    let issued =
        temporary::create(id, token, None, NOW_MS, NOW_MS + 1_000, &scopes, &seed).unwrap();
    let credentials = Credentials {
        client_id: issued.client_id,
        access_token: issued.access_token,
        certificate: Some(issued.certificate),
    };
    judge(bencher, &credentials, &clients);
}

#[divan::bench(args = ["*", "assume:*", "assume:repo:github.com/organisation/project-7:*"])]
fn expanding(bencher: Bencher<'_, '_>, scope: &str) {
    let roles = roles();
    bencher.bench_local(|| roles.expand(black_box(&[scope])));
}
