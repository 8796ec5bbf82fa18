//! The table of contents: every method, in the order of the public reference, with its REST
//! routes. A method is handled by the function of the same name.

use http::Method;

use crate::version::Version::{self, V2, V2beta2, V2beta3};

/// A method of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rpc {
    ListQueues,
    GetQueue,
    CreateQueue,
    UpdateQueue,
    DeleteQueue,
    PurgeQueue,
    PauseQueue,
    ResumeQueue,
    UploadQueueYaml,
    GetIamPolicy,
    SetIamPolicy,
    TestIamPermissions,
    ListTasks,
    GetTask,
    CreateTask,
    DeleteTask,
    LeaseTasks,
    AcknowledgeTask,
    RenewLease,
    CancelLease,
    RunTask,
    BatchCreateTasks,
    BatchDeleteTasks,
    BufferTask,
    GetCmekConfig,
    UpdateCmekConfig,
    ListLocations,
    GetLocation,
    GetOperation,
    ListAttempts,
    ListFailures,
}

/// The gRPC service a method belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// `google.cloud.tasks.VERSION.CloudTasks`.
    CloudTasks,
    /// `google.cloud.location.Locations`, the same beside every version.
    Locations,
    /// `google.longrunning.Operations`, the same beside every version.
    Operations,
    /// `taskyard.cloudtasks.v1.History`, this server's own, the same beside every version.
    History,
}

/// What of a REST request's body goes where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// There is none.
    None,
    /// The whole message.
    Whole,
    /// One field of it.
    Field(&'static str),
    /// It is read as it comes: see [`crate::task::buffer`].
    Raw,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) rpc: Rpc,
    /// Its name in gRPC.
    pub(crate) name: &'static str,
    pub(crate) service: Service,
    pub(crate) versions: &'static [Version],
    /// `None` answers every method of HTTP.
    pub(crate) method: Option<Method>,
    /// Below the version, in the templates of `google.api.http`. `L`, `Q` and `T` stand for the
    /// patterns of a location, a queue and a task.
    pub(crate) templates: &'static [&'static str],
    pub(crate) body: Body,
    /// Largest request message, in bytes.
    pub(crate) limit: usize,
}

const ALL: &[Version] = &[V2, V2beta3, V2beta2];
const BETA2: &[Version] = &[V2beta2];

/// Room for a message with one task of the largest size.
pub(crate) const ONE: usize = 4 * 1024 * 1024;
/// Room for 100 tasks of the largest size, in base64.
const BATCH: usize = 160 * 1024 * 1024;

const fn row(
    rpc: Rpc,
    name: &'static str,
    method: Method,
    templates: &'static [&'static str],
    body: Body,
) -> Row {
    Row {
        rpc,
        name,
        service: Service::CloudTasks,
        versions: ALL,
        method: Some(method),
        templates,
        body,
        limit: ONE,
    }
}

impl Row {
    const fn only(mut self, versions: &'static [Version]) -> Self {
        self.versions = versions;
        self
    }

    const fn of(mut self, service: Service) -> Self {
        self.service = service;
        self
    }

    const fn batch(mut self) -> Self {
        self.limit = BATCH;
        self
    }
}

