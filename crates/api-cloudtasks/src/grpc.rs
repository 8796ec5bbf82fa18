//! gRPC: one route for all methods, whose messages are known by their descriptors.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf as _, BufMut as _};
use http::Request;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use taskyard_http::body::{self, IDLE};
use tonic::codec::{
    BufferSettings, Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder,
};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

use crate::caller::Caller;
use crate::failure::Failure;
use crate::received::Received;
use crate::schema::Call;
use crate::service::{Answered, Asked, CloudTasks};

/// Bytes of a frame before its message.
const FRAME: usize = 5;

/// Buffers that begin as small as most messages are, and grow with the others.
fn buffers() -> BufferSettings {
    BufferSettings::new(1024, 32 * 1024)
}

/// Answers a gRPC request to one of the services' paths.
pub(crate) async fn answer(service: &CloudTasks, request: Request<Body>) -> Response {
    let schema = service.schema();
    let Some(call) = schema.at(request.uri().path()).cloned() else {
        return unimplemented(request.uri().path());
    };
    let (head, body) = request.into_parts();
    let caller = match service.caller(&head, &call) {
        Ok(caller) => caller,
        Err(failure) => return failure.into_grpc(schema).into_http(),
    };
    let limit = caller.limit();
    let read = body::read(body, limit + FRAME, IDLE).await;
    let body = match read {
        Ok(body) => body,
        Err(error) => return refused_body(&error).into_grpc(schema).into_http(),
    };
    let codec = Messages(Arc::clone(&call));
    let handler = Handler {
        service: service.clone(),
        call,
        caller,
    };
    let request = Request::from_parts(head, http_body_util::Full::new(body));
    let mut grpc = Grpc::new(codec)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(limit);
    grpc.unary(handler, request).await.map(Body::new)
}

/// The answer to a gRPC request for something that is not here.
pub(crate) fn unimplemented(path: &str) -> Response {
    Status::unimplemented(format!("There is no method {path} here.")).into_http()
}

fn refused_body(error: &body::Error) -> Failure {
    let code = match error {
        body::Error::TooLarge { .. } => Code::ResourceExhausted,
        body::Error::Stalled { .. } => Code::DeadlineExceeded,
        body::Error::Aborted => Code::Cancelled,
    };
    Failure::new(code, error.to_string())
}

/// One call whose sender is known.
struct Handler {
    service: CloudTasks,
    call: Arc<Call>,
    caller: Caller,
}

/// A request, as its method wants it.
enum Incoming {
    Kept(DynamicMessage),
    Received(Received),
}

impl UnaryService<Incoming> for Handler {
    type Response = Answered;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Answered>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Incoming>) -> Self::Future {
        let service = self.service.clone();
        let (call, caller) = (Arc::clone(&self.call), self.caller.clone());
        Box::pin(async move {
            let answered = match request.into_inner() {
                Incoming::Kept(message) => {
                    let asked = Asked::by_grpc(call, caller, message);
                    service.handle(asked).await
                }
                Incoming::Received(message) => {
                    let asked = Asked::by_grpc(call, caller, message);
                    service.handle_received(asked).await
                }
            };
            answered
                .map(tonic::Response::new)
                .map_err(|failure| failure.into_grpc(service.schema()))
        })
    }
}

/// Reads and writes the messages of a method.
struct Messages(Arc<Call>);

impl Codec for Messages {
    type Encode = Answered;
    type Decode = Incoming;
    type Encoder = Writer;
    type Decoder = Reader;

    fn encoder(&mut self) -> Writer {
        Writer
    }

    fn decoder(&mut self) -> Reader {
        Reader(Arc::clone(&self.0))
    }
}

struct Writer;

impl Encoder for Writer {
    type Item = Answered;
    type Error = Status;

    fn encode(&mut self, item: Answered, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match item {
            Answered::Kept(message) => message
                .encode(into)
                .map_err(|error| Status::internal(error.to_string())),
            Answered::Written(bytes) => {
                into.put_slice(&bytes);
                Ok(())
            }
        }
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

struct Reader(Arc<Call>);

impl Decoder for Reader {
    type Item = Incoming;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Incoming>, Status> {
        // One piece of memory, of which bytes fields become slices.
        let bytes = from.copy_to_bytes(from.remaining());
        let message = match &self.0.received {
            Some(shape) => Received::read(shape, bytes).map(Incoming::Received),
            None => DynamicMessage::decode(self.0.input.clone(), bytes).map(Incoming::Kept),
        };
        message
            .map(Some)
            .map_err(|error| Status::invalid_argument(format!("The message is broken: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}
