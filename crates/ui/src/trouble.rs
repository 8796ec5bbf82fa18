//! Why a page cannot be shown, or an action was not done.

use http::StatusCode;

/// What came instead of an answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// There is no such page.
    NoPage,
    /// An API refused.
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its reason, for people.
        message: String,
    },
    /// The request is not one that a page makes.
    Bad(String),
    /// Another site, or another name of this one, made the browser send this.
    Foreign(String),
    /// Something of the server does not work now.
    Broken(String),
}

impl Trouble {
    /// The status of the page that tells.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Trouble::NoPage => StatusCode::NOT_FOUND,
            Trouble::Refused { status, .. } => *status,
            Trouble::Bad(_) => StatusCode::BAD_REQUEST,
            Trouble::Foreign(_) => StatusCode::FORBIDDEN,
            Trouble::Broken(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A heading.
    pub(crate) fn title(&self) -> &'static str {
        match self.status() {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::UNAUTHORIZED => "Not signed in",
            StatusCode::FORBIDDEN => "Not allowed",
            StatusCode::CONFLICT => "Not possible now",
            status if status.is_server_error() => "The server cannot answer now",
            _ => "Not understood",
        }
    }

    /// What to tell.
    pub(crate) fn message(&self) -> &str {
        match self {
            Trouble::NoPage => "There is no page at this address.",
            Trouble::Refused { message, .. }
            | Trouble::Bad(message)
            | Trouble::Foreign(message)
            | Trouble::Broken(message) => message,
        }
    }

    /// Whether somebody with other credentials may fare better.
    pub(crate) fn is_about_rights(&self) -> bool {
        matches!(self, Trouble::Refused { status, .. }
            if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(status))
    }
}
