//! The official Rust client: clients, roles and credentials, and every method that it has.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is one test, which ends at its first failure"
)]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use taskcluster::{Auth, ClientBuilder, Credentials, Retry, err_status_code};
use taskyard_conformance::{Database, ROOT_ACCESS_TOKEN, ROOT_CLIENT_ID, Server};

/// Methods that this server has for older clients; this one has none of them.
const GONE: [&str; 8] = [
    "azureAccounts",
    "azureContainerSAS",
    "azureContainers",
    "azureTableSAS",
    "azureTables",
    "expandScopesGet",
    "statsumToken",
    "webhooktunnelToken",
];

const HOUR: Duration = Duration::from_hours(1);

/// Names of the methods that were called.
static CALLED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());

/// Who signs, with which authorized scopes, what the tester has, what is required, the end.
type Case<'a> = (
    Option<Credentials>,
    Option<&'a [&'a str]>,
    &'a [&'a str],
    &'a [&'a str],
    u16,
);

/// Calls a method and writes its name down.
macro_rules! call {
    ($auth:expr, $method:ident($($arg:expr),* $(,)?)) => {{
        CALLED.lock().unwrap().insert(stringify!($method));
        $auth.$method($($arg),*).await
    }};
}

/// The same with a call that must be refused with this status.
macro_rules! refused {
    ($status:expr, $auth:expr, $method:ident($($arg:expr),* $(,)?)) => {
        assert_eq!(status(call!($auth, $method($($arg),*))), $status, stringify!($method))
    };
}

/// The status that a call ended with.
fn status<T>(outcome: Result<T, anyhow::Error>) -> u16 {
    match outcome {
        Ok(_) => 200,
        Err(error) => err_status_code(&error)
            .unwrap_or_else(|| panic!("no answer: {error:#}"))
            .as_u16(),
    }
}

struct Scenario {
    root_url: String,
    auth: Auth,
}

impl Scenario {
    fn new(server: &Server) -> Self {
        let root_url = server.root_url().to_owned();
        let root = Credentials::new(ROOT_CLIENT_ID, ROOT_ACCESS_TOKEN);
        let auth = auth_of(&root_url, Some(root), None);
        Self { root_url, auth }
    }

    /// A client for somebody else.
    fn as_(&self, who: &Credentials) -> Auth {
        auth_of(&self.root_url, Some(who.clone()), None)
    }

    async fn client(&self, id: &str, scopes: &[&str]) -> Credentials {
        let made = call!(self.auth, createClient(id, &definition(scopes))).unwrap();
        credentials(&made)
    }

    async fn clients(&self) {
        let id = "conformance/rust@one";
        let first = self.client(id, &["auth:current-scopes", "a:*"]).await;
        let found = call!(self.as_(&first), currentScopes()).unwrap();
        assert!(scopes(&found).contains(&"a:*"), "{found}");
        refused!(403, self.as_(&first), createClient("x", &definition(&[])));
        let again = self.client(id, &["auth:current-scopes", "a:*"]).await;
        // The same request within minutes finds what it made; another definition is refused.
        assert_eq!(status(call!(self.as_(&again), currentScopes())), 200);
        refused!(409, self.auth, createClient(id, &definition(&["b"])));
        refused!(400, self.auth, createClient("static/x", &definition(&[])));
        let changed = definition(&["auth:current-scopes", "b"]);
        call!(self.auth, updateClient(id, &changed)).unwrap();
        let reset = credentials(&call!(self.auth, resetAccessToken(id)).unwrap());
        refused!(401, self.as_(&first), currentScopes());
        call!(self.auth, disableClient(id)).unwrap();
        refused!(401, self.as_(&reset), currentScopes());
        call!(self.auth, enableClient(id)).unwrap();
        assert_eq!(status(call!(self.as_(&reset), currentScopes())), 200);
        let listed = call!(self.auth, listClients(None, None, None)).unwrap();
        let ids = listed["clients"].as_array().unwrap().iter();
        assert!(ids.clone().any(|client| client["clientId"] == id));
        assert_eq!(
            call!(self.auth, client(id)).unwrap()["scopes"],
            changed["scopes"]
        );
        call!(self.auth, deleteClient(id)).unwrap();
        refused!(404, self.auth, client(id));
        let history = call!(self.auth, getEntityHistory("client", id, None, None)).unwrap();
        let actions = history["auditHistory"].as_array().unwrap().iter();
        let actions: Vec<&str> = actions
            .map(|it| it["actionType"].as_str().unwrap())
            .collect();
        assert_eq!(actions.first(), Some(&"created"));
        assert_eq!(actions.last(), Some(&"deleted"));
        let deeds = call!(self.auth, listAuditHistory(ROOT_CLIENT_ID, None, None)).unwrap();
        assert!(!deeds["auditHistory"].as_array().unwrap().is_empty());
        eprintln!("ok clients: create, use, update, reset, disable, enable, list, delete, history");
    }

