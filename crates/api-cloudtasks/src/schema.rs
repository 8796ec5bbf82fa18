//! The messages of the wire, by the descriptors compiled from `proto/`, and the methods bound to
//! them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage as _};

use crate::rpc::{Row, Rpc, Service, TABLE};
use crate::shape::Shape;
use crate::version::Version;

/// Compiled from `proto/`; `tests/descriptors.rs` proves that it is up to date.
const DESCRIPTORS: &[u8] = include_bytes!("../proto/descriptors.binpb");

/// Why the descriptors cannot be used: a fault of the build, not of any user.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The compiled descriptors do not hold together.
    #[error("the message descriptors are broken: {0}")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    /// The table names something that the descriptors do not have.
    #[error("the message descriptors have no {0}")]
    Missing(String),
}

/// A method in one version.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) row: &'static Row,
    /// Locations, operations and history are the same for all; for gRPC they count as v2.
    pub(crate) version: Version,
    pub(crate) input: MessageDescriptor,
    /// Of requests that are read once: those of the method that is called most.
    pub(crate) received: Option<Arc<Shape>>,
    pub(crate) output: MessageDescriptor,
    /// Of the tasks of its version.
    pub(crate) task: Arc<Shape>,
}

/// Every message and every method.
pub(crate) struct Schema {
    pool: DescriptorPool,
    calls: Vec<Arc<Call>>,
    by_path: HashMap<String, Arc<Call>>,
}

impl Schema {
    pub(crate) fn load() -> Result<Self, SchemaError> {
        let pool = DescriptorPool::decode(DESCRIPTORS)?;
        let mut schema = Schema {
            pool,
            calls: Vec::new(),
            by_path: HashMap::new(),
        };
        let tasks = Version::ALL.into_iter().filter_map(|version| {
            let task = schema.of(version, "Task")?;
            Some((version, Arc::new(Shape::of(&task.descriptor()))))
        });
        let tasks: HashMap<Version, Arc<Shape>> = tasks.collect();
        for row in &TABLE {
            for version in row.versions {
                let call = Arc::new(schema.bind(row, *version, &tasks)?);
                let path = format!("/{}/{}", service_name(row.service, *version), row.name);
                schema
                    .by_path
                    .entry(path)
                    .or_insert_with(|| Arc::clone(&call));
                schema.calls.push(call);
            }
        }
        Ok(schema)
    }

    fn bind(
        &self,
        row: &'static Row,
        version: Version,
        tasks: &HashMap<Version, Arc<Shape>>,
    ) -> Result<Call, SchemaError> {
        let service = service_name(row.service, version);
        let missing = || SchemaError::Missing(format!("{service}.{}", row.name));
        let found = self
            .pool
            .get_service_by_name(&service)
            .ok_or_else(missing)?;
        let method = found.methods().find(|method| method.name() == row.name);
        let method = method.ok_or_else(missing)?;
        let task = tasks.get(&version).cloned();
        let is_hot = row.rpc == Rpc::CreateTask;
        Ok(Call {
            row,
            version,
            received: is_hot.then(|| Arc::new(Shape::of(&method.input()))),
            input: method.input(),
            output: method.output(),
            task: task.ok_or_else(missing)?,
        })
    }

    /// Every method of every version, in the order of the table.
    pub(crate) fn calls(&self) -> &[Arc<Call>] {
        &self.calls
    }

    /// The method at the path of a gRPC request.
    pub(crate) fn at(&self, path: &str) -> Option<&Arc<Call>> {
        self.by_path.get(path)
    }

    /// An empty message of the type `name`, with its package. `None` if there is no such type.
    pub(crate) fn message(&self, name: &str) -> Option<DynamicMessage> {
        self.pool.get_message_by_name(name).map(DynamicMessage::new)
    }

    /// An empty message of the type `name` of `version`.
    pub(crate) fn of(&self, version: Version, name: &str) -> Option<DynamicMessage> {
        self.message(&format!("google.cloud.tasks.{}.{name}", version.as_str()))
    }
}

impl Call {
    /// `google.cloud.tasks.v2.CloudTasks.GetQueue`.
    pub(crate) fn full_name(&self) -> String {
        let service = service_name(self.row.service, self.version);
        format!("{service}.{}", self.row.name)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

fn service_name(service: Service, version: Version) -> String {
    match service {
        Service::CloudTasks => format!("google.cloud.tasks.{}.CloudTasks", version.as_str()),
        Service::Locations => "google.cloud.location.Locations".to_owned(),
        Service::Operations => "google.longrunning.Operations".to_owned(),
        Service::History => "taskyard.cloudtasks.v1.History".to_owned(),
    }
}
