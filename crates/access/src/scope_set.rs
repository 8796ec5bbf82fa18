//! Sets of scopes: [`ScopeSet`] answers "is this allowed", [`ScopeList`] is a list as someone wrote it.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use serde::{Serialize, Serializer};

use crate::scope::{compare, pattern_match, stem};

/// Scopes in normal form: sorted, without duplicates, without anything a star already covers.
///
/// Cloning shares the contents.
#[derive(Clone, PartialEq, Eq)]
pub struct ScopeSet {
    scopes: Arc<[Arc<str>]>,
}

/// Scopes in the order in which they were written down, as a client or a certificate holds them.
///
/// Cloning shares the contents, and its hash is computed once, so a list of hundreds of scopes is
/// as good a key as a short one.
#[derive(Clone)]
pub struct ScopeList {
    scopes: Arc<[String]>,
    hash: u64,
}

// === impl ScopeSet ===

impl ScopeSet {
    /// Normalizes any scopes.
    pub fn new<I>(scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Arc<str>>,
    {
        let mut scopes: Vec<Arc<str>> = scopes.into_iter().map(Into::into).collect();
        scopes.sort_unstable_by(|a, b| compare(a, b));
        Self::from_sorted(scopes)
    }

    /// Normalizes scopes that already stand in the order of [`compare`].
    pub(crate) fn from_sorted<I>(scopes: I) -> Self
    where
        I: IntoIterator<Item = Arc<str>>,
    {
        let mut kept: Vec<Arc<str>> = Vec::new();
        for scope in scopes {
            // What a star covers follows it without a gap, so the last one kept is enough to know.
            if !kept.last().is_some_and(|last| pattern_match(last, &scope)) {
                kept.push(scope);
            }
        }
        Self {
            scopes: kept.into(),
        }
    }

    /// The set that satisfies everything: `*`.
    pub fn everything() -> Self {
        Self::new(["*"])
    }

    /// Whether something in the set satisfies `scope`. One binary search.
    pub fn satisfies(&self, scope: &str) -> bool {
        // In normal form, whatever lies between a covering star and `scope` would itself be
        // covered and thus not be here: only the last entry up to `scope` can satisfy it.
        let after = self.scopes.partition_point(|held| stem(held).0 <= scope);
        after
            .checked_sub(1)
            .is_some_and(|last| pattern_match(&self.scopes[last], scope))
    }

    /// Whether the set satisfies each of `scopes`.
    pub fn satisfies_all<I>(&self, scopes: I) -> bool
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        scopes
            .into_iter()
            .all(|scope| self.satisfies(scope.as_ref()))
    }

    /// What either set satisfies.
    pub fn union(&self, other: &Self) -> Self {
        Self::new(self.scopes.iter().chain(other.scopes.iter()).cloned())
    }

    /// What both sets satisfy.
    pub fn intersection(&self, other: &Self) -> Self {
        let in_both = |one: &Self, two: &Self| -> Vec<Arc<str>> {
            one.scopes
                .iter()
                .filter(|scope| two.satisfies(scope))
                .cloned()
                .collect()
        };
        let mut scopes = in_both(self, other);
        scopes.extend(in_both(other, self));
        Self::new(scopes)
    }

    /// The scopes, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.scopes.iter().map(AsRef::as_ref)
    }

    /// How many scopes the normal form has.
    pub fn len(&self) -> usize {
        self.scopes.len()
    }

    /// Whether nothing is satisfied.
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// The scopes, in order, as owned strings.
    pub fn to_vec(&self) -> Vec<String> {
        self.iter().map(str::to_owned).collect()
    }
}

impl Default for ScopeSet {
    fn default() -> Self {
        Self {
            scopes: Arc::new([]),
        }
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

// === impl ScopeList ===

/// Per process, so that nobody can prepare lists whose hashes collide.
static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl ScopeList {
    /// The scopes as they were given.
    pub fn as_slice(&self) -> &[String] {
        &self.scopes
    }
}

impl From<Vec<String>> for ScopeList {
    fn from(scopes: Vec<String>) -> Self {
        let hash = HASHES.hash_one(&scopes);
        Self {
            scopes: scopes.into(),
            hash,
        }
    }
}

impl FromIterator<String> for ScopeList {
    fn from_iter<I: IntoIterator<Item = String>>(scopes: I) -> Self {
        scopes.into_iter().collect::<Vec<_>>().into()
    }
}

impl Default for ScopeList {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl PartialEq for ScopeList {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.scopes, &other.scopes)
            || (self.hash == other.hash && self.scopes == other.scopes)
    }
}

impl Eq for ScopeList {}

impl Hash for ScopeList {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for ScopeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.scopes.iter()).finish()
    }
}
