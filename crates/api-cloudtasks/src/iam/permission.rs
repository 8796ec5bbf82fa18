//! What can be allowed.

/// One permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Permission {
    CmekConfigGet,
    CmekConfigUpdate,
    LocationsGet,
    LocationsList,
    QueuesCreate,
    QueuesDelete,
    QueuesGet,
    QueuesGetIamPolicy,
    QueuesList,
    QueuesPause,
    QueuesPurge,
    QueuesResume,
    QueuesSetIamPolicy,
    QueuesUpdate,
    TasksCreate,
    TasksDelete,
    TasksFullView,
    TasksGet,
    TasksList,
    TasksRun,
    /// To have requests sent in the name of a service account.
    ActAs,
}

impl Permission {
    /// All that a policy of a queue, or a role, can be asked about.
    pub(crate) const ALL: [Permission; 20] = [
        Permission::CmekConfigGet,
        Permission::CmekConfigUpdate,
        Permission::LocationsGet,
        Permission::LocationsList,
        Permission::QueuesCreate,
        Permission::QueuesDelete,
        Permission::QueuesGet,
        Permission::QueuesGetIamPolicy,
        Permission::QueuesList,
        Permission::QueuesPause,
        Permission::QueuesPurge,
        Permission::QueuesResume,
        Permission::QueuesSetIamPolicy,
        Permission::QueuesUpdate,
        Permission::TasksCreate,
        Permission::TasksDelete,
        Permission::TasksFullView,
        Permission::TasksGet,
        Permission::TasksList,
        Permission::TasksRun,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Permission::CmekConfigGet => "cloudtasks.cmekConfig.get",
            Permission::CmekConfigUpdate => "cloudtasks.cmekConfig.update",
            Permission::LocationsGet => "cloudtasks.locations.get",
            Permission::LocationsList => "cloudtasks.locations.list",
            Permission::QueuesCreate => "cloudtasks.queues.create",
            Permission::QueuesDelete => "cloudtasks.queues.delete",
            Permission::QueuesGet => "cloudtasks.queues.get",
            Permission::QueuesGetIamPolicy => "cloudtasks.queues.getIamPolicy",
            Permission::QueuesList => "cloudtasks.queues.list",
            Permission::QueuesPause => "cloudtasks.queues.pause",
            Permission::QueuesPurge => "cloudtasks.queues.purge",
            Permission::QueuesResume => "cloudtasks.queues.resume",
            Permission::QueuesSetIamPolicy => "cloudtasks.queues.setIamPolicy",
            Permission::QueuesUpdate => "cloudtasks.queues.update",
            Permission::TasksCreate => "cloudtasks.tasks.create",
            Permission::TasksDelete => "cloudtasks.tasks.delete",
            Permission::TasksFullView => "cloudtasks.tasks.fullView",
            Permission::TasksGet => "cloudtasks.tasks.get",
            Permission::TasksList => "cloudtasks.tasks.list",
            Permission::TasksRun => "cloudtasks.tasks.run",
            Permission::ActAs => "iam.serviceAccounts.actAs",
        }
    }

    /// The permission of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Permission::ALL.into_iter().find(|it| it.as_str() == name)
    }

    /// The scope that gives it on `resource`: `cloudtasks:tasks.create:projects/p/…`.
    pub(crate) fn scope(self, resource: &str) -> String {
        let name = self.as_str();
        let name = name.strip_prefix("cloudtasks.").unwrap_or(name);
        format!("cloudtasks:{name}:{resource}")
    }
}

#[cfg(test)]
mod tests {
    use super::Permission;

    #[test]
    fn a_permission_on_a_resource_is_a_scope() {
        let queue = "projects/p/locations/l/queues/q";
        assert_eq!(
            Permission::TasksCreate.scope(queue),
            "cloudtasks:tasks.create:projects/p/locations/l/queues/q"
        );
        assert_eq!(
            Permission::ActAs.scope("a@b"),
            "cloudtasks:iam.serviceAccounts.actAs:a@b"
        );
    }

    #[test]
    fn every_permission_is_found_by_its_name() {
        for permission in Permission::ALL {
            assert_eq!(Permission::named(permission.as_str()), Some(permission));
        }
        assert_eq!(Permission::named("cloudtasks.*"), None);
    }
}
