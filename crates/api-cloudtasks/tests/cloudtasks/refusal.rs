//! A call that is refused, over HTTP/JSON and over gRPC.

use base64::Engine as _;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use tonic::Code;

use crate::grpc;
use crate::yard::Yard;

pub(crate) const VERSIONS: [&str; 3] = ["v2", "v2beta3", "v2beta2"];

/// A call that is refused, and in which words.
pub(crate) struct Row {
    rpc: &'static str,
    request: Value,
    code: Code,
    text: String,
    details: Value,
}

pub(crate) fn row(rpc: &'static str, request: Value, code: Code, text: impl Into<String>) -> Row {
    let (text, details) = (text.into(), Value::Null);
    Row {
        rpc,
        request,
        code,
        text,
        details,
    }
}

/// A call that is wrong in itself.
pub(crate) fn invalid(rpc: &'static str, request: Value, text: impl Into<String>) -> Row {
    row(rpc, request, Code::InvalidArgument, text)
}

pub(crate) fn with_help(mut row: Row, description: &str, url: &str) -> Row {
    let base = "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues";
    row.details = json!([{
        "@type": "type.googleapis.com/google.rpc.Help",
        "links": [{"description": description, "url": format!("{base}{url}")}],
    }]);
    row
}

pub(crate) fn with_info(mut row: Row, reason: &str, metadata: Value) -> Row {
    row.details = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": metadata,
    }]);
    row
}

/// How a code is called in JSON, and its HTTP status.
fn in_http(code: Code) -> (&'static str, u16) {
    match code {
        Code::InvalidArgument => ("INVALID_ARGUMENT", 400),
        Code::FailedPrecondition => ("FAILED_PRECONDITION", 400),
        Code::Unauthenticated => ("UNAUTHENTICATED", 401),
        Code::PermissionDenied => ("PERMISSION_DENIED", 403),
        Code::NotFound => ("NOT_FOUND", 404),
        Code::AlreadyExists => ("ALREADY_EXISTS", 409),
        Code::Aborted => ("ABORTED", 409),
        other => panic!("no row has {other:?}"),
    }
}

/// Makes calls over both transports.
pub(crate) struct Caller {
    http2: reqwest::Client,
    pool: DescriptorPool,
}

impl Caller {
    pub(crate) fn new() -> Self {
        let descriptors = include_bytes!("../../proto/descriptors.binpb");
        Caller {
            http2: grpc::http2(),
            pool: DescriptorPool::decode(&descriptors[..]).expect("descriptors"),
        }
    }

    /// Each row, over each transport.
    pub(crate) async fn check(&self, yard: &Yard, version: &str, rows: Vec<Row>) {
        for row in rows {
            let request = row.request.to_string();
            let said = &request[..request.len().min(300)];
            let about = format!("{version} {} {said}", row.rpc);
            self.check_rest(yard, version, &row, &about).await;
            self.check_grpc(yard, version, &row, &about).await;
        }
    }

    async fn check_rest(&self, yard: &Yard, version: &str, row: &Row, about: &str) {
        let (method, path, body) = rest(row.rpc, &row.request);
        let mut request = yard.request(method, &format!("/{version}/{path}"));
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let refused = yard.send(request).await;
        let (name, status) = in_http(row.code);
        assert_eq!(refused.refusal(), (status, name, &row.text[..]), "{about}");
        assert_eq!(refused.json["error"]["details"], row.details, "{about}");
    }

    async fn check_grpc(&self, yard: &Yard, version: &str, row: &Row, about: &str) {
        let service = format!("google.cloud.tasks.{version}.CloudTasks");
        let found = self.pool.get_service_by_name(&service).expect("a service");
        let method = found.methods().find(|method| method.name() == row.rpc);
        let kind = method.expect(row.rpc).input();
        let message = DynamicMessage::deserialize(kind, row.request.clone());
        let message = message.expect("a message").encode_to_vec();
        let path = format!("/{service}/{}", row.rpc);
        let reply = grpc::call(yard, &self.http2, &path, &message).await;
        assert_eq!(reply.status, (row.code as i32).to_string(), "{about}");
        let text = percent_decode_str(&reply.text).decode_utf8_lossy();
        assert_eq!(text, row.text, "{about}");
        if row.details.is_null() {
            assert_eq!(reply.details, "", "{about}");
            return;
        }
        // A `google.rpc.Status` that says all of it again.
        let bytes = base64::engine::general_purpose::STANDARD_NO_PAD;
        let bytes = bytes
            .decode(reply.details.trim_end_matches('='))
            .expect("base64");
        let status = self.pool.get_message_by_name("google.rpc.Status");
        let status = DynamicMessage::decode(status.expect("a status"), &bytes[..]);
        let status = serde_json::to_value(status.expect("a message")).expect("JSON");
        let expected = json!({
            "code": row.code as i32, "message": row.text, "details": row.details,
        });
        assert_eq!(status, expected, "{about}");
    }
}

/// Method, path and body of a request, as the definitions of the service have it.
pub(crate) fn rest(rpc: &str, request: &Value) -> (&'static str, String, Option<Value>) {
    let of = |field: &str| request[field].as_str().expect(field).to_owned();
    let query = |fields: &[&str]| {
        let said = fields.iter().filter(|field| !request[**field].is_null());
        let said = said.map(|field| {
            let value = match &request[*field] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            format!("{field}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
        });
        said.collect::<Vec<_>>().join("&")
    };
    let pages = ["filter", "pageSize", "pageToken"];
    match rpc {
        "ListQueues" => (
            "GET",
            format!("{}/queues?{}", of("parent"), query(&pages)),
            None,
        ),
        "ListTasks" => (
            "GET",
            format!("{}/tasks?{}", of("parent"), query(&pages)),
            None,
        ),
        "GetQueue" | "GetTask" => ("GET", of("name"), None),
        "DeleteQueue" | "DeleteTask" => ("DELETE", of("name"), None),
        "CreateQueue" => (
            "POST",
            format!("{}/queues", of("parent")),
            Some(request["queue"].clone()),
        ),
        "UpdateQueue" => {
            let name = request["queue"]["name"].as_str().expect("a name");
            let path = format!("{name}?{}", query(&["updateMask"]));
            ("PATCH", path, Some(request["queue"].clone()))
        }
        "CreateTask" => (
            "POST",
            format!("{}/tasks", of("parent")),
            Some(request.clone()),
        ),
        "LeaseTasks" | "BatchCreateTasks" | "BatchDeleteTasks" => {
            let verb = rpc.replace("Tasks", "");
            let verb = format!("{}{}", verb[..1].to_lowercase(), &verb[1..]);
            (
                "POST",
                format!("{}/tasks:{verb}", of("parent")),
                Some(request.clone()),
            )
        }
        _ => {
            let suffix = if rpc.contains("Iam") { "" } else { "Queue" };
            let verb = rpc.strip_suffix(suffix).unwrap_or(rpc);
            let verb = verb.strip_suffix("Task").unwrap_or(verb);
            let verb = format!("{}{}", verb[..1].to_lowercase(), &verb[1..]);
            let of = if rpc.contains("Iam") {
                of("resource")
            } else {
                of("name")
            };
            ("POST", format!("{of}:{verb}"), Some(request.clone()))
        }
    }
}
