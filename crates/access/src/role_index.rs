//! Which roles does a scope assume? Answered by binary search over sorted patterns.
//!
//! The pattern of a role is `assume:<roleId>`. Plain patterns stand in one sorted list, those that
//! end in a star in another, as the prefix before the star. All that a scope can trigger is then
//! two ranges of these lists plus one chain of ever shorter prefixes.

use std::ops::Range;

use crate::role::Role;
use crate::scope::stem;

/// What every role's pattern starts with.
pub(crate) const ASSUME: &str = "assume:";

/// The patterns of a set of roles, each with the position of its role in the list it came from.
#[derive(Debug, Default)]
pub(crate) struct RoleIndex {
    plain: Vec<PlainPattern>,
    prefixes: Vec<PrefixPattern>,
}

/// A role whose id does not end in a star.
#[derive(Debug)]
struct PlainPattern {
    pattern: Box<str>,
    role: usize,
}

/// A role whose id ends in a star, which stands for a parameter.
#[derive(Debug)]
struct PrefixPattern {
    prefix: Box<str>,
    role: usize,
    /// The longest other pattern that is a prefix of this one.
    parent: Option<usize>,
}

/// The patterns that one scope triggers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reach {
    plain: Range<usize>,
    /// The longest prefix pattern that the scope starts with; its parents apply as well.
    covering: Option<usize>,
    /// Prefix patterns that start with the scope's own stem.
    under: Range<usize>,
}

// === impl RoleIndex ===

impl RoleIndex {
    pub(crate) fn new(roles: &[Role]) -> Self {
        let mut plain = Vec::new();
        let mut prefixes = Vec::new();
        for (position, role) in roles.iter().enumerate() {
            match stem(&role.role_id) {
                (prefix, true) => prefixes.push(PrefixPattern {
                    prefix: format!("{ASSUME}{prefix}").into(),
                    role: position,
                    parent: None,
                }),
                (id, false) => plain.push(PlainPattern {
                    pattern: format!("{ASSUME}{id}").into(),
                    role: position,
                }),
            }
        }
        plain.sort_unstable_by(|a, b| a.pattern.cmp(&b.pattern));
        prefixes.sort_unstable_by(|a, b| a.prefix.cmp(&b.prefix));
        let mut enclosing: Vec<usize> = Vec::new();
        for position in 0..prefixes.len() {
            while let Some(&candidate) = enclosing.last()
                && !prefixes[position]
                    .prefix
                    .starts_with(&*prefixes[candidate].prefix)
            {
                enclosing.pop();
            }
            prefixes[position].parent = enclosing.last().copied();
            enclosing.push(position);
        }
        Self { plain, prefixes }
    }

    /// The patterns that `scope` triggers; `None` for the great majority, which cannot assume any.
    pub(crate) fn reach(&self, scope: &str) -> Option<Reach> {
        let (start, star) = stem(scope);
        let may_assume = scope.starts_with(ASSUME) || (star && ASSUME.starts_with(start));
        if !may_assume {
            return None;
        }
        let plain_from = self.plain.partition_point(|entry| *entry.pattern < *start);
        let plain_length = self.plain[plain_from..].partition_point(|entry| {
            if star {
                entry.pattern.starts_with(start)
            } else {
                *entry.pattern == *scope
            }
        });
        let under = if star {
            let from = self
                .prefixes
                .partition_point(|entry| *entry.prefix < *start);
            let length =
                self.prefixes[from..].partition_point(|entry| entry.prefix.starts_with(start));
            from..from + length
        } else {
            0..0
        };
        // Every pattern that is a prefix of the scope sorts before it and is a prefix of the last
        // pattern that does.
        let mut covering = self
            .prefixes
            .partition_point(|entry| *entry.prefix <= *scope)
            .checked_sub(1);
        while let Some(position) = covering
            && !scope.starts_with(&*self.prefixes[position].prefix)
        {
            covering = self.prefixes[position].parent;
        }
        let reach = Reach {
            plain: plain_from..plain_from + plain_length,
            covering,
            under,
        };
        (!reach.plain.is_empty() || reach.covering.is_some() || !reach.under.is_empty())
            .then_some(reach)
    }

    /// Calls `visit` with each role that `scope` triggers and, for roles with a star, the
    /// parameter. `reach` is what [`Self::reach`] answered for this scope.
    pub(crate) fn visit<'a>(
        &self,
        scope: &'a str,
        reach: &Reach,
        mut visit: impl FnMut(usize, Option<&'a str>),
    ) {
        for entry in &self.plain[reach.plain.clone()] {
            visit(entry.role, None);
        }
        let mut covering = reach.covering;
        while let Some(position) = covering {
            let entry = &self.prefixes[position];
            visit(
                entry.role,
                Some(scope.strip_prefix(&*entry.prefix).unwrap_or_default()),
            );
            covering = entry.parent;
        }
        for entry in &self.prefixes[reach.under.clone()] {
            if !scope.starts_with(&*entry.prefix) {
                visit(entry.role, Some("*"));
            }
        }
    }
}
