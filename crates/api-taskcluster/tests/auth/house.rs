//! An auth service on a database of its own, asked the way clients ask it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use taskyard_access::sign::{Destination, nonce};
use taskyard_access::{Credentials, Directory, Payload, Sealer, Signer};
use taskyard_api_taskcluster::auth::{Auth, Guarded};
use taskyard_api_taskcluster::schema::Schemas;
use taskyard_api_taskcluster::{Context, Service};
use taskyard_engine::clock::Clock;
use taskyard_store::testing::{Database, Kind};

/// The host that requests are made to.
pub(crate) const HOST: &str = "auth.test";

pub(crate) struct House {
    pub(crate) service: Service<Auth>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) schemas: Arc<Schemas>,
    pub(crate) clock: Clock,
    reference: Value,
    root: Credentials,
    // Dropped last: the store lets go of the database before that is removed.
    pub(crate) database: Database,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The body, if it is JSON.
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) async fn read(response: axum::response::Response) -> Self {
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .expect("a body");
        Answer {
            status,
            json: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }

    /// Asserts that it succeeded; the body.
    #[track_caller]
    pub(crate) fn granted(self) -> Value {
        assert!(self.status < 300, "{self:?}");
        self.json
    }

    /// Asserts that it is this error; the text of it.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> String {
        assert_eq!(
            (self.status, self.json["code"].as_str()),
            (status, Some(code)),
            "{self:?}"
        );
        let message = self.json["message"].as_str().expect("a message");
        message
            .split("\n\n---\n\n")
            .next()
            .unwrap_or_default()
            .to_owned()
    }
}

impl House {
    pub(crate) async fn new(kind: Kind) -> Self {
        Self::guarding(kind, Guarded::default()).await
    }

    pub(crate) async fn guarding(kind: Kind, guarded: Guarded) -> Self {
        let database = Database::new(kind);
        let clock = Clock::default();
        let directory = open(&database).await;
        let now = clock.now().millis();
        let made = directory.ensure_client(now, "root", &["*"], "", None).await;
        let access_token = made.expect("the client is made").0;
        let root = Credentials {
            client_id: "root".to_owned(),
            access_token,
            certificate: None,
        };
        let schemas = Arc::new(Schemas::load("http://auth.test").expect("the schemas are whole"));
        let context = Context {
            clock: clock.clone(),
            directory: Arc::clone(&directory),
            schemas: Arc::clone(&schemas),
            trust_forwarded: false,
        };
        let service = Auth::service(guarded, context);
        let reference = service.reference();
        House {
            service,
            directory,
            schemas,
            clock,
            reference,
            root,
            database,
        }
    }

    pub(crate) fn root(&self) -> Credentials {
        self.root.clone()
    }

    /// What createClient takes, for a client that lives another day.
    pub(crate) fn definition(&self, scopes: &[&str]) -> Value {
        json!({
            "expires": self.clock.now().plus(Duration::from_hours(24)).to_iso(),
            "description": "for a test",
            "scopes": scopes,
        })
    }

    /// Creates a client; its credentials.
    pub(crate) async fn client(&self, client_id: &str, scopes: &[&str]) -> Credentials {
        let made = self
            .call("createClient", &[client_id], Some(self.definition(scopes)))
            .await;
        credentials(&made.granted())
    }

    /// Creates a role.
    pub(crate) async fn role(&self, role_id: &str, scopes: &[&str]) {
        let body = json!({"description": "for a test", "scopes": scopes});
        self.call("createRole", &[role_id], Some(body))
            .await
            .granted();
    }

    /// Calls a method as the root client.
    pub(crate) async fn call(&self, method: &str, args: &[&str], body: Option<Value>) -> Answer {
        self.call_as(Some(&self.root()), method, args, body).await
    }

    /// Calls a method. A good answer has the shape that the reference promises.
    pub(crate) async fn call_as(
        &self,
        who: Option<&Credentials>,
        method: &str,
        args: &[&str],
        body: Option<Value>,
    ) -> Answer {
        let entry = self.entry(method);
        let answer = self
            .ask(who, verb(entry), &target(entry, args), body.as_ref())
            .await;
        self.check(entry, &answer);
        answer
    }

