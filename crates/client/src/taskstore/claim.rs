use std::time::Duration;

/// A claim of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Groups to look in.
    pub groups: Vec<String>,
    /// For how long the tasks are held. Zero leaves them available, under new ids.
    pub lease: Duration,
    /// How long to wait for a task if there is none; a server waits a minute at most.
    pub wait: Duration,
    /// Most tasks to take, 1 to 1000.
    pub count: u32,
    /// Tasks that must exist, whoever holds them.
    pub depends: Vec<i64>,
    /// Tasks that have been claimed so often move to this group instead.
    pub give_up: Option<(u32, String)>,
}

impl Claim {
    /// A claim of one task of `group` that does not wait.
    pub fn new(group: impl Into<String>, lease: Duration) -> Self {
        Self {
            groups: vec![group.into()],
            lease,
            wait: Duration::ZERO,
            count: 1,
            depends: Vec::new(),
            give_up: None,
        }
    }

    /// Also looks in another group.
    pub fn or(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Waits for a task.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Takes up to `count` tasks.
    pub fn count(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// Also depends on a task.
    pub fn depend(mut self, id: i64) -> Self {
        self.depends.push(id);
        self
    }

    /// Moves tasks that have been claimed `attempts` times to `group` instead of taking them.
    pub fn give_up_after(mut self, attempts: u32, group: impl Into<String>) -> Self {
        self.give_up = Some((attempts, group.into()));
        self
    }
}
