//! The predefined roles.

use super::Permission;

/// Whether the role `name` holds `permission`. Roles that are not predefined hold nothing: there is
/// nowhere to define them.
pub(crate) fn holds(name: &str, permission: Permission) -> bool {
    use Permission as P;
    let is_location = matches!(permission, P::LocationsGet | P::LocationsList);
    let is_cmek = matches!(permission, P::CmekConfigGet | P::CmekConfigUpdate);
    let is_task = matches!(
        permission,
        P::TasksCreate
            | P::TasksDelete
            | P::TasksFullView
            | P::TasksGet
            | P::TasksList
            | P::TasksRun
    );
    if permission == P::ActAs {
        return false;
    }
    match name {
        "roles/cloudtasks.admin" | "roles/owner" => true,
        "roles/editor" => permission != P::QueuesSetIamPolicy,
        "roles/cloudtasks.queueAdmin" => !is_task && !is_cmek,
        "roles/cloudtasks.enqueuer" => matches!(permission, P::TasksCreate | P::TasksFullView),
        "roles/cloudtasks.taskRunner" => matches!(permission, P::TasksRun | P::TasksFullView),
        "roles/cloudtasks.taskDeleter" => permission == P::TasksDelete,
        "roles/cloudtasks.viewer" | "roles/viewer" => {
            is_location
                || matches!(
                    permission,
                    P::QueuesGet | P::QueuesList | P::TasksFullView | P::TasksGet | P::TasksList
                )
        }
        _ => false,
    }
}

/// Whether `name` can be a role at all.
pub(crate) fn is_role(name: &str) -> bool {
    let is_id = |id: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=100).contains(&id.len()) && id.bytes().all(allowed)
    };
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        ["roles", id] => is_id(id),
        ["projects" | "organizations", of, "roles", id] => is_id(id) && !of.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(role: &str) -> Vec<&'static str> {
        let all = Permission::ALL.into_iter();
        all.filter(|permission| holds(role, *permission))
            .map(Permission::as_str)
            .collect()
    }

    #[test]
    fn roles_hold_what_they_are_for() {
        assert_eq!(held("roles/cloudtasks.admin").len(), Permission::ALL.len());
        assert_eq!(
            held("roles/cloudtasks.enqueuer"),
            ["cloudtasks.tasks.create", "cloudtasks.tasks.fullView"]
        );
        assert_eq!(
            held("roles/cloudtasks.taskDeleter"),
            ["cloudtasks.tasks.delete"]
        );
        let admin = held("roles/cloudtasks.queueAdmin");
        assert!(
            admin
                .iter()
                .all(|it| it.contains(".queues.") || it.contains(".locations."))
        );
        assert_eq!(admin.len(), 12);
        assert_eq!(held("roles/cloudtasks.viewer").len(), 7);
        assert_eq!(held("roles/cloudtasks.serviceAgent"), [""; 0]);
        assert_eq!(held("projects/p/roles/mine"), [""; 0]);
    }

    #[test]
    fn names_of_roles_are_checked() {
        for name in [
            "roles/viewer",
            "projects/p/roles/a_b",
            "organizations/1/roles/x",
        ] {
            assert!(is_role(name), "{name}");
        }
        for name in [
            "",
            "viewer",
            "roles/",
            "roles/a b",
            "projects//roles/x",
            "roles/a/b",
        ] {
            assert!(!is_role(name), "{name}");
        }
    }
}
