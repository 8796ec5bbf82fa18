//! Queues of jobs and the task queues behind them.

use std::collections::BTreeMap;

/// What the queue is called that is meant without a name.
pub(crate) const DEFAULT: &str = "default";
/// The provisioner of queues that nothing else is said about.
const PROVISIONER: &str = "stacks";
/// Longest key of a queue, in bytes.
const LONGEST: usize = 128;

/// Which task queue is behind the key of each queue.
///
/// A key that is not listed stands for `stacks/<key>`; one with a slash for the task queue of that
/// name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueMap {
    to_task_queue: BTreeMap<String, String>,
    to_key: BTreeMap<String, String>,
}

/// Why a text describes no map of queues.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueMapError {
    /// An item is not written as it should be.
    #[error("\"{0}\" is not KEY=PROVISIONER/WORKERTYPE")]
    Item(String),
    /// Two items speak of the same queue.
    #[error("\"{0}\" is there twice")]
    Twice(String),
}

impl QueueMap {
    /// Reads `KEY=PROVISIONER/WORKERTYPE,…`.
    ///
    /// # Errors
    /// The item that is wrong.
    pub fn parse(text: &str) -> Result<Self, QueueMapError> {
        let mut map = QueueMap::default();
        for item in text.split(',').map(str::trim) {
            if item.is_empty() {
                continue;
            }
            let wrong = || QueueMapError::Item(item.to_owned());
            let (key, task_queue) = item.split_once('=').ok_or_else(wrong)?;
            let (provisioner, worker_type) = task_queue.split_once('/').ok_or_else(wrong)?;
            let is_name = |name: &str| {
                (1..=38).contains(&name.len())
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            };
            if !is_key(key) || key.contains('/') || !is_name(provisioner) || !is_name(worker_type) {
                return Err(wrong());
            }
            let twice = |name: &str| QueueMapError::Twice(name.to_owned());
            let known = map
                .to_task_queue
                .insert(key.to_owned(), task_queue.to_owned());
            if known.is_some() {
                return Err(twice(key));
            }
            let known = map.to_key.insert(task_queue.to_owned(), key.to_owned());
            if known.is_some() {
                return Err(twice(task_queue));
            }
        }
        Ok(map)
    }

    /// The task queue behind `key`.
    pub(crate) fn task_queue(&self, key: &str) -> String {
        match self.to_task_queue.get(key) {
            Some(task_queue) => task_queue.clone(),
            None if key.contains('/') => key.to_owned(),
            None => format!("{PROVISIONER}/{key}"),
        }
    }

    /// The key that stands for a task queue.
    pub(crate) fn key(&self, task_queue: &str) -> String {
        if let Some(key) = self.to_key.get(task_queue) {
            return key.clone();
        }
        match task_queue.split_once('/') {
            // Unless that key is taken for another task queue.
            Some((PROVISIONER, key))
                if !self.to_task_queue.contains_key(key) && !key.contains('/') =>
            {
                key.to_owned()
            }
            _ => task_queue.to_owned(),
        }
    }

    /// The one spelling of a key that a caller may spell in several ways; `None` if no queue is
    /// spelled so.
    pub(crate) fn canonical(&self, key: &str) -> Option<String> {
        let key = match key {
            "_default" | "__default__" | "~" | "-" => DEFAULT,
            key => key,
        };
        is_key(key).then(|| self.key(&self.task_queue(key)))
    }
}

fn is_key(key: &str) -> bool {
    (1..=LONGEST).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./:@+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_queue_has_one_key() {
        let map = QueueMap::parse("gpu=prov/gpu-1, linux=stacks/other").expect("a map");
        for (key, task_queue) in [
            ("default", "stacks/default"),
            ("gpu", "prov/gpu-1"),
            ("linux", "stacks/other"),
            ("prov/type", "prov/type"),
            ("stacks/linux", "stacks/linux"),
        ] {
            assert_eq!(map.task_queue(key), task_queue);
            assert_eq!(map.key(task_queue), key);
        }
        assert_eq!(map.canonical("stacks/default").as_deref(), Some("default"));
        assert_eq!(map.canonical("prov/gpu-1").as_deref(), Some("gpu"));
    }

    #[test]
    fn the_default_queue_has_many_names() {
        let map = QueueMap::default();
        for name in ["_default", "__default__", "~", "-", "default"] {
            assert_eq!(map.canonical(name).as_deref(), Some("default"), "{name}");
        }
        for name in ["", "a b", "é", &"x".repeat(129)] {
            assert_eq!(map.canonical(name), None, "{name}");
        }
    }

    #[test]
    fn a_map_that_is_not_one_is_refused() {
        for text in ["a", "a=b", "a=b/c/d", "=b/c", "a=b/", "a/b=c/d"] {
            assert!(
                matches!(QueueMap::parse(text), Err(QueueMapError::Item(_))),
                "{text}"
            );
        }
        for text in ["a=b/c,a=d/e", "a=b/c,d=b/c"] {
            assert!(matches!(
                QueueMap::parse(text),
                Err(QueueMapError::Twice(_))
            ));
        }
    }
}
