//! Roles: named bundles of scopes, and the expansion of scopes by the roles they assume.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expansion_cache::ExpansionCache;
use crate::role_index::{Reach, RoleIndex};
use crate::scope::compare;
use crate::scope_set::{ScopeList, ScopeSet};

/// The parameter of a role whose id ends in a star, as its scopes name it.
pub(crate) const PARAMETER: &str = "<..>";

/// What everyone may assume, with or without credentials.
const ANONYMOUS: &str = "assume:anonymous";

/// How many bytes of scopes the parameters of roles may produce in one expansion. Roles without
/// cycles can still multiply: twenty that each pass their parameter on twice make a million scopes.
const RENDERED_BYTES: usize = 16 << 20;

/// Whoever holds `assume:<role_id>` holds `scopes` too.
///
/// A `role_id` that ends in `*` matches anything with that start; the rest replaces `<..>` in the
/// role's scopes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// Printable ASCII, not empty.
    pub role_id: String,
    /// What the role grants.
    pub scopes: Vec<String>,
}

/// All roles at one moment, compiled for expansion. Immutable: build a new one when roles change.
///
/// A set that [`check`](crate::check) refuses may be built nevertheless; its expansions end too.
#[derive(Debug)]
pub struct Roles {
    index: RoleIndex,
    /// By position in the list the roles came from.
    grants: Vec<Grant>,
    /// Every scope that a role grants without a parameter, sorted, each once.
    fixed: Vec<FixedScope>,
    cache: ExpansionCache,
}

/// What one role grants.
#[derive(Debug)]
struct Grant {
    /// Positions in [`Roles::fixed`].
    fixed: Box<[u32]>,
    parameterized: Box<[Parameterized]>,
}

/// A scope with `<..>` between `before` and `after`.
#[derive(Debug)]
struct Parameterized {
    before: Box<str>,
    after: Box<str>,
}

#[derive(Debug)]
struct FixedScope {
    scope: Arc<str>,
    /// The roles that this scope in turn assumes.
    reach: Option<Reach>,
}

/// One expansion under way.
struct Expansion<'a> {
    roles: &'a Roles,
    fixed_taken: Vec<bool>,
    fixed_todo: Vec<u32>,
    roles_taken: Vec<bool>,
    other: HashSet<Arc<str>>,
    other_todo: Vec<Arc<str>>,
    rendered_bytes: usize,
}

// === impl Roles ===

impl Roles {
    /// Compiles `roles`.
    pub fn new(roles: &[Role]) -> Self {
        let index = RoleIndex::new(roles);
        let mut scopes: Vec<&str> = roles
            .iter()
            .flat_map(|role| {
                role.scopes
                    .iter()
                    .filter(|scope| !is_parameterized(role, scope))
            })
            .map(String::as_str)
            .collect();
        scopes.sort_unstable_by(|a, b| compare(a, b));
        scopes.dedup();
        let positions: HashMap<&str, u32> = scopes.iter().copied().zip(0..).collect();
        let grants = roles
            .iter()
            .map(|role| Grant::new(role, &positions))
            .collect();
        let fixed = scopes
            .iter()
            .map(|&scope| FixedScope {
                scope: scope.into(),
                reach: index.reach(scope),
            })
            .collect();
        Self {
            index,
            grants,
            fixed,
            cache: ExpansionCache::default(),
        }
    }

    /// Adds all that the roles grant to holders of `scopes`, again and again until nothing is
    /// added, and normalizes the result.
    ///
    /// Parameters of roles add at most 16 MiB of scopes; what goes beyond is not granted.
    pub fn expand<S: AsRef<str>>(&self, scopes: &[S]) -> ScopeSet {
        self.expand_all(scopes.iter().map(AsRef::as_ref))
    }

    /// The same as [`expand`](Self::expand), remembered for the next time.
    pub fn expand_list(&self, scopes: &ScopeList) -> ScopeSet {
        self.cache
            .get_or_insert(scopes, false, || self.expand(scopes.as_slice()))
    }

    /// What a holder of `scopes` may do in the end: with what everyone may do, expanded.
    /// Remembered for the next time.
    pub fn effective(&self, scopes: &ScopeList) -> ScopeSet {
        self.cache.get_or_insert(scopes, true, || {
            self.expand_all(
                scopes
                    .as_slice()
                    .iter()
                    .map(String::as_str)
                    .chain([ANONYMOUS]),
            )
        })
    }

