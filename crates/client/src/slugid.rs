//! Task ids and other slugs: 22 characters that stand for a random UUID.

pub use taskyard_access::slugid::{decode, encode, is_valid, nice, v4};
