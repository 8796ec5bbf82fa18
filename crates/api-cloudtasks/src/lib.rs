//! Google Cloud Tasks, versions v2, v2beta3 and v2beta2, over gRPC and over HTTP/JSON on one port.
//!
//! A request comes in as a gRPC call (`grpc`) or as HTTP/JSON (`rest`); both make the same
//! message of it and hand it to the same handler of `rpc`'s table of contents. A handler turns
//! the message into the engine's types, makes one engine call, and turns the answer back into the
//! message of the version that was asked. Messages are kept by their descriptors, but for those of
//! the hottest path: a request of `CreateTask` over gRPC is read once (`received`), and an answer
//! that is a task is written right away (`draft`). The definitions of all messages are in `proto/`.

mod caller;
mod cmek;
mod draft;
mod exchanges;
mod failure;
mod grpc;
mod history;
mod iam;
mod location;
mod mask;
mod message;
mod name;
mod operation;
mod page;
mod queue;
mod received;
mod refusal;
mod rest;
mod rpc;
mod schema;
mod service;
mod shape;
mod target;
mod task;
mod time;
mod version;

pub use self::exchanges::{exchanges, listening_scope, translator};
pub use self::schema::SchemaError;
pub use self::service::{CloudTasks, Identity, Parts, Runner};
