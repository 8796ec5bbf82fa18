//! Pull queues.

use serde_json::json;

use crate::cloudtasks::client::CloudTasks;
use crate::cloudtasks::error::Error;
use crate::cloudtasks::lease::{Lease, LeaseRequest, Leased};
use crate::cloudtasks::task::Task;

impl CloudTasks {
    /// Takes tasks of a pull queue for a while; none if none are due. v2beta2.
    ///
    /// # Errors
    /// `Status` with `FailedPrecondition` when the queue is paused or no pull queue.
    pub async fn lease_tasks(
        &self,
        queue: &str,
        request: &LeaseRequest,
    ) -> Result<Vec<Task>, Error> {
        let call = self
            .verb(&format!("{queue}/tasks"), "lease")
            .json(request)?;
        let leased: Leased = self.call(&self.calls().lease_tasks, call).await?;
        Ok(leased.tasks)
    }

    /// Says that a leased task is done. v2beta2.
    ///
    /// # Errors
    /// `Status` with `FailedPrecondition` when the lease has ended.
    pub async fn acknowledge_task(&self, lease: &Lease) -> Result<(), Error> {
        let body = json!({ "scheduleTime": lease.schedule_time });
        let call = self.verb(&lease.name, "acknowledge").json(&body)?;
        self.told(&self.calls().acknowledge_task, call).await
    }

    /// Prolongs a lease to `lease_duration` (such as `60s`) from now. v2beta2.
    ///
    /// # Errors
    /// As [`CloudTasks::acknowledge_task`].
    pub async fn renew_lease(&self, lease: &Lease, lease_duration: &str) -> Result<Task, Error> {
        let body = json!({
            "scheduleTime": lease.schedule_time, "leaseDuration": lease_duration,
        });
        let call = self.verb(&lease.name, "renewLease").json(&body)?;
        self.call(&self.calls().renew_lease, call).await
    }

    /// Gives a leased task back. v2beta2.
    ///
    /// # Errors
    /// As [`CloudTasks::acknowledge_task`].
    pub async fn cancel_lease(&self, lease: &Lease) -> Result<Task, Error> {
        let body = json!({ "scheduleTime": lease.schedule_time });
        let call = self.verb(&lease.name, "cancelLease").json(&body)?;
        self.call(&self.calls().cancel_lease, call).await
    }
}
