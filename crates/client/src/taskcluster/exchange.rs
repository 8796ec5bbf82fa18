//! Exchanges that consumers bind to, and the bindings themselves: what the event classes of the
//! official clients make. Reading messages is up to whoever speaks AMQP, or to
//! [`Events`](super::Events).

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Which messages a consumer wants.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Full name of the exchange.
    pub exchange: String,
    /// What routing keys have to match: `*` is one word, `#` any number of words.
    pub routing_key_pattern: String,
}

/// An exchange of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    prefix: &'static str,
    name: &'static str,
    last: &'static str,
    words: &'static [Word],
}

/// One part of the routing keys of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Its name, such as `taskId`.
    pub name: &'static str,
    /// What it always is.
    pub constant: Option<&'static str>,
    /// Whether it may hold several words.
    pub multiple: bool,
}

impl Exchange {
    /// What the official clients call it, such as `taskCompleted`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its name on a broker.
    pub fn full_name(&self) -> String {
        format!("{}{}", self.prefix, self.last)
    }

    /// The parts of its routing keys.
    pub fn words(&self) -> &'static [Word] {
        self.words
    }

    /// All its messages.
    pub fn all(&self) -> Binding {
        self.binding(self.pattern_of(&[]))
    }

    /// Messages whose routing key has these words, by name. Names that the key does not have are
    /// left out, as other clients do; words that are always the same stay so.
    ///
    /// # Errors
    /// `Usage` for a value with a dot where the key has a single word.
    pub fn with(&self, values: &[(&str, &str)]) -> Result<Binding> {
        for word in self.words.iter().filter(|word| !word.multiple) {
            let given = values.iter().find(|(name, _)| *name == word.name);
            if let Some((name, value)) = given
                && word.constant.is_none()
                && value.contains('.')
            {
                return Err(Error::Usage(format!(
                    "{name} is one word of the routing key, so `{value}` must not have a dot"
                )));
            }
        }
        Ok(self.binding(self.pattern_of(values)))
    }

    /// Messages whose routing key, or one of whose routes, matches `pattern` as it is; a task's
    /// route `x.y` is found by `route.x.y`.
    pub fn matching(&self, pattern: impl Into<String>) -> Binding {
        self.binding(pattern.into())
    }

    /// The words of a message's routing key, by name. Words that a message does not have are `_`.
    pub fn parse(&self, routing_key: &str) -> Vec<(&'static str, String)> {
        let found: Vec<&str> = routing_key.split('.').collect();
        let several = self.words.iter().position(|word| word.multiple);
        let before = several.unwrap_or(self.words.len());
        let after = self.words.len() - before - usize::from(several.is_some());
        let end = found
            .len()
            .saturating_sub(after)
            .max(before.min(found.len()));
        let mut parsed = Vec::new();
        for (at, word) in self.words.iter().enumerate() {
            let value = match at.cmp(&before) {
                Ordering::Less => found.get(at).map(|value| (*value).to_owned()),
                Ordering::Equal => Some(found.get(before..end).unwrap_or_default().join(".")),
                Ordering::Greater => {
                    let value = found.get(end + at - before - 1);
                    value.map(|value| (*value).to_owned())
                }
            };
            parsed.extend(value.map(|value| (word.name, value)));
        }
        parsed
    }

    fn binding(&self, routing_key_pattern: String) -> Binding {
        Binding {
            exchange: self.full_name(),
            routing_key_pattern,
        }
    }

    fn pattern_of(&self, values: &[(&str, &str)]) -> String {
        let words: Vec<&str> = self
            .words
            .iter()
            .map(|word| {
                let given = values.iter().find(|(name, _)| *name == word.name);
                match (word.constant, given) {
                    (Some(constant), _) => constant,
                    (None, Some((_, value))) => value,
                    (None, None) if word.multiple => "#",
                    (None, None) => "*",
                }
            })
            .collect();
        words.join(".")
    }
}

impl Word {
    const fn one(name: &'static str) -> Self {
        Word {
            name,
            constant: None,
            multiple: false,
        }
    }

    const fn several(name: &'static str) -> Self {
        Word {
            multiple: true,
            ..Word::one(name)
        }
    }