/// Every method.
pub(crate) static TABLE: [Row; 31] = [
    row(
        Rpc::ListQueues,
        "ListQueues",
        Method::GET,
        &["{parent=L}/queues"],
        Body::None,
    ),
    row(
        Rpc::GetQueue,
        "GetQueue",
        Method::GET,
        &["{name=Q}"],
        Body::None,
    ),
    row(
        Rpc::CreateQueue,
        "CreateQueue",
        Method::POST,
        &["{parent=L}/queues"],
        Body::Field("queue"),
    ),
    row(
        Rpc::UpdateQueue,
        "UpdateQueue",
        Method::PATCH,
        &["{queue.name=Q}"],
        Body::Field("queue"),
    ),
    row(
        Rpc::DeleteQueue,
        "DeleteQueue",
        Method::DELETE,
        &["{name=Q}"],
        Body::None,
    ),
    row(
        Rpc::PurgeQueue,
        "PurgeQueue",
        Method::POST,
        &["{name=Q}:purge"],
        Body::Whole,
    ),
    row(
        Rpc::PauseQueue,
        "PauseQueue",
        Method::POST,
        &["{name=Q}:pause"],
        Body::Whole,
    ),
    row(
        Rpc::ResumeQueue,
        "ResumeQueue",
        Method::POST,
        &["{name=Q}:resume"],
        Body::Whole,
    ),
    // Its route has no version: see `rest::route`.
    row(
        Rpc::UploadQueueYaml,
        "UploadQueueYaml",
        Method::POST,
        &[],
        Body::Raw,
    )
    .only(BETA2),
    row(
        Rpc::GetIamPolicy,
        "GetIamPolicy",
        Method::POST,
        &["{resource=Q}:getIamPolicy"],
        Body::Whole,
    ),
    row(
        Rpc::SetIamPolicy,
        "SetIamPolicy",
        Method::POST,
        &["{resource=Q}:setIamPolicy"],
        Body::Whole,
    ),
    row(
        Rpc::TestIamPermissions,
        "TestIamPermissions",
        Method::POST,
        &["{resource=Q}:testIamPermissions"],
        Body::Whole,
    ),
    row(
        Rpc::ListTasks,
        "ListTasks",
        Method::GET,
        &["{parent=Q}/tasks"],
        Body::None,
    ),
    row(
        Rpc::GetTask,
        "GetTask",
        Method::GET,
        &["{name=T}"],
        Body::None,
    ),
    row(
        Rpc::CreateTask,
        "CreateTask",
        Method::POST,
        &["{parent=Q}/tasks"],
        Body::Whole,
    ),
    row(
        Rpc::DeleteTask,
        "DeleteTask",
        Method::DELETE,
        &["{name=T}"],
        Body::None,
    ),
    row(
        Rpc::LeaseTasks,
        "LeaseTasks",
        Method::POST,
        &["{parent=Q}/tasks:lease"],
        Body::Whole,
    )
    .only(BETA2),
    row(
        Rpc::AcknowledgeTask,
        "AcknowledgeTask",
        Method::POST,
        &["{name=T}:acknowledge"],
        Body::Whole,
    )
    .only(BETA2),
    row(
        Rpc::RenewLease,
        "RenewLease",
        Method::POST,
        &["{name=T}:renewLease"],
        Body::Whole,
    )
    .only(BETA2),
    row(
        Rpc::CancelLease,
        "CancelLease",
        Method::POST,
        &["{name=T}:cancelLease"],
        Body::Whole,
    )
    .only(BETA2),
    row(
        Rpc::RunTask,
        "RunTask",
        Method::POST,
        &["{name=T}:run"],
        Body::Whole,
    ),
    row(
        Rpc::BatchCreateTasks,
        "BatchCreateTasks",
        Method::POST,
        &["{parent=Q}/tasks:batchCreate"],
        Body::Whole,
    )
    .batch(),
    row(
        Rpc::BatchDeleteTasks,
        "BatchDeleteTasks",
        Method::POST,
        &["{parent=Q}/tasks:batchDelete"],
        Body::Whole,
    ),
    Row {
        rpc: Rpc::BufferTask,
        name: "BufferTask",
        service: Service::CloudTasks,
        versions: ALL,
        method: None,
        // gcloud leaves the id empty.
        templates: &[
            "{queue=Q}/tasks:buffer",
            "{queue=Q}/tasks/:buffer",
            "{queue=Q}/tasks/{task_id}:buffer",
        ],
        body: Body::Raw,
        limit: ONE,
    },
    row(
        Rpc::GetCmekConfig,
        "GetCmekConfig",
        Method::GET,
        &["{name=L/cmekConfig}"],
        Body::None,
    ),
    row(
        Rpc::UpdateCmekConfig,
        "UpdateCmekConfig",
        Method::PATCH,
        &["{cmek_config.name=L/cmekConfig}"],
        Body::Field("cmek_config"),
    ),
    row(
        Rpc::ListLocations,
        "ListLocations",
        Method::GET,
        &["{name=projects/*}/locations"],
        Body::None,
    )
    .of(Service::Locations),
    row(
        Rpc::GetLocation,
        "GetLocation",
        Method::GET,
        &["{name=L}"],
        Body::None,
    )
    .of(Service::Locations),
    row(
        Rpc::GetOperation,
        "GetOperation",
        Method::GET,
        &["{name=L/operations/*}"],
        Body::None,
    )
    .of(Service::Operations),
    row(
        Rpc::ListAttempts,
        "ListAttempts",
        Method::GET,
        &["{parent=Q}/attempts", "{parent=T}/attempts"],
        Body::None,
    )
    .of(Service::History),
    row(
        Rpc::ListFailures,
        "ListFailures",
        Method::GET,
        &["{parent=Q}/failures"],
        Body::None,
    )
    .of(Service::History),
];