    async fn roles(&self) {
        let id = "conformance/role*";
        let wanted = json!({"description": "for a test", "scopes": ["z:<..>", "b"]});
        call!(self.auth, createRole(id, &wanted)).unwrap();
        let held = json!({"scopes": ["assume:conformance/role:x"]});
        let expanded = call!(self.auth, expandScopes(&held)).unwrap();
        assert_eq!(
            scopes(&expanded),
            ["assume:conformance/role:x", "b", "z::x"]
        );
        let circle = json!({"description": "", "scopes": ["assume:conformance/role/y"]});
        refused!(400, self.auth, updateRole(id, &circle));
        assert_eq!(
            call!(self.auth, role(id)).unwrap()["scopes"],
            json!(["b", "z:<..>"])
        );
        let all = call!(self.auth, listRoles()).unwrap();
        let pages = call!(self.auth, listRoles2(None, None)).unwrap();
        assert_eq!(all, pages["roles"]);
        let ids = call!(self.auth, listRoleIds(None, None)).unwrap();
        assert!(ids["roleIds"].as_array().unwrap().contains(&json!(id)));
        call!(self.auth, deleteRole(id)).unwrap();
        refused!(404, self.auth, role(id));
        eprintln!("ok roles: create, expand, refuse a circle, list, delete");
    }

    async fn issued(&self) {
        let granted = ["a:*", "auth:current-scopes", "auth:create-client:named/*"];
        let issuer = self.client("conformance/issuer", &granted).await;
        let wanted = ["a:1", "auth:current-scopes"];
        let unnamed = issuer.create_temp_creds(HOUR, wanted).unwrap();
        let found = call!(self.as_(&unnamed), currentScopes()).unwrap();
        assert!(scopes(&found).contains(&"a:1") && !scopes(&found).contains(&"a:*"));
        let named = issuer
            .create_named_temp_creds("named/x", HOUR, wanted)
            .unwrap();
        assert_eq!(status(call!(self.as_(&named), currentScopes())), 200);
        let other = issuer
            .create_named_temp_creds("other", HOUR, wanted)
            .unwrap();
        refused!(401, self.as_(&other), currentScopes());
        let wide = issuer.create_temp_creds(HOUR, ["b"]).unwrap();
        refused!(401, self.as_(&wide), currentScopes());
        let narrow = |scopes: &[&str]| auth_of(&self.root_url, Some(issuer.clone()), Some(scopes));
        let found = call!(narrow(&wanted), currentScopes()).unwrap();
        assert!(!scopes(&found).contains(&"a:*"), "{found}");
        refused!(401, narrow(&["b"]), currentScopes());
        let url = self.as_(&issuer).currentScopes_signed_url(HOUR).unwrap();
        assert_eq!(get(&url).await, 200);
        assert_eq!(get(&format!("{url}&limit=1")).await, 401);
        call!(self.auth, disableClient("conformance/issuer")).unwrap();
        refused!(401, self.as_(&unnamed), currentScopes());
        assert_eq!(get(&url).await, 401);
        eprintln!("ok temporary credentials, authorized scopes and signed URLs, and their limits");
    }

