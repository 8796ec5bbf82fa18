//! Reading a large task group page by page, as those do who wait for its end.

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// Where one reader of a group stands. After the last page it begins anew.
#[derive(Debug)]
pub(crate) struct Listing {
    path: String,
    /// Tasks that there must be.
    size: u64,
    seen: u64,
    token: Option<String>,
}

/// A page, as far as its reader needs it to go on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    tasks: Vec<IgnoredAny>,
    #[serde(borrow, default)]
    continuation_token: Option<Cow<'a, str>>,
}

impl Listing {
    /// A reader at the first page of a group of `size` tasks.
    pub(crate) fn new(task_group_id: &str, size: u64) -> Self {
        Self {
            path: format!("/api/queue/v1/task-group/{task_group_id}/list"),
            size,
            seen: 0,
            token: None,
        }
    }

    /// What to ask for next: a page of the size that clients get who do not say one.
    pub(crate) fn target(&self) -> String {
        match &self.token {
            Some(token) => format!("{}?continuationToken={token}", self.path),
            None => self.path.clone(),
        }
    }

    /// Goes on to the next page.
    ///
    /// # Errors
    /// The answer is no page, or the pages together are not the group.
    pub(crate) fn turn(&mut self, body: &[u8]) -> Result<()> {
        let page: Page<'_> =
            serde_json::from_slice(body).context("listTaskGroup's answer is not understood")?;
        self.seen += page.tasks.len() as u64;
        self.token = page.continuation_token.map(Cow::into_owned);
        if self.token.is_none() {
            ensure!(
                self.seen == self.size,
                "the group was listed with {} of {} tasks",
                self.seen,
                self.size
            );
            self.seen = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_last_page_the_first_comes_again() {
        let mut listing = Listing::new("group", 3);
        let first = listing.target();
        listing
            .turn(br#"{"tasks":[1,2],"continuationToken":"next"}"#)
            .unwrap();
        assert_eq!(listing.target(), format!("{first}?continuationToken=next"));
        listing.turn(br#"{"tasks":[3]}"#).unwrap();
        assert_eq!(listing.target(), first);
    }

    #[test]
    fn a_group_that_is_not_whole_is_an_error() {
        let mut listing = Listing::new("group", 3);
        let error = listing.turn(br#"{"tasks":[1,2]}"#).unwrap_err();
        assert!(error.to_string().contains("2 of 3"), "{error}");
        assert!(listing.turn(b"{}").is_err());
    }
}
