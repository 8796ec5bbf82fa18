//! Ceilings that benchmarks compare with: this listener, and nothing behind it. They stand only
//! where `TASKYARD_BENCH` is set.

use std::future::{Ready, ready};

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Buf as _;
use http::{Request, StatusCode};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Response, Status};

/// The path of a unary method of gRPC whose messages are empty.
const EMPTY_CALL: &str = "/taskyard.bench.v1.Bench/Empty";

/// An empty handler, and an empty method of gRPC.
pub(crate) fn routes() -> Router {
    let call = |request: Request<Body>| async {
        let answered = Grpc::new(Empty).unary(Empty, request).await;
        answered.map(Body::new)
    };
    Router::new()
        .route("/bench/empty", get(async || StatusCode::NO_CONTENT))
        .route(EMPTY_CALL, post(call))
}

/// A method that does nothing, and how its messages are read and written: not at all.
#[derive(Debug, Clone, Copy)]
struct Empty;

impl UnaryService<()> for Empty {
    type Response = ();
    type Future = Ready<Result<Response<()>, Status>>;

    fn call(&mut self, _request: tonic::Request<()>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

impl Codec for Empty {
    type Encode = ();
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Empty {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Empty {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        from.advance(from.remaining());
        Ok(Some(()))
    }
}
