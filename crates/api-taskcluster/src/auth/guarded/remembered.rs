//! What was found out at a service outside, for as long as it is good.

use std::collections::HashMap;

use parking_lot::Mutex;
use taskyard_engine::Timestamp;

/// From so many entries on, those that have passed are cleared away.
const MANY: usize = 1000;

/// Values by name, each until a time.
#[derive(Debug)]
pub(in crate::auth) struct Remembered<V> {
    known: Mutex<HashMap<String, (V, Timestamp)>>,
}

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        Remembered {
            known: Mutex::default(),
        }
    }
}

impl<V: Clone> Remembered<V> {
    /// The value of `name`, if it is still good at `now`.
    pub(in crate::auth) fn get(&self, name: &str, now: Timestamp) -> Option<V> {
        let known = self.known.lock();
        let (value, until) = known.get(name)?;
        (*until > now).then(|| value.clone())
    }

    /// Remembers the value of `name` until a time.
    pub(in crate::auth) fn put(&self, name: String, value: V, now: Timestamp, until: Timestamp) {
        let mut known = self.known.lock();
        if known.len() >= MANY {
            known.retain(|_, (_, until)| *until > now);
        }
        known.insert(name, (value, until));
    }

    /// Forgets the value of `name`, which has turned out to be good no longer.
    pub(in crate::auth) fn forget(&self, name: &str) {
        self.known.lock().remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_forgotten_when_its_time_has_come() {
        let at = Timestamp::from_millis;
        let known = Remembered::default();
        known.put("a".to_owned(), 1, at(0), at(10));
        assert_eq!(known.get("a", at(9)), Some(1));
        assert_eq!(known.get("a", at(10)), None);
        assert_eq!(known.get("b", at(0)), None);
        for number in 0..2 * MANY {
            known.put(number.to_string(), 2, at(20), at(21));
        }
        known.put("c".to_owned(), 3, at(30), at(40));
        assert_eq!(known.known.lock().len(), 1);
    }
}
