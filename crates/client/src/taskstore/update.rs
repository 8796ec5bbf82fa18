use super::task::{Available, NewTask, Task};

/// A change of a task. Its group stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The version to be changed.
    pub id: i64,
    /// Its new bytes.
    pub data: Vec<u8>,
    /// When it may be claimed from now on.
    pub available: Available,
}

/// What is to happen together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// Tasks to add.
    pub adds: Vec<NewTask>,
    /// Tasks to change; must not be held by somebody else.
    pub changes: Vec<Change>,
    /// Tasks to delete; must not be held by somebody else.
    pub deletes: Vec<i64>,
    /// Tasks that must exist, whoever holds them.
    pub depends: Vec<i64>,
}

impl Update {
    /// An update that does nothing yet. A store refuses it as long as it does not.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also adds a task.
    pub fn add_task(mut self, task: NewTask) -> Self {
        self.adds.push(task);
        self
    }

    /// Also gives a task new data and another time.
    pub fn change(mut self, id: i64, data: impl Into<Vec<u8>>, available: Available) -> Self {
        self.changes.push(Change {
            id,
            data: data.into(),
            available,
        });
        self
    }

    /// Also changes only the time of a task: extends a hold, or gives it up.
    pub fn reschedule(self, task: &Task, available: Available) -> Self {
        self.change(task.id, task.data.clone(), available)
    }

    /// Also deletes a task.
    pub fn delete(mut self, id: i64) -> Self {
        self.deletes.push(id);
        self
    }

    /// Also depends on a task.
    pub fn depend(mut self, id: i64) -> Self {
        self.depends.push(id);
        self
    }

    /// Whether it changes or deletes the task.
    pub(super) fn settles(&self, id: i64) -> bool {
        self.deletes.contains(&id) || self.changes.iter().any(|change| change.id == id)
    }

    /// The same for a task that has got another id since.
    pub(super) fn with_new_id(mut self, old: i64, new: i64) -> Self {
        let ids = self.deletes.iter_mut().chain(&mut self.depends);
        let ids = ids.chain(self.changes.iter_mut().map(|change| &mut change.id));
        ids.filter(|id| **id == old).for_each(|id| *id = new);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_replaces_the_old_one_everywhere() {
        let update = Update::new()
            .change(1, "", Available::Now)
            .delete(1)
            .depend(1)
            .delete(2);
        let update = update.with_new_id(1, 9);
        assert_eq!(
            (update.changes[0].id, &update.deletes[..]),
            (9, &[9, 2][..])
        );
        assert!(update.depends == [9] && update.settles(9) && !update.settles(1));
    }
}
