//! gRPC: one route for all methods, whose messages are known by their descriptors.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf as _, BufMut as _};
use http::Request;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use taskyard_http::body::{self, IDLE};
use tonic::codec::{
    BufferSettings, Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder,
};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

use crate::caller::Caller;
use crate::failure::Failure;
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
    let codec = Messages {
        input: call.input.clone(),
    };
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

impl UnaryService<DynamicMessage> for Handler {
    type Response = Answered;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Answered>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<DynamicMessage>) -> Self::Future {
        let service = self.service.clone();
        let asked = Asked {
            call: Arc::clone(&self.call),
            caller: self.caller.clone(),
            message: request.into_inner(),
            raw: None,
            by_rest: false,
        };
        Box::pin(async move {
            let answered = service.handle(asked).await;
            answered
                .map(tonic::Response::new)
                .map_err(|failure| failure.into_grpc(service.schema()))
        })
    }
}

/// Reads and writes messages by their descriptors.
struct Messages {
    input: MessageDescriptor,
}

impl Codec for Messages {
    type Encode = Answered;
    type Decode = DynamicMessage;
    type Encoder = Writer;
    type Decoder = Reader;

    fn encoder(&mut self) -> Writer {
        Writer
    }

    fn decoder(&mut self) -> Reader {
        Reader(self.input.clone())
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

struct Reader(MessageDescriptor);

impl Decoder for Reader {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        // One piece of memory, of which bytes fields become slices.
        let bytes = from.copy_to_bytes(from.remaining());
        DynamicMessage::decode(self.0.clone(), bytes)
            .map(Some)
            .map_err(|error| Status::invalid_argument(format!("The message is broken: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}
