//! Namespaces, which hold tasks and other namespaces.

use std::sync::Arc;

use serde::Serialize;
use taskyard_engine::index;

use super::Index;
use crate::call::Call;
use crate::error::ApiError;
use crate::paging;
use crate::reply::Reply;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    namespaces: Vec<Body>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation_token: Option<String>,
}

#[derive(Serialize)]
struct Body {
    namespace: String,
    name: String,
    expires: String,
}

/// Also for bodies that say which part of the list is wanted, as old clients send them.
pub(super) async fn list_namespaces(index: Arc<Index>, call: Call) -> Result<Reply, ApiError> {
    let call = call.with_page_of_body();
    let (parent, now) = (call.param("namespace").to_owned(), call.now);
    let (limit, after) = (
        paging::limit(&call),
        paging::position(&call, String::new())?,
    );
    let found = index
        .store
        .read(move |tx| index::namespaces(tx, now, &parent, &after, limit + 1));
    let mut found = found.await?;
    let continuation_token = paging::cut(&mut found, limit, |namespace| namespace.name.clone());
    let namespaces = found.into_iter().map(|namespace| Body {
        namespace: namespace.path,
        name: namespace.name,
        expires: namespace.expires.to_iso(),
    });
    Ok(Reply::json(&Page {
        namespaces: namespaces.collect(),
        continuation_token,
    }))
}