    async fn tests(&self) {
        let tester = Credentials::new("tester", "no-secret");
        let issue: &[&str] = &["s:*", "auth:create-client:my-name"];
        let unnamed = |scopes: &[&str]| tester.create_temp_creds(HOUR, scopes).unwrap();
        let named = |name, scopes: &[&str]| {
            let made = tester.create_named_temp_creds(name, HOUR, scopes);
            made.unwrap()
        };
        let forged = altered(&unnamed(&["s:1"]), "scopes", json!(["s:1", "s:2"]));
        let passed = past(&unnamed(&["s:1"]));
        let wrong = |id, token| Some(Credentials::new(id, token));
        let (t, n) = (Some(tester.clone()), None);
        let cases: Vec<Case<'_>> = vec![
            (t.clone(), n, &["s:*"], &["s:1"], 200),
            (t.clone(), n, &["s"], &["t"], 403),
            (wrong("tester", "wrong"), n, &["*"], &[], 401),
            (wrong("somebody", "no-secret"), n, &["*"], &[], 401),
            (t.clone(), Some(&["s:1"]), &["s:*"], &["s:1"], 200),
            (t.clone(), Some(&["s:1"]), &["s:*"], &["s:2"], 403),
            (t.clone(), Some(&["t"]), &["s:*"], &[], 401),
            (Some(unnamed(&["s:1"])), n, &["s:*"], &["s:1"], 200),
            (Some(unnamed(&["s:1"])), n, &["s:*"], &["s:2"], 403),
            (Some(unnamed(&["t"])), n, &["s:*"], &[], 401),
            (
                Some(unnamed(&["s:*"])),
                Some(&["s:1"]),
                &["s:*"],
                &["s:1"],
                200,
            ),
            (Some(unnamed(&["s:1"])), Some(&["s:2"]), &["s:*"], &[], 401),
            (Some(forged), n, &["s:*"], &[], 401),
            (Some(passed), n, &["s:*"], &[], 401),
            (Some(named("my-name", &["s:1"])), n, issue, &["s:1"], 200),
            (Some(named("my-name", &["s:1"])), n, &["s:*"], &[], 401),
            (Some(named("your-name", &["s:1"])), n, issue, &[], 401),
            (None, n, &["s"], &["s"], 403),
            (None, n, &["s"], &[], 200),
        ];
        for (number, (who, authorized, has, required, end)) in cases.into_iter().enumerate() {
            let auth = auth_of(&self.root_url, who, authorized);
            let request = json!({"clientScopes": has, "requiredScopes": required});
            let found = status(call!(auth, testAuthenticate(&request)));
            assert_eq!(found, end, "case {number}");
        }
        for (who, authorized, end) in [
            (tester.clone(), None, 200),
            (Credentials::new("tester", "wrong"), None, 401),
            (tester.clone(), Some(&["test:authenticate-get"]), 200),
            (tester.clone(), Some(&["test:other"]), 403),
            (tester.clone(), Some(&["other"]), 401),
            (unnamed(&["test:*"]), None, 200),
            (named("test:named", &["test:*"]), None, 200),
            (named("other", &["test:*"]), None, 401),
        ] {
            let authorized = authorized.map(<[&str; 1]>::as_slice);
            let auth = auth_of(&self.root_url, Some(who), authorized);
            assert_eq!(status(call!(auth, testAuthenticateGet())), end);
            let url = auth.testAuthenticateGet_signed_url(HOUR).unwrap();
            assert_eq!(get(&url).await, end);
        }
        eprintln!("ok testAuthenticate and testAuthenticateGet, accepted and refused");
    }

    async fn all_others(&self) {
        let auth = &self.auth;
        call!(auth, ping()).unwrap();
        call!(auth, lbheartbeat()).unwrap();
        call!(auth, heartbeat()).unwrap();
        call!(auth, version()).unwrap();
        let request = json!({"method": "get", "resource": "/", "host": "a.example", "port": 443});
        let judged = call!(auth, authenticateHawk(&request)).unwrap();
        assert_eq!(judged["status"], "no-auth");
        refused!(
            404,
            auth,
            awsS3Credentials("read-only", "bucket", "a/b", None)
        );
        refused!(404, auth, sentryDSN("project"));
        refused!(404, auth, websocktunnelToken("audience", "client"));
        refused!(400, auth, gcpCredentials("-", "a@b.example.com"));
        let wanted = json!({"permissions": {"contents": "read"}, "repositories": ["repo"]});
        refused!(404, auth, githubRepoToken("app", "owner", &wanted));
        let nobody = auth_of(&self.root_url, None, None);
        assert_eq!(status(call!(nobody, listRoles())), 200);
        refused!(403, nobody, createClient("conformance/x", &definition(&[])));

        let url = format!("{}/references/auth/v1/api.json", self.root_url);
        let reference: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        let entries = reference["entries"].as_array().unwrap().iter();
        let known: BTreeSet<&str> = entries.map(|it| it["name"].as_str().unwrap()).collect();
        let called = CALLED.lock().unwrap().clone();
        let uncalled: Vec<_> = known
            .difference(&called)
            .filter(|name| !GONE.contains(name))
            .collect();
        assert!(uncalled.is_empty(), "not called: {uncalled:?}");
        eprintln!("ok each of the {} methods was called", called.len());
    }
}