    const fn constant(name: &'static str, value: &'static str) -> Self {
        Word {
            constant: Some(value),
            ..Word::one(name)
        }
    }
}

const NOTHING: &[Word] = &[Word::several("reserved")];
const WORKER_TYPE: &[Word] = &[
    Word::constant("routingKeyKind", "primary"),
    Word::one("workerType"),
    Word::several("reserved"),
];
const REPOSITORY_ACTION: &[Word] = &[
    Word::constant("routingKeyKind", "primary"),
    Word::one("organization"),
    Word::one("repository"),
    Word::one("action"),
];
const REPOSITORY: &[Word] = &[
    Word::constant("routingKeyKind", "primary"),
    Word::one("organization"),
    Word::one("repository"),
];
const TASK_QUEUE: &[Word] = &[
    Word::constant("routingKeyKind", "primary"),
    Word::one("provisionerId"),
    Word::one("workerType"),
];
const TASK: &[Word] = &[
    Word::constant("routingKeyKind", "primary"),
    Word::one("taskId"),
    Word::one("runId"),
    Word::one("workerGroup"),
    Word::one("workerId"),
    Word::one("provisionerId"),
    Word::one("workerType"),
    Word::one("schedulerId"),
    Word::one("taskGroupId"),
    Word::several("reserved"),
];
const GROUP: &[Word] = &[
    Word::constant("routingKeyKind", "primary"),
    Word::one("taskGroupId"),
    Word::one("schedulerId"),
    Word::several("reserved"),
];
const CLOUD_QUEUE: &[Word] = &[
    Word::one("project"),
    Word::one("location"),
    Word::one("queue"),
    Word::several("reserved"),
];
const JOB: &[Word] = &[
    Word::one("destination"),
    Word::one("project"),
    Word::several("reserved"),
];
const KIND_ONLY: &[Word] = &[
    Word::constant("routingKeyKind", "primary"),
    Word::several("reserved"),
];
const TOPIC: &[Word] = &[
    Word::constant("routingKeyKind", "primary"),
    Word::several("topic"),
];
const WORKER: &[Word] = &[
    Word::constant("routingKeyKind", "primary"),
    Word::one("providerId"),
    Word::one("provisionerId"),
    Word::one("workerType"),
    Word::one("workerGroup"),
    Word::one("workerId"),
    Word::one("launchConfigId"),
    Word::several("reserved"),
];

macro_rules! classes {
    ($(
        $(#[$about:meta])*
        $class:ident $prefix:literal { $($method:ident $name:literal $exchange:literal $words:ident,)* }
    )*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy)]
        pub struct $class;

        impl $class {
            /// Every exchange of this class.
            pub const ALL: &'static [Exchange] = &[$($class::$method()),*];

            $(
                #[doc = concat!("The exchange `", $exchange, "`.")]
                pub const fn $method() -> Exchange {
                    Exchange {
                        prefix: $prefix,
                        name: $name,
                        last: $exchange,
                        words: $words,
                    }
                }
            )*
        }
    )*};
}

classes! {
    /// Messages about clients and roles.
    AuthEvents "exchange/taskcluster-auth/v1/" {
        client_created "clientCreated" "client-created" NOTHING,
        client_deleted "clientDeleted" "client-deleted" NOTHING,
        client_updated "clientUpdated" "client-updated" NOTHING,
        role_created "roleCreated" "role-created" NOTHING,
        role_deleted "roleDeleted" "role-deleted" NOTHING,
        role_updated "roleUpdated" "role-updated" NOTHING,
    }
}

classes! {
    /// Messages about worker types of the AWS provisioner.
    AwsProvisionerEvents "exchange/taskcluster-aws-provisioner/v1/" {
        worker_type_created "workerTypeCreated" "worker-type-created" WORKER_TYPE,
        worker_type_removed "workerTypeRemoved" "worker-type-removed" WORKER_TYPE,
        worker_type_updated "workerTypeUpdated" "worker-type-updated" WORKER_TYPE,
    }
}

