//! Lists that come in pages.

use serde::de::DeserializeOwned;

use crate::{Call, Result, Service};

/// Which part of a listing is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Token of the page before; `None` for the first.
    pub continuation_token: Option<String>,
    /// Most entries wanted; `None` for the server's own limit.
    pub limit: Option<u32>,
}

/// A page of anything: its entries, and the token of the page that follows.
pub(super) trait Listing: DeserializeOwned {
    type Item;

    fn into_parts(self) -> (Vec<Self::Item>, Option<String>);
}

// === impl Page ===

impl Page {
    /// The page after the one whose token is given.
    pub fn after(continuation_token: String) -> Self {
        Self {
            continuation_token: Some(continuation_token),
            limit: None,
        }
    }
}

/// One page of the list at `path`.
pub(super) async fn list<T: DeserializeOwned>(
    service: &Service,
    path: &[&str],
    page: &Page,
) -> Result<T> {
    let limit = page.limit.map(|limit| limit.to_string());
    let mut call = Call::get(path);
    if let Some(token) = &page.continuation_token {
        call = call.query("continuationToken", token);
    }
    if let Some(limit) = &limit {
        call = call.query("limit", limit);
    }
    service.send(call).await?.json()
}

/// The list at `path`, whole.
pub(super) async fn list_all<L: Listing>(service: &Service, path: &[&str]) -> Result<Vec<L::Item>> {
    let mut all = Vec::new();
    let mut page = Page::default();
    loop {
        let (items, token) = list::<L>(service, path, &page).await?.into_parts();
        all.extend(items);
        match token.filter(|token| !token.is_empty()) {
            Some(token) => page = Page::after(token),
            None => return Ok(all),
        }
    }
}