    fn expand_all<'s>(&self, scopes: impl Iterator<Item = &'s str>) -> ScopeSet {
        let mut expansion = Expansion::new(self);
        for scope in scopes {
            if scope == "*" {
                return ScopeSet::everything();
            }
            expansion.take_other(scope);
        }
        expansion.run()
    }
}

impl Default for Roles {
    fn default() -> Self {
        Self::new(&[])
    }
}

fn is_parameterized(role: &Role, scope: &str) -> bool {
    role.role_id.ends_with('*') && scope.contains(PARAMETER)
}

// === impl Grant ===

impl Grant {
    fn new(role: &Role, positions: &HashMap<&str, u32>) -> Self {
        let mut fixed = Vec::new();
        let mut parameterized = Vec::new();
        for scope in &role.scopes {
            match scope.split_once(PARAMETER) {
                Some((before, after)) if is_parameterized(role, scope) => {
                    parameterized.push(Parameterized {
                        before: before.into(),
                        after: after.into(),
                    });
                }
                _ => fixed.extend(positions.get(scope.as_str())),
            }
        }
        Self {
            fixed: fixed.into(),
            parameterized: parameterized.into(),
        }
    }
}

// === impl Parameterized ===

impl Parameterized {
    /// A parameter that ends in a star stands for anything that follows, so what follows `<..>`
    /// goes.
    fn render(&self, parameter: &str) -> String {
        let after = if parameter.ends_with('*') {
            ""
        } else {
            &*self.after
        };
        [&*self.before, parameter, after].concat()
    }
}

// === impl Expansion ===

impl<'a> Expansion<'a> {
    fn new(roles: &'a Roles) -> Self {
        Self {
            roles,
            fixed_taken: vec![false; roles.fixed.len()],
            fixed_todo: Vec::new(),
            roles_taken: vec![false; roles.grants.len()],
            other: HashSet::new(),
            other_todo: Vec::new(),
            rendered_bytes: 0,
        }
    }

    fn take_other(&mut self, scope: &str) {
        if !self.other.contains(scope) {
            let scope: Arc<str> = scope.into();
            self.other.insert(Arc::clone(&scope));
            self.other_todo.push(scope);
        }
    }

    fn run(mut self) -> ScopeSet {
        let roles = self.roles;
        loop {
            if let Some(position) = self.fixed_todo.pop() {
                let fixed = &roles.fixed[position as usize];
                if let Some(reach) = &fixed.reach {
                    self.follow(&fixed.scope, reach);
                }
            } else if let Some(scope) = self.other_todo.pop() {
                if let Some(reach) = roles.index.reach(&scope) {
                    self.follow(&scope, &reach);
                }
            } else {
                return self.finish();
            }
        }
    }

    fn follow(&mut self, scope: &str, reach: &Reach) {
        let roles = self.roles;
        roles.index.visit(scope, reach, |role, parameter| {
            let grant = &roles.grants[role];
            if !std::mem::replace(&mut self.roles_taken[role], true) {
                for &position in &grant.fixed {
                    if !std::mem::replace(&mut self.fixed_taken[position as usize], true) {
                        self.fixed_todo.push(position);
                    }
                }
            }
            for scope in parameter.iter().flat_map(|parameter| {
                grant
                    .parameterized
                    .iter()
                    .map(|parameterized| parameterized.render(parameter))
            }) {
                self.rendered_bytes += scope.len();
                if self.rendered_bytes > RENDERED_BYTES {
                    return;
                }
                self.take_other(&scope);
            }
        });
    }

    /// Both parts are sorted, or soon are; the set is made by merging them.
    fn finish(self) -> ScopeSet {
        let mut other: Vec<Arc<str>> = self.other.into_iter().collect();
        other.sort_unstable_by(|a, b| compare(a, b));
        let mut other = other.into_iter().peekable();
        let mut fixed = self
            .roles
            .fixed
            .iter()
            .zip(&self.fixed_taken)
            .filter(|(_, taken)| **taken)
            .map(|(fixed, _)| Arc::clone(&fixed.scope))
            .peekable();
        ScopeSet::from_sorted(std::iter::from_fn(|| match (fixed.peek(), other.peek()) {
            (Some(a), Some(b)) if compare(a, b).is_lt() => fixed.next(),
            (_, Some(_)) => other.next(),
            (Some(_), None) => fixed.next(),
            (None, None) => None,
        }))
    }
}
