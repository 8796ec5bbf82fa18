//! Who may do what: scopes, roles, Hawk requests, temporary credentials, signed URLs, and the
//! encryption of secrets at rest.
//!
//! Everything but [`directory`] is a pure function of its arguments: no database, no HTTP types, no
//! clock; only new identifiers, tokens and nonces take random bytes. The directory keeps clients
//! and roles in the store.
//!
//! A request goes through [`authenticate()`], which answers with the scopes it may use; a method's
//! [`Expression`] is rendered with the request's parameters and checked against them:
//!
//! ```
//! use taskyard_access::{Expression, HawkRequest, Outcome, Param, Role, Roles, authenticate};
//!
//! let roles = Roles::new(&[Role {
//!     role_id: "anonymous".into(),
//!     scopes: vec!["queue:get-task:*".into()],
//! }]);
//! let request = HawkRequest {
//!     method: "GET",
//!     target: "/api/queue/v1/task/abc",
//!     host: "localhost",
//!     port: 80,
//!     authorization: None,
//! };
//! let Outcome::Anonymous { scopes, .. } = authenticate(&request, 0, &|_| None, &roles) else {
//!     panic!("a request without credentials is anonymous");
//! };
//!
//! let expression: Expression = serde_json::from_str(r#""queue:get-task:<taskId>""#)?;
//! let required = expression.render(&|name| (name == "taskId").then(|| Param::from("abc")))?;
//! assert!(required.is_none_or(|required| required.satisfied_by(&scopes)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod authenticate;
pub mod bewit;
pub mod certificate;
pub mod client;
#[cfg(feature = "directory")]
pub mod directory;
mod expansion_cache;
pub mod expression;
mod ext;
pub mod hawk;
pub mod host;
pub mod rendered;
pub mod role;
mod role_check;
mod role_index;
pub mod scope;
pub mod scope_set;
pub mod seal;
#[cfg(feature = "directory")]
pub mod secrets;
pub mod sign;
pub mod slugid;
pub mod temporary;
#[cfg(feature = "directory")]
pub mod token;

pub use authenticate::{Authenticated, HawkRequest, Outcome, authenticate};
pub use client::{Client, Secret, new_access_token};
#[cfg(feature = "directory")]
pub use directory::{Deed, Directory, DirectoryError, Snapshot};
pub use expression::{Expression, Param, RenderError};
pub use hawk::{payload_hash, payload_hash_matches};
pub use host::{HostError, HostPort, host_and_port};
pub use rendered::Rendered;
pub use role::{Role, Roles};
pub use role_check::{RoleError, check};
pub use scope_set::{ScopeList, ScopeSet};
pub use seal::{Place, SealError, Sealer};
pub use sign::{Credentials, Payload, SignError, Signer};
pub use temporary::{TemporaryCredentials, TemporaryError};
#[cfg(feature = "directory")]
pub use token::Token;
