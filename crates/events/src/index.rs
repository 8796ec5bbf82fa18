//! Who wants a message: the patterns of many bindings, walked all at once.
//!
//! Per exchange the patterns form a tree of words, so a message costs as much as the number of
//! branches that its words follow, not as the number of bindings.

use std::collections::HashMap;

use crate::topic::words;

/// Bindings of subscribers that are known by `S`.
#[derive(Debug)]
pub struct Index<S> {
    exchanges: HashMap<String, Node<S>>,
    bindings: usize,
}

#[derive(Debug)]
struct Node<S> {
    words: HashMap<Box<str>, Node<S>>,
    /// Behind a word of any kind.
    star: Option<Box<Node<S>>>,
    /// Behind any number of words.
    hash: Option<Box<Node<S>>>,
    /// Those whose pattern ends here.
    here: Vec<S>,
}

impl<S> Default for Index<S> {
    fn default() -> Self {
        Index {
            exchanges: HashMap::new(),
            bindings: 0,
        }
    }
}

impl<S> Default for Node<S> {
    fn default() -> Self {
        Node {
            words: HashMap::new(),
            star: None,
            hash: None,
            here: Vec::new(),
        }
    }
}

// === impl Index ===

impl<S: Copy + Ord> Index<S> {
    /// Binds `subscriber` to messages of `exchange` whose key `pattern` matches. The same binding
    /// twice counts once.
    pub fn bind(&mut self, exchange: &str, pattern: &str, subscriber: S) {
        let mut node = self.exchanges.entry(exchange.to_owned()).or_default();
        for word in words(pattern) {
            node = match word {
                "*" => node.star.get_or_insert_default(),
                "#" => node.hash.get_or_insert_default(),
                word => node.words.entry(word.into()).or_default(),
            };
        }
        if !node.here.contains(&subscriber) {
            node.here.push(subscriber);
            self.bindings += 1;
        }
    }

    /// Takes a binding back.
    pub fn unbind(&mut self, exchange: &str, pattern: &str, subscriber: S) {
        let Some(root) = self.exchanges.get_mut(exchange) else {
            return;
        };
        let path: Vec<&str> = words(pattern).collect();
        self.bindings -= root.remove(&path, subscriber);
        if root.is_empty() {
            self.exchanges.remove(exchange);
        }
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.bindings
    }

    /// Whether nobody is bound to anything.
    pub fn is_empty(&self) -> bool {
        self.bindings == 0
    }

    /// Who wants a message of `exchange` with any of `keys`, each once, in their order.
    pub fn matching<'k>(&self, exchange: &str, keys: impl IntoIterator<Item = &'k str>) -> Vec<S> {
        let mut found = Vec::new();
        let Some(root) = self.exchanges.get(exchange) else {
            return found;
        };
        for key in keys {
            root.matching(key, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

// === impl Node ===

impl<S: Copy + Ord> Node<S> {
    fn is_empty(&self) -> bool {
        self.words.is_empty() && self.star.is_none() && self.hash.is_none() && self.here.is_empty()
    }

    /// Removes `subscriber` at the end of `path` and branches that then lead nowhere; returns how
    /// many bindings went.
    fn remove(&mut self, path: &[&str], subscriber: S) -> usize {
        let Some((word, rest)) = path.split_first() else {
            let before = self.here.len();
            self.here.retain(|known| *known != subscriber);
            return before - self.here.len();
        };
        let slot = match *word {
            "*" => self.star.as_deref_mut(),
            "#" => self.hash.as_deref_mut(),
            word => self.words.get_mut(word),
        };
        let Some(next) = slot else { return 0 };
        let removed = next.remove(rest, subscriber);
        if next.is_empty() {
            match *word {
                "*" => self.star = None,
                "#" => self.hash = None,
                word => drop(self.words.remove(word)),
            }
        }
        removed
    }

    fn matching(&self, key: &str, found: &mut Vec<S>) {
        // Where in the tree what was read of the key leads to, each place once. `true` marks the
        // place behind a `#`, which takes further words without moving.
        let mut places: Vec<(&Node<S>, bool)> = Vec::new();
        self.enter(false, &mut places);
        for word in words(key) {
            let mut next = Vec::new();
            for &(node, is_behind_hash) in &places {
                if is_behind_hash {
                    next.push((node, true));
                }
            }
            // Entered after those that stay, so that these are not entered twice.
            for (node, _) in &places {
                if let Some(node) = node.words.get(word) {
                    node.enter(false, &mut next);
                }
                if let Some(node) = &node.star {
                    node.enter(false, &mut next);
                }
            }
            places = next;
            if places.is_empty() {
                return;
            }
        }
        for (node, _) in places {
            found.extend_from_slice(&node.here);
        }
    }

    /// Adds this place, and those that a `#` standing for no word leads to.
    fn enter<'a>(&'a self, is_behind_hash: bool, places: &mut Vec<(&'a Node<S>, bool)>) {
        if places.iter().any(|(known, _)| std::ptr::eq(*known, self)) {
            return;
        }
        places.push((self, is_behind_hash));
        if let Some(behind) = &self.hash {
            behind.enter(true, places);
        }
    }
}