classes! {
    /// Messages about tasks of Taskyard's cloud queues. The project's id has `_` in place of each
    /// dot.
    CloudTasksEvents "exchange/taskyard-cloudtasks/v1/" {
        task_created "taskCreated" "task-created" CLOUD_QUEUE,
        task_dispatched "taskDispatched" "task-dispatched" CLOUD_QUEUE,
        task_retried "taskRetried" "task-retried" CLOUD_QUEUE,
        task_completed "taskCompleted" "task-completed" CLOUD_QUEUE,
        task_failed "taskFailed" "task-failed" CLOUD_QUEUE,
        task_deleted "taskDeleted" "task-deleted" CLOUD_QUEUE,
        task_expired "taskExpired" "task-expired" CLOUD_QUEUE,
    }
}

classes! {
    /// Messages about repositories on GitHub.
    GithubEvents "exchange/taskcluster-github/v1/" {
        pull_request "pullRequest" "pull-request" REPOSITORY_ACTION,
        push "push" "push" REPOSITORY,
        release "release" "release" REPOSITORY,
        task_group_defined "taskGroupDefined" "task-group-defined" REPOSITORY,
        task_group_creation_requested "taskGroupCreationRequested" "task-group-creation-requested" REPOSITORY,
        rerun "rerun" "rerun" REPOSITORY,
        taskcluster_yml_update "taskclusterYmlUpdate" "taskcluster-yml-update" REPOSITORY,
    }
}

classes! {
    /// Messages about caches that are to be cleared.
    PurgeCacheEvents "exchange/taskcluster-purge-cache/v1/" {
        purge_cache "purgeCache" "purge-cache" TASK_QUEUE,
    }
}

classes! {
    /// Messages about tasks and task groups.
    QueueEvents "exchange/taskcluster-queue/v1/" {
        artifact_created "artifactCreated" "artifact-created" TASK,
        task_completed "taskCompleted" "task-completed" TASK,
        task_defined "taskDefined" "task-defined" TASK,
        task_exception "taskException" "task-exception" TASK,
        task_failed "taskFailed" "task-failed" TASK,
        task_group_resolved "taskGroupResolved" "task-group-resolved" GROUP,
        task_pending "taskPending" "task-pending" TASK,
        task_running "taskRunning" "task-running" TASK,
        task_group_priority_changed "taskGroupPriorityChanged" "task-group-priority-changed" GROUP,
        task_group_sealed "taskGroupSealed" "task-group-sealed" GROUP,
        task_priority_changed "taskPriorityChanged" "task-priority-changed" TASK,
    }
}

classes! {
    /// Messages about jobs as Treeherder shows them.
    TreeherderEvents "exchange/taskcluster-treeherder/v1/" {
        jobs "jobs" "jobs" JOB,
    }
}

classes! {
    /// Messages about hooks.
    HooksEvents "exchange/taskcluster-hooks/v1/" {
        hook_created "hookCreated" "hook-created" NOTHING,
        hook_deleted "hookDeleted" "hook-deleted" NOTHING,
        hook_updated "hookUpdated" "hook-updated" NOTHING,
    }
}

classes! {
    /// Messages about notifications.
    NotifyEvents "exchange/taskcluster-notify/v1/" {
        irc_request "ircRequest" "irc-request" KIND_ONLY,
        notify "notify" "notification" TOPIC,
    }
}

classes! {
    /// Messages about workers and worker pools.
    WorkerManagerEvents "exchange/taskcluster-worker-manager/v1/" {
        worker_pool_created "workerPoolCreated" "worker-pool-created" WORKER,
        worker_pool_updated "workerPoolUpdated" "worker-pool-updated" WORKER,
        launch_config_archived "launchConfigArchived" "launch-config-archived" WORKER,
        launch_config_created "launchConfigCreated" "launch-config-created" WORKER,
        launch_config_updated "launchConfigUpdated" "launch-config-updated" WORKER,
        worker_pool_error "workerPoolError" "worker-pool-error" WORKER,
        worker_removed "workerRemoved" "worker-removed" WORKER,
        worker_requested "workerRequested" "worker-requested" WORKER,
        worker_running "workerRunning" "worker-running" WORKER,
        worker_stopped "workerStopped" "worker-stopped" WORKER,
    }
}
