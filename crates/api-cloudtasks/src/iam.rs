//! Permissions, the predefined roles that hold them, and the policies of queues.

mod members;
pub(crate) mod methods;
mod permission;
pub(crate) mod policy;
mod role;

pub(crate) use self::permission::Permission;
