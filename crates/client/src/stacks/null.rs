//! The service says `null` where a field has no value; a reader takes it for the empty one.

use serde::{Deserialize, Deserializer};

pub(super) fn default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
