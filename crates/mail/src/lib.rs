//! Mails that the server sends for its users.
//!
//! Who may have a mail sent writes what stands in it, so all of a [`Mail`] is hostile: its content is
//! Markdown that becomes HTML without scripts, pictures or styles, its address and subject cannot add
//! headers, its link leads to the web or to a mailbox. Nothing that content refers to is fetched. A
//! [`Mailer`] hands mails to one SMTP server and gives up on a slow one in bounded time.

mod address;
mod error;
mod html;
mod link;
mod mail;
mod mailer;
mod markdown;
mod message;
mod page;
mod server;
mod session;
mod stream;

pub use error::MailError;
pub use mail::{Link, Mail, Template};
pub use mailer::Mailer;
