use std::collections::VecDeque;
use std::pin::Pin;

use super::error::Error;

type Fetch<T> = Pin<Box<dyn Future<Output = Result<(Vec<T>, String), Error>> + Send>>;

/// A listing that fetches its pages as they are needed.
pub struct Pages<T> {
    fetch: Box<dyn Fn(String) -> Fetch<T> + Send + Sync>,
    ready: VecDeque<T>,
    /// Token of the next page; `None` after the last.
    next: Option<String>,
}

impl<T> Pages<T> {
    pub(super) fn new(fetch: impl Fn(String) -> Fetch<T> + Send + Sync + 'static) -> Self {
        Self {
            fetch: Box::new(fetch),
            ready: VecDeque::new(),
            next: Some(String::new()),
        }
    }

    /// The same, beginning with the page of `token`.
    pub fn from_token(mut self, token: impl Into<String>) -> Self {
        self.next = Some(token.into());
        self
    }

    /// The next page, and the token of the one after it, empty after the last. `None` at the end.
    ///
    /// # Errors
    /// As every call. The same page can be asked for again.
    pub async fn next_page(&mut self) -> Result<Option<(Vec<T>, String)>, Error> {
        let Some(token) = self.next.clone() else {
            return Ok(None);
        };
        let (items, next) = (self.fetch)(token).await?;
        self.next = Some(next.clone()).filter(|next| !next.is_empty());
        Ok(Some((items, next)))
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// As every call. It can be asked for again.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        while self.ready.is_empty() {
            match self.next_page().await? {
                // A page may be empty although there are more.
                Some((items, _)) => self.ready.extend(items),
                None => return Ok(None),
            }
        }
        Ok(self.ready.pop_front())
    }

    /// All items that are left.
    ///
    /// # Errors
    /// As every call.
    pub async fn all(mut self) -> Result<Vec<T>, Error> {
        let mut all: Vec<T> = self.ready.drain(..).collect();
        while let Some((items, _)) = self.next_page().await? {
            all.extend(items);
        }
        Ok(all)
    }
}

impl<T> std::fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages")
            .field("ready", &self.ready.len())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