fn auth_of(root_url: &str, who: Option<Credentials>, authorized: Option<&[&str]>) -> Auth {
    let mut builder = ClientBuilder::new(root_url).retry(Retry {
        retries: 0,
        ..Retry::default()
    });
    if let Some(who) = who {
        builder = builder.credentials(who);
    }
    if let Some(scopes) = authorized {
        builder = builder.authorized_scopes(scopes);
    }
    Auth::new(builder).unwrap()
}

/// What createClient takes. The expiry is a fixed one, so that the same can be asked for again.
fn definition(scopes: &[&str]) -> Value {
    let description = "made by a conformance test";
    json!({"expires": "2100-01-01T00:00:00.000Z", "description": description, "scopes": scopes})
}

fn credentials(made: &Value) -> Credentials {
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    Credentials::new(text("clientId"), text("accessToken"))
}

fn scopes(answer: &Value) -> Vec<&str> {
    let scopes = answer["scopes"].as_array().unwrap().iter();
    scopes.map(|scope| scope.as_str().unwrap()).collect()
}

/// The same credentials with something else in the certificate.
fn altered(who: &Credentials, name: &str, value: Value) -> Credentials {
    let mut certificate: Value = serde_json::from_str(who.certificate.as_ref().unwrap()).unwrap();
    certificate[name] = value;
    let (id, token) = (&who.client_id, &who.access_token);
    Credentials::new_with_certificate(id.as_str(), token.as_str(), certificate.to_string())
}

/// The same credentials as if they had ended an hour ago.
#[expect(
    clippy::disallowed_methods,
    reason = "a client's clock is the machine's"
)]
fn past(who: &Credentials) -> Credentials {
    let ended = (Utc::now() - TimeDelta::hours(1)).timestamp_millis();
    let started = altered(who, "start", (ended - 3_600_000).into());
    altered(&started, "expiry", ended.into())
}

async fn get(url: &str) -> u16 {
    reqwest::get(url).await.unwrap().status().as_u16()
}

/// The runtime is the scenario's alone: starting and stopping the server blocks.
fn run(database: Database) {
    let server = Server::start(database).unwrap();
    let scenario = Scenario::new(&server);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        scenario.clients().await;
        scenario.roles().await;
        scenario.issued().await;
        scenario.tests().await;
        scenario.all_others().await;
    });
    server.stop().unwrap();
}

#[test]
fn the_official_rust_client_arranges_access_on_sqlite() {
    run(Database::sqlite());
}

#[test]
fn the_official_rust_client_arranges_access_on_postgres() {
    run(Database::postgres().unwrap());
}
