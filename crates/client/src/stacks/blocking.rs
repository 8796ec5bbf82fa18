//! The same without async: each call returns when its answer has come. Not for use within an async
//! runtime.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Answer, Error, FinishedJob, Job, JobAcquisitionTokens, JobState, JobsPage, Metrics, NewStack,
    Notification, NotificationErrors, Options, ReservedJobs, Retry, ScheduledJobs, Stack,
    TokenIdentity,
};

/// The API, spoken to with the token of one cluster; see [`super::Stacks`]. Clones share
/// connections.
#[derive(Debug, Clone)]
pub struct Stacks {
    runtime: Arc<tokio::runtime::Runtime>,
    stacks: super::Stacks,
}

impl Stacks {
    /// As [`super::Stacks::new`].
    ///
    /// # Errors
    /// The same, and when no thread can be set up.
    pub fn new(options: Options) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| crate::Error::Usage(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            runtime: Arc::new(runtime),
            stacks: super::Stacks::new(options)?,
        })
    }

    /// As [`super::Stacks::with_retry`].
    pub fn with_retry(&self, retry: Retry) -> Self {
        self.over(self.stacks.with_retry(retry))
    }

    /// As [`super::Stacks::without_retry`].
    pub fn without_retry(&self) -> Self {
        self.over(self.stacks.without_retry())
    }

    /// As [`super::Stacks::with_timeout`].
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        self.over(self.stacks.with_timeout(timeout))
    }

    fn over(&self, stacks: super::Stacks) -> Self {
        Self {
            runtime: Arc::clone(&self.runtime),
            stacks,
        }
    }

    /// As [`super::Stacks::register`].
    ///
    /// # Errors
    /// The same.
    pub fn register(&self, stack: &NewStack) -> Result<Answer<Stack>, Error> {
        self.runtime.block_on(self.stacks.register(stack))
    }

    /// As [`super::Stacks::deregister`].
    ///
    /// # Errors
    /// The same.
    pub fn deregister(&self, stack_key: &str) -> Result<Answer<()>, Error> {
        self.runtime.block_on(self.stacks.deregister(stack_key))
    }

    /// As [`super::Stacks::scheduled_jobs`].
    ///
    /// # Errors
    /// The same.
    pub fn scheduled_jobs(&self, wanted: &ScheduledJobs) -> Result<Answer<JobsPage>, Error> {
        self.runtime.block_on(self.stacks.scheduled_jobs(wanted))
    }

    /// As [`super::Stacks::reserve`].
    ///
    /// # Errors
    /// The same.
    pub fn reserve(
        &self,
        stack_key: &str,
        job_uuids: Vec<String>,
        expiry: Option<Duration>,
    ) -> Result<Answer<ReservedJobs>, Error> {
        let call = self.stacks.reserve(stack_key, job_uuids, expiry);
        self.runtime.block_on(call)
    }

    /// As [`super::Stacks::job`].
    ///
    /// # Errors
    /// The same.
    pub fn job(&self, stack_key: &str, job_uuid: &str) -> Result<Answer<Job>, Error> {
        self.runtime.block_on(self.stacks.job(stack_key, job_uuid))
    }

    /// As [`super::Stacks::job_states`].
    ///
    /// # Errors
    /// The same.
    pub fn job_states(
        &self,
        stack_key: &str,
        job_uuids: &[String],
    ) -> Result<Answer<HashMap<String, JobState>>, Error> {
        let call = self.stacks.job_states(stack_key, job_uuids);
        self.runtime.block_on(call)
    }

    /// As [`super::Stacks::job_state`].
    ///
    /// # Errors
    /// The same.
    pub fn job_state(
        &self,
        stack_key: &str,
        job_uuid: &str,
    ) -> Result<Answer<Option<JobState>>, Error> {
        let call = self.stacks.job_state(stack_key, job_uuid);
        self.runtime.block_on(call)
    }

    /// As [`super::Stacks::finish`].
    ///
    /// # Errors
    /// The same.
    pub fn finish(
        &self,
        stack_key: &str,
        job_uuid: &str,
        end: &FinishedJob,
    ) -> Result<Answer<()>, Error> {
        let call = self.stacks.finish(stack_key, job_uuid, end);
        self.runtime.block_on(call)
    }

    /// As [`super::Stacks::notify`].
    ///
    /// # Errors
    /// The same.
    pub fn notify(
        &self,
        stack_key: &str,
        notifications: &[Notification],
    ) -> Result<Answer<NotificationErrors>, Error> {
        let call = self.stacks.notify(stack_key, notifications);
        self.runtime.block_on(call)
    }

    /// As [`super::Stacks::job_acquisition_tokens`].
    ///
    /// # Errors
    /// The same.
    pub fn job_acquisition_tokens(
        &self,
        stack_key: &str,
        job_uuids: Vec<String>,
        lifetime: Option<Duration>,
    ) -> Result<Answer<JobAcquisitionTokens>, Error> {
        let call = self
            .stacks
            .job_acquisition_tokens(stack_key, job_uuids, lifetime);
        self.runtime.block_on(call)
    }

    /// As [`super::Stacks::token`].
    ///
    /// # Errors
    /// The same.
    pub fn token(&self) -> Result<Answer<TokenIdentity>, Error> {
        self.runtime.block_on(self.stacks.token())
    }

    /// As [`super::Stacks::metrics`].
    ///
    /// # Errors
    /// The same.
    pub fn metrics(&self) -> Result<Answer<Metrics>, Error> {
        self.runtime.block_on(self.stacks.metrics())
    }
}
