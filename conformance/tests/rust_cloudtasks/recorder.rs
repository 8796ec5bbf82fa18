//! Notes which methods of the client are called.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use google_cloud_gax::error::Error;
use google_cloud_gax::exponential_backoff::ExponentialBackoff;
use google_cloud_gax::options::RequestOptions;
use google_cloud_gax::polling_backoff_policy::PollingBackoffPolicy;
use google_cloud_gax::polling_error_policy::{Aip194Strict, PollingErrorPolicy};
use google_cloud_gax::response::Response;
use google_cloud_iam_v1::model::{self as iam, Policy};
use google_cloud_location::model::{
    GetLocationRequest, ListLocationsRequest, ListLocationsResponse, Location,
};
use google_cloud_longrunning::model::{GetOperationRequest, Operation};
use google_cloud_lro::PollerOptions;
use google_cloud_tasks_v2::client::CloudTasks;
use google_cloud_tasks_v2::model::{self, CmekConfig, CreateTaskRequest, Queue, Task};
use google_cloud_tasks_v2::stub;

/// Names of methods that were called.
pub(crate) type Called = Arc<Mutex<BTreeSet<&'static str>>>;

/// Hands each call on to the client and notes its method.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) client: CloudTasks,
    pub(crate) called: Called,
}

macro_rules! methods {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        /// All there are: with a release that has more of them, this file is refused.
        pub(crate) const METHODS: &[&str] = &[$(stringify!($method)),*];

        #[deny(clippy::missing_trait_methods)]
        impl stub::CloudTasks for Recorder {
            $(
                async fn $method(
                    &self,
                    request: $request,
                    options: RequestOptions,
                ) -> Result<Response<$response>, Error> {
                    self.called.lock().unwrap().insert(stringify!($method));
                    let call = self.client.$method().with_request(request);
                    call.with_options(options).send().await.map(Response::from)
                }
            )*

            fn get_polling_error_policy(
                &self,
                _: &RequestOptions,
            ) -> Arc<dyn PollingErrorPolicy> {
                Arc::new(Aip194Strict)
            }

            fn get_polling_backoff_policy(
                &self,
                _: &RequestOptions,
            ) -> Arc<dyn PollingBackoffPolicy> {
                Arc::new(ExponentialBackoff::default())
            }

            fn get_poller_options(&self, _: &RequestOptions) -> PollerOptions {
                PollerOptions::default()
            }
        }
    };
}

methods! {
    list_queues(model::ListQueuesRequest) -> model::ListQueuesResponse;
    get_queue(model::GetQueueRequest) -> Queue;
    create_queue(model::CreateQueueRequest) -> Queue;
    update_queue(model::UpdateQueueRequest) -> Queue;
    delete_queue(model::DeleteQueueRequest) -> ();
    purge_queue(model::PurgeQueueRequest) -> Queue;
    pause_queue(model::PauseQueueRequest) -> Queue;
    resume_queue(model::ResumeQueueRequest) -> Queue;
    get_iam_policy(iam::GetIamPolicyRequest) -> Policy;
    set_iam_policy(iam::SetIamPolicyRequest) -> Policy;
    test_iam_permissions(iam::TestIamPermissionsRequest) -> iam::TestIamPermissionsResponse;
    list_tasks(model::ListTasksRequest) -> model::ListTasksResponse;
    get_task(model::GetTaskRequest) -> Task;
    create_task(CreateTaskRequest) -> Task;
    batch_create_tasks(model::BatchCreateTasksRequest) -> Operation;
    delete_task(model::DeleteTaskRequest) -> ();
    batch_delete_tasks(model::BatchDeleteTasksRequest) -> Operation;
    run_task(model::RunTaskRequest) -> Task;
    update_cmek_config(model::UpdateCmekConfigRequest) -> CmekConfig;
    get_cmek_config(model::GetCmekConfigRequest) -> CmekConfig;
    list_locations(ListLocationsRequest) -> ListLocationsResponse;
    get_location(GetLocationRequest) -> Location;
    get_operation(GetOperationRequest) -> Operation;
}
