//! Logs and files of jobs, kept where the queue keeps its artifacts.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use taskyard_api_stacks::{ArtifactStore, Stored};
use taskyard_api_taskcluster::queue::Transfers;
use taskyard_engine::Timestamp;

/// The queue's artifacts, as jobs write them.
#[derive(Debug)]
pub(crate) struct JobArtifacts {
    transfers: Arc<Transfers>,
}

impl JobArtifacts {
    pub(crate) fn new(transfers: Arc<Transfers>) -> Self {
        JobArtifacts { transfers }
    }
}

impl ArtifactStore for JobArtifacts {
    fn put<'a>(
        &'a self,
        at: Stored<'a>,
        bytes: BoxStream<'a, io::Result<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = io::Result<u64>> + Send + 'a>> {
        Box::pin(async move {
            let artifact = (at.task_id, at.run_id, at.name);
            self.transfers.keep(artifact, None, bytes).await
        })
    }

    fn download_url(
        &self,
        task_id: &str,
        run_id: usize,
        name: &str,
        expires: Timestamp,
    ) -> io::Result<String> {
        self.transfers
            .artifact_url((task_id, run_id, name), expires)
    }
}
