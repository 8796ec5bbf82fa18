//! A mail as its author wants it.

/// A mail to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// To whom: an address alone, in ASCII.
    pub to: String,
    /// What it is about. Control characters become spaces.
    pub subject: String,
    /// Markdown, as GitHub has it, where a single newline breaks a line. Its size is for the caller to
    /// bound; it takes time and memory in proportion.
    pub content: String,
    /// Shown as a button below the content.
    pub link: Option<Link>,
    /// Whom answers go to instead of the sender: an address alone, in ASCII.
    pub reply_to: Option<String>,
    /// What its HTML looks like.
    pub template: Template,
}

/// Where a button leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What the button says. Control characters become spaces.
    pub text: String,
    /// A URL whose scheme is `http`, `https` or `mailto`.
    pub href: String,
}

/// What the HTML of a mail looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Template {
    /// A narrow column in the middle.
    #[default]
    Simple,
    /// As wide as the window.
    Fullscreen,
}
