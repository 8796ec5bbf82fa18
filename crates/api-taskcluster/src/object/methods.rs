//! The object service's table of contents.

use serde_json::json;

use super::{Objects, downloads, uploads};
use crate::method::Verb::{Get, Post, Put};
use crate::method::{Method, handler};
use crate::monitoring;

/// Title and description of the service.
pub(super) const ABOUT: (&str, &str) = (
    "Object Service",
    "Keeps named bytes that never change, and says how to upload and to download them.",
);

const UPLOAD: &str = "Upload";
const DOWNLOAD: &str = "Download";

/// All methods, in the order of the reference.
pub(super) fn methods() -> Vec<Method<Objects>> {
    let mut methods = monitoring::methods();
    methods.extend([
        Method::new(
            "createUpload",
            Put,
            "/upload/<name>",
            handler!(uploads::create_upload),
        )
        .scopes(json!("object:upload:<projectId>:<name>"))
        .input("v1/create-upload-request.json#")
        .output("v1/create-upload-response.json#")
        .about(
            UPLOAD,
            "Begin an upload",
            "Begins to upload an object: of the ways that the caller proposes one is chosen.",
        ),
        Method::new(
            "finishUpload",
            Post,
            "/finish-upload/<name>",
            handler!(uploads::finish_upload),
        )
        .scopes(json!("object:upload:<projectId>:<name>"))
        .input("v1/finish-upload-request.json#")
        .about(
            UPLOAD,
            "Finish an upload",
            "Says that the content has been uploaded. From now on it can be had, and cannot change.",
        ),
        Method::new(
            "startDownload",
            Put,
            "/start-download/<name>",
            handler!(downloads::start_download),
        )
        .scopes(json!("object:download:<name>"))
        .input("v1/download-object-request.json#")
        .output("v1/download-object-response.json#")
        .about(
            DOWNLOAD,
            "Begin a download",
            "Tells how to get an object: of the ways that the caller knows one is chosen.",
        ),
        Method::new(
            "object",
            Get,
            "/metadata/<name>",
            handler!(downloads::object),
        )
        .scopes(json!("object:download:<name>"))
        .output("v1/get-object-response.json#")
        .about("Objects", "Object", "What is known of an object."),
        Method::new(
            "download",
            Get,
            "/download/<name>",
            handler!(downloads::download),
        )
        .scopes(json!("object:download:<name>"))
        .about(
            DOWNLOAD,
            "Download an object",
            "Redirects to the content of an object, for browsers and the like.",
        ),
    ]);
    methods
}