    /// Calls a method with a query, as the root client.
    pub(crate) async fn get(&self, method: &str, args: &[&str], query: &str) -> Answer {
        let entry = self.entry(method);
        let target = format!("{}?{query}", target(entry, args));
        let answer = self
            .ask(Some(&self.root()), verb(entry), &target, None)
            .await;
        self.check(entry, &answer);
        answer
    }

    /// Sends a request, signed if there are credentials.
    pub(crate) async fn ask(
        &self,
        who: Option<&Credentials>,
        verb: &str,
        target: &str,
        body: Option<&Value>,
    ) -> Answer {
        let body = body.map(Value::to_string);
        let mut request = Request::builder()
            .method(verb)
            .uri(target)
            .header("host", HOST);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        if let Some(who) = who {
            let header = self.header(who, verb, target, body.as_deref());
            request = request.header("authorization", header);
        }
        let body = Body::from(body.unwrap_or_default());
        self.send(request.body(body).expect("a request")).await
    }

    /// The header that signs a request now.
    pub(crate) fn header(
        &self,
        who: &Credentials,
        verb: &str,
        target: &str,
        body: Option<&str>,
    ) -> String {
        self.header_with(who, None, verb, target, body)
    }

    /// The header that signs a request now, for some scopes only.
    pub(crate) fn header_with(
        &self,
        who: &Credentials,
        scopes: Option<&[String]>,
        verb: &str,
        target: &str,
        body: Option<&str>,
    ) -> String {
        let signer = Signer::new(who, scopes).expect("usable credentials");
        let to = Destination {
            target,
            host: HOST,
            port: 80,
        };
        let payload = body.map(|body| Payload {
            content_type: "application/json",
            body: body.as_bytes(),
        });
        let seconds = self.clock.now().millis() / 1000;
        signer.authorization_header(verb, &to, seconds, &nonce(), payload)
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::read(self.service.answer(request).await).await
    }

    /// Moves the clock.
    pub(crate) fn wait(&self, time: Duration) {
        self.clock
            .move_by(i64::try_from(time.as_micros()).expect("not for ever"));
    }

    fn entry(&self, method: &str) -> &Value {
        let entries = self.reference["entries"].as_array().expect("entries");
        entries
            .iter()
            .find(|entry| entry["name"] == method)
            .expect(method)
    }

    #[track_caller]
    fn check(&self, entry: &Value, answer: &Answer) {
        if answer.status >= 300 {
            let message = answer.json["message"].as_str().unwrap_or_default();
            let method = format!("* method:     {}", entry["name"].as_str().expect("a name"));
            assert!(message.contains(&method), "{answer:?}");
            return;
        }
        if let Some(output) = entry["output"].as_str() {
            let mut body = answer.json.clone();
            let checked = self.schemas.validate(&format!("auth/{output}"), &mut body);
            assert_eq!(checked, Ok(()), "{answer:?}");
        }
    }
}

/// The credentials in an answer to createClient.
pub(crate) fn credentials(answer: &Value) -> Credentials {
    Credentials {
        client_id: answer["clientId"].as_str().expect("an id").to_owned(),
        access_token: answer["accessToken"].as_str().expect("a token").into(),
        certificate: None,
    }
}

/// A directory over a database, as a node opens it.
pub(crate) async fn open(database: &Database) -> Arc<Directory> {
    let migrations = [
        taskyard_events::MIGRATIONS,
        taskyard_access::directory::MIGRATIONS,
    ]
    .concat();
    let store = database.open(&migrations);
    let sealer = Arc::new(Sealer::new(&[7; 32]));
    Arc::new(
        Directory::open(store, sealer, false)
            .await
            .expect("the directory opens"),
    )
}

fn verb(entry: &Value) -> &'static str {
    match entry["method"].as_str() {
        Some("get") => "GET",
        Some("put") => "PUT",
        Some("post") => "POST",
        Some("delete") => "DELETE",
        other => panic!("{other:?}"),
    }
}

/// The path of a method, with every argument escaped as clients do.
fn target(entry: &Value, args: &[&str]) -> String {
    let mut path = entry["route"].as_str().expect("a route").to_owned();
    let names = entry["args"].as_array().expect("args");
    assert_eq!(names.len(), args.len(), "{path}");
    for (name, arg) in names.iter().zip(args) {
        let hole = format!("<{}>", name.as_str().expect("a name"));
        path = path.replace(&hole, &escaped(arg));
    }
    format!("/api/auth/v1{path}")
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
