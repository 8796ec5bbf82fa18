//! Who may do what.

use serde::Deserialize;
use serde_json::json;

use crate::cloudtasks::client::CloudTasks;
use crate::cloudtasks::error::Error;
use crate::cloudtasks::iam::Policy;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Permissions {
    permissions: Vec<String>,
}

impl CloudTasks {
    /// Who may do what with a queue.
    ///
    /// # Errors
    /// As [`CloudTasks::get_queue`].
    pub async fn get_iam_policy(&self, queue: &str) -> Result<Policy, Error> {
        let body = json!({"options": {"requestedPolicyVersion": 3}});
        let call = self.verb(queue, "getIamPolicy").json(&body)?;
        self.call(&self.calls().get_iam_policy, call).await
    }

    /// Replaces who may do what with a queue.
    ///
    /// # Errors
    /// `Status` with `Aborted` when the policy has changed since its etag.
    pub async fn set_iam_policy(&self, queue: &str, policy: &Policy) -> Result<Policy, Error> {
        let body = json!({ "policy": policy });
        let call = self.verb(queue, "setIamPolicy").json(&body)?;
        self.call(&self.calls().set_iam_policy, call).await
    }

    /// Those of `permissions` that the caller has; none for a queue that is not there.
    ///
    /// # Errors
    /// `Status` with `InvalidArgument` when one of them is a wildcard.
    pub async fn test_iam_permissions(
        &self,
        queue: &str,
        permissions: &[&str],
    ) -> Result<Vec<String>, Error> {
        let body = json!({ "permissions": permissions });
        let call = self.verb(queue, "testIamPermissions").json(&body)?;
        let answer: Permissions = self.call(&self.calls().test_iam_permissions, call).await?;
        Ok(answer.permissions)
    }
}
