//! Remembers expansions, within a bounded amount of memory.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::scope_set::{ScopeList, ScopeSet};

/// A generation is dropped when the one after it holds this much: two of them are 32 MiB.
const GENERATION_BYTES: usize = 16 << 20;

/// Two generations of entries: what is used moves to the young one, and when that is full the old
/// one is dropped. So entries in use stay, without any bookkeeping on the path of a hit.
#[derive(Debug, Default)]
pub(crate) struct ExpansionCache {
    generations: RwLock<Generations>,
}

/// Scopes, and whether those of the anonymous role were added.
type Key = (ScopeList, bool);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, ScopeSet>,
    young_bytes: usize,
    old: HashMap<Key, ScopeSet>,
}

// === impl ExpansionCache ===

impl ExpansionCache {
    /// The remembered expansion of `scopes`, or what `expand` makes of them.
    pub(crate) fn get_or_insert(
        &self,
        scopes: &ScopeList,
        with_anonymous: bool,
        expand: impl FnOnce() -> ScopeSet,
    ) -> ScopeSet {
        let key = (scopes.clone(), with_anonymous);
        let aged = {
            let generations = self.generations.read();
            if let Some(expanded) = generations.young.get(&key) {
                return expanded.clone();
            }
            generations.old.get(&key).cloned()
        };
        // Made outside of the lock: two callers may do the same work, but none waits for it.
        let expanded = aged.unwrap_or_else(expand);
        self.generations.write().insert(key, expanded.clone());
        expanded
    }
}

// === impl Generations ===

impl Generations {
    fn insert(&mut self, key: Key, expanded: ScopeSet) {
        self.young_bytes += weight(&key.0, &expanded);
        if self.young_bytes > GENERATION_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = weight(&key.0, &expanded);
        }
        self.young.insert(key, expanded);
    }
}

/// Roughly the bytes that an entry keeps in memory.
fn weight(scopes: &ScopeList, expanded: &ScopeSet) -> usize {
    let written: usize = scopes.as_slice().iter().map(|scope| scope.len() + 24).sum();
    let granted: usize = expanded.iter().map(|scope| scope.len() + 32).sum();
    // The maps' own share for an entry.
    written + granted + 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(number: usize) -> ScopeList {
        vec![format!("scope:{number}:{}", "x".repeat(1000))].into()
    }

    #[test]
    fn an_expansion_is_made_once() {
        let cache = ExpansionCache::default();
        let first = cache.get_or_insert(&list(1), false, || ScopeSet::new(["made"]));
        let again = cache.get_or_insert(&list(1), false, ScopeSet::default);
        assert_eq!(first, again);
        assert!(
            cache
                .get_or_insert(&list(1), true, ScopeSet::default)
                .is_empty()
        );
    }

    #[test]
    fn an_entry_in_use_outlives_many_that_are_not() {
        let cache = ExpansionCache::default();
        for number in 1..40_000 {
            cache.get_or_insert(&list(number), false, || ScopeSet::new(["made"]));
            let kept = cache.get_or_insert(&list(0), false, || {
                assert_eq!(number, 1, "the entry in use was forgotten");
                ScopeSet::new(["kept"])
            });
            assert_eq!(kept, ScopeSet::new(["kept"]));
        }
        let generations = cache.generations.read();
        assert!(generations.young.len() + generations.old.len() < 39_000);
        assert!(generations.young_bytes <= GENERATION_BYTES);
    }
}
