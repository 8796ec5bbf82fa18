use serde::Deserialize;
use serde_json::Value;

use super::error::{Code, Status};

/// Work that may take longer than its call.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Operation {
    /// `projects/P/locations/L/operations/O`.
    pub name: String,
    /// How it is going, with what failed by position.
    pub metadata: Option<Value>,
    /// Whether it has ended.
    pub done: bool,
    error: Option<Value>,
    response: Option<Value>,
}

/// How an operation stands.
#[derive(Debug, Clone, PartialEq)]
pub enum OperationOutcome {
    /// It is not done.
    Running,
    /// Nothing of it succeeded.
    Failed(Box<Status>),
    /// It is done, at least in part; what it answers with.
    Done(Value),
}

impl Operation {
    /// How it stands.
    pub fn outcome(&self) -> OperationOutcome {
        if !self.done {
            return OperationOutcome::Running;
        }
        if let Some(error) = &self.error {
            return OperationOutcome::Failed(Box::new(Status {
                code: Code::from_number(error["code"].as_i64().unwrap_or_default()),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
                details: error["details"].as_array().cloned().unwrap_or_default(),
                http_status: 200,
            }));
        }
        OperationOutcome::Done(self.response.clone().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_runs_fails_or_is_done() {
        let outcome = |json: &str| serde_json::from_str::<Operation>(json).unwrap().outcome();
        assert_eq!(outcome(r#"{"name":"o"}"#), OperationOutcome::Running);
        let failed = outcome(r#"{"name":"o","done":true,"error":{"code":10,"message":"m"}}"#);
        assert!(
            matches!(&failed, OperationOutcome::Failed(status) if status.code == Code::Aborted)
        );
        let done = outcome(r#"{"name":"o","done":true,"response":{"tasks":[]}}"#);
        assert!(matches!(done, OperationOutcome::Done(value) if value["tasks"].is_array()));
    }
}
