//! Which sets of roles are allowed: parameters must be clear, and no role may lead to itself.

use thiserror::Error;

use crate::role::{PARAMETER, Role};
use crate::role_index::{ASSUME, RoleIndex};

/// Why a set of roles is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RoleError {
    /// A scope names the parameter twice.
    #[error("the scope '{scope}' of role '{role_id}' may contain '<..>' only once")]
    ManyParameters {
        /// The role that has the scope.
        role_id: String,
        /// The scope as written.
        scope: String,
    },
    /// A scope ends in a star followed by the parameter, so its meaning would hang on the
    /// parameter being empty.
    #[error(
        "the scope '{scope}' of role '{role_id}' ends in '*<..>', which is ambiguous: \
         leave out the '*' or the '<..>'"
    )]
    StarBeforeParameter {
        /// The role that has the scope.
        role_id: String,
        /// The scope as written.
        scope: String,
    },
    /// A role grants, directly or through others, a scope that assumes the role itself.
    #[error("roles may not lead back to themselves, but these do: '{}'", .cycle.join("' -> '"))]
    Cycle {
        /// The patterns `assume:<roleId>` on the way; the first and the last are the same.
        cycle: Vec<String>,
    },
}

/// How far the search for cycles has come with a role.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    New,
    OnPath,
    Done,
}

/// Checks all roles together, as they would be after a change.
pub fn check(roles: &[Role]) -> Result<(), RoleError> {
    for role in roles.iter().filter(|role| role.role_id.ends_with('*')) {
        for scope in &role.scopes {
            check_parameters(role, scope)?;
        }
    }
    match find_cycle(roles) {
        Some(cycle) => Err(RoleError::Cycle {
            cycle: cycle
                .iter()
                .map(|&role| format!("{ASSUME}{}", roles[role].role_id))
                .collect(),
        }),
        None => Ok(()),
    }
}

fn check_parameters(role: &Role, scope: &str) -> Result<(), RoleError> {
    let (role_id, scope) = (role.role_id.clone(), scope.to_owned());
    if scope.matches(PARAMETER).nth(1).is_some() {
        return Err(RoleError::ManyParameters { role_id, scope });
    }
    if scope
        .strip_suffix(PARAMETER)
        .is_some_and(|before| before.ends_with('*'))
    {
        return Err(RoleError::StarBeforeParameter { role_id, scope });
    }
    Ok(())
}

/// Depth-first, with a path of its own instead of recursion: thousands of roles may form a chain.
fn find_cycle(roles: &[Role]) -> Option<Vec<usize>> {
    let index = RoleIndex::new(roles);
    let mut visits = vec![Visit::New; roles.len()];
    for start in 0..roles.len() {
        if visits[start] != Visit::New {
            continue;
        }
        visits[start] = Visit::OnPath;
        let mut path = vec![(start, needed_roles(&index, &roles[start]).into_iter())];
        while let Some((role, needed)) = path.last_mut() {
            let Some(next) = needed.next() else {
                visits[*role] = Visit::Done;
                path.pop();
                continue;
            };
            match visits[next] {
                Visit::Done => {}
                Visit::New => {
                    visits[next] = Visit::OnPath;
                    path.push((next, needed_roles(&index, &roles[next]).into_iter()));
                }
                Visit::OnPath => {
                    let cycle = path.iter().map(|(role, _)| *role);
                    return Some(
                        cycle
                            .skip_while(|&role| role != next)
                            .chain([next])
                            .collect(),
                    );
                }
            }
        }
    }
    None
}

/// The roles that `role` may assume, for any parameter, in the order of the list.
fn needed_roles(index: &RoleIndex, role: &Role) -> Vec<usize> {
    let mut needed = Vec::new();
    for scope in &role.scopes {
        let any_parameter = match scope.split_once(PARAMETER) {
            Some((before, _)) if role.role_id.ends_with('*') => &format!("{before}*"),
            _ => scope,
        };
        if let Some(reach) = index.reach(any_parameter) {
            index.visit(any_parameter, &reach, |role, _| needed.push(role));
        }
    }
    needed.sort_unstable();
    needed.dedup();
    needed
}
