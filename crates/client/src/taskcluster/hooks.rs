use reqwest::Method;
use serde::{Deserialize, Deserializer, Serialize, de::IntoDeserializer as _};
use serde_json::{Value, json};

use super::page::{Listing, Page, list, list_all};
use super::{Binding, TaskState};
use crate::{Call, Options, Result, Service, Timestamp, error::found};

/// The hooks service: templates of tasks, and when tasks are made from them. Clones share
/// connections.
#[derive(Debug, Clone)]
pub struct Hooks {
    service: Service,
}

/// A hook as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// First part of its name.
    pub hook_group_id: String,
    /// Second part of its name; may have slashes.
    pub hook_id: String,
    /// What it is to be.
    #[serde(flatten)]
    pub definition: HookDefinition,
}

/// What a hook is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookDefinition {
    /// For people.
    pub metadata: HookMetadata,
    /// Messages that fire it; absent on old deployments.
    #[serde(default)]
    pub bindings: Vec<Binding>,
    /// Times at which it fires, as cron expressions in UTC: `0 30 9 * * 1-5` is half past nine on
    /// working days. The first of six fields is the second, and may be left out.
    #[serde(default)]
    pub schedule: Vec<String>,
    /// JSON-e template of the task. The task gets the scopes of the role `hook-id:<group>/<hook>`,
    /// which must be enough to create it.
    pub task: Value,
    /// JSON schema of what it may be triggered with.
    #[serde(default = "no_payload")]
    pub trigger_schema: Value,
}

/// What people should know about a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookMetadata {
    /// Short name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Whom to ask, an e-mail address.
    pub owner: String,
    /// Whether the owner gets an e-mail when it fails to fire on schedule.
    #[serde(default = "yes")]
    pub email_on_error: bool,
}

/// Where a hook stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookStatus {
    /// What became of it when it last fired.
    pub last_fire: LastFire,
    /// When it fires next, if it has a schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_scheduled_date: Option<Timestamp>,
}

/// What became of a hook when it last fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "result",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum LastFire {
    /// It never did.
    NoFire,
    /// A task was made.
    Success {
        /// The task.
        task_id: String,
        /// When.
        time: Timestamp,
    },
    /// No task could be made.
    Error {
        /// An object that tells why.
        error: Value,
        /// When.
        time: Timestamp,
    },
}

/// One of the times when a hook fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookFire {
    /// First part of the hook's name.
    pub hook_group_id: String,
    /// Second part of the hook's name.
    pub hook_id: String,
    /// What fired it.
    pub fired_by: FiredBy,
    /// The task that it made, or was about to make.
    pub task_id: String,
    /// When.
    pub task_create_time: Timestamp,
    /// Whether there is such a task.
    pub result: FireResult,
    /// Where the task stands now; `None` if there is none any more, and on old deployments.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "known_state"
    )]
    pub task_state: Option<TaskState>,
    /// Why there is no task; empty if there is one.
    pub error: String,
}

/// What fires a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FiredBy {
    /// Its schedule.
    Schedule,
    /// A call with credentials.
    TriggerHook,
    /// A call with its token.
    TriggerHookWithToken,
    /// A message of one of its bindings.
    PulseMessage,
}

/// Whether firing a hook made a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FireResult {
    Success,
    Error,
}

/// A page of the times when a hook fired.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookFiresPage {
    /// The newest first.
    pub last_fires: Vec<HookFire>,
    /// Where to go on.
    pub continuation_token: Option<String>,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<String>,
}

#[derive(Deserialize)]
struct HooksOfGroup {
    hooks: Vec<Hook>,
}

/// Old deployments tell the task by its status alone.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Triggered {
    task_id: Option<String>,
    status: Option<TriggeredStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TriggeredStatus {
    task_id: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

/// The schema of hooks that say nothing of it.
fn no_payload() -> Value {
    json!({"type": "object", "additionalProperties": false})
}

fn yes() -> bool {
    true
}

fn known_state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TaskState>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "unknown" => Ok(None),
        state => TaskState::deserialize(state.into_deserializer()).map(Some),
    }
}

impl Listing for HookFiresPage {
    type Item = HookFire;

    fn into_parts(self) -> (Vec<HookFire>, Option<String>) {
        (self.last_fires, self.continuation_token)
    }
}

// === impl HookDefinition ===

impl HookDefinition {
    /// A hook that fires when it is triggered without a payload.
    pub fn new(metadata: HookMetadata, task: Value) -> Self {
        Self {
            metadata,
            bindings: Vec::new(),
            schedule: Vec::new(),
            task,
            trigger_schema: no_payload(),
        }
    }
}

// === impl FiredBy ===

impl FiredBy {
    /// The word for it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::TriggerHook => "triggerHook",
            Self::TriggerHookWithToken => "triggerHookWithToken",
            Self::PulseMessage => "pulseMessage",
        }
    }
}

// === impl Triggered ===

impl Triggered {
    fn task_id(self) -> Option<String> {
        self.task_id
            .or_else(|| self.status.and_then(|status| status.task_id))
    }
}

// === impl Hooks ===

impl Hooks {
    /// A client of the hooks service.
    ///
    /// # Errors
    /// `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            service: Service::new("hooks", "v1", options)?,
        })
    }

    /// The service beneath, for addresses and methods that have no function here.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The groups that have hooks, by name.
    pub async fn list_hook_groups(&self) -> Result<Vec<String>> {
        let answer = self.service.send(Call::get(&["hooks"])).await?;
        Ok(answer.json::<Groups>()?.groups)
    }

    /// The hooks of a group, by id; none if there is no such group.
    pub async fn list_hooks(&self, group: &str) -> Result<Vec<Hook>> {
        match found(self.service.send(Call::get(&["hooks", group])).await)? {
            Some(answer) => Ok(answer.json::<HooksOfGroup>()?.hooks),
            None => Ok(Vec::new()),
        }
    }

    /// A hook; `None` if there is none of this name.
    pub async fn hook(&self, group: &str, hook: &str) -> Result<Option<Hook>> {
        let answer = self.service.send(Call::get(&["hooks", group, hook])).await;
        found(answer.and_then(|answer| answer.json()))
    }

    /// When a hook fired last and fires next; `None` if there is none of this name.
    pub async fn get_hook_status(&self, group: &str, hook: &str) -> Result<Option<HookStatus>> {
        let path = ["hooks", group, hook, "status"];
        let answer = self.service.send(Call::get(&path)).await;
        found(answer.and_then(|answer| answer.json()))
    }

    /// Creates a hook. The same definition again finds it; another one is refused (409).
    pub async fn create_hook(
        &self,
        group: &str,
        hook: &str,
        definition: &HookDefinition,
    ) -> Result<Hook> {
        let path = ["hooks", group, hook];
        let call = Call::put(&path).json(definition)?;
        self.service.send(call).await?.json()
    }

    /// Changes a hook. Its token stays, and the time at which it fires next is found anew.
    pub async fn update_hook(
        &self,
        group: &str,
        hook: &str,
        definition: &HookDefinition,
    ) -> Result<Hook> {
        let path = ["hooks", group, hook];
        let call = Call::post(&path).json(definition)?;
        self.service.send(call).await?.json()
    }

    /// Removes a hook with all that is known of its fires; none being there is fine.
    pub async fn remove_hook(&self, group: &str, hook: &str) -> Result<()> {
        let path = ["hooks", group, hook];
        let call = Call::new(Method::DELETE, &path);
        self.service.send(call).await.map(drop)
    }

    /// Fires a hook; returns the task it made, `None` if its template made none. `payload` is an
    /// object that fits the hook's schema.
    ///
    /// A call whose answer was lost is repeated, so that a second task may be made; options without
    /// retries prevent that.
    pub async fn trigger_hook(
        &self,
        group: &str,
        hook: &str,
        payload: &Value,
    ) -> Result<Option<String>> {
        self.trigger(&["hooks", group, hook, "trigger"], payload)
            .await
    }

    /// The same for whoever has the hook's token; credentials are not looked at.
    pub async fn trigger_hook_with_token(
        &self,
        group: &str,
        hook: &str,
        token: &str,
        payload: &Value,
    ) -> Result<Option<String>> {
        self.trigger(&["hooks", group, hook, "trigger", token], payload)
            .await
    }

    async fn trigger(&self, path: &[&str], payload: &Value) -> Result<Option<String>> {
        let call = Call::post(path).json(payload)?;
        let triggered: Triggered = self.service.send(call).await?.json()?;
        Ok(triggered.task_id())
    }

    /// The token that triggers a hook without credentials; `None` if there is no such hook.
    pub async fn get_trigger_token(&self, group: &str, hook: &str) -> Result<Option<String>> {
        let path = ["hooks", group, hook, "token"];
        match found(self.service.send(Call::get(&path)).await)? {
            Some(answer) => Ok(Some(answer.json::<Token>()?.token)),
            None => Ok(None),
        }
    }

    /// Gives a hook a new token and returns it; the old one is worth nothing from then on.
    pub async fn reset_trigger_token(&self, group: &str, hook: &str) -> Result<String> {
        let path = ["hooks", group, hook, "token"];
        let answer = self.service.send(Call::post(&path)).await?;
        Ok(answer.json::<Token>()?.token)
    }

    /// A page of the times when a hook fired, the newest first; empty if it never did, or if there
    /// is no such hook.
    pub async fn list_last_fires(
        &self,
        group: &str,
        hook: &str,
        page: &Page,
    ) -> Result<HookFiresPage> {
        let path = ["hooks", group, hook, "last-fires"];
        Ok(found(list(&self.service, &path, page).await)?.unwrap_or_default())
    }

    /// All of them.
    pub async fn list_last_fires_all(&self, group: &str, hook: &str) -> Result<Vec<HookFire>> {
        let path = ["hooks", group, hook, "last-fires"];
        let fires = list_all::<HookFiresPage>(&self.service, &path).await;
        Ok(found(fires)?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> Value {
        json!({
            "metadata": {"name": "n", "description": "d", "owner": "o@example.com",
                "emailOnError": false},
            "bindings": [{"exchange": "exchange/e", "routingKeyPattern": "#"}],
            "schedule": ["0 0 3 * * *"],
            "task": {"payload": {"$eval": "payload"}},
            "triggerSchema": {"type": "object"},
        })
    }

    #[test]
    fn a_hook_is_its_name_and_its_definition() {
        let mut wire = definition();
        let read: HookDefinition = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), wire);
        wire["hookGroupId"] = "g".into();
        wire["hookId"] = "h/i".into();
        let hook: Hook = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(
            (hook.hook_id.as_str(), &hook.definition),
            ("h/i", &read),
            "names stand beside the definition"
        );
        assert_eq!(serde_json::to_value(&hook).unwrap(), wire);
    }

    #[test]
    fn what_a_definition_leaves_out_is_what_servers_take_for_it() {
        let metadata = json!({"name": "", "description": "", "owner": "o@example.com"});
        let read: HookDefinition =
            serde_json::from_value(json!({"metadata": metadata, "task": {}})).unwrap();
        assert!(read.metadata.email_on_error);
        assert_eq!(read, HookDefinition::new(read.metadata.clone(), json!({})));
        assert_eq!(read.trigger_schema["additionalProperties"], false);
    }

    #[test]
    fn a_status_tells_what_became_of_the_last_fire() {
        let status = |last_fire: Value| {
            let wire = json!({"lastFire": last_fire});
            let read: HookStatus = serde_json::from_value(wire.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), wire);
            read.last_fire
        };
        assert_eq!(status(json!({"result": "no-fire"})), LastFire::NoFire);
        let time = "2026-03-01T10:00:00.000Z";
        let success =
            json!({"result": "success", "taskId": "fN1SbArXTPSVFNUvaOlinQ", "time": time});
        assert!(
            matches!(status(success), LastFire::Success { task_id, .. } if task_id.starts_with("fN1"))
        );
        let error = json!({"result": "error", "error": {"message": "m"}, "time": time});
        assert!(matches!(status(error), LastFire::Error { error, .. } if error["message"] == "m"));
    }

    #[test]
    fn the_task_of_a_fire_may_be_gone_or_of_an_old_deployment() {
        let fire = |state: Option<&str>| {
            let mut wire = json!({"hookGroupId": "g", "hookId": "h", "firedBy": "pulseMessage",
                "taskId": "fN1SbArXTPSVFNUvaOlinQ", "result": "success", "error": "",
                "taskCreateTime": "2026-03-01T10:00:00.000Z"});
            if let Some(state) = state {
                wire["taskState"] = state.into();
            }
            serde_json::from_value::<HookFire>(wire)
        };
        let running = fire(Some("running")).unwrap();
        assert_eq!(running.task_state, Some(TaskState::Running));
        assert_eq!(
            (running.fired_by, running.result),
            (FiredBy::PulseMessage, FireResult::Success)
        );
        assert_eq!(fire(Some("unknown")).unwrap().task_state, None);
        assert_eq!(fire(None).unwrap().task_state, None);
        assert!(fire(Some("nonsense")).is_err());
    }

    #[test]
    fn words_on_the_wire_are_those_that_are_shown() {
        for by in [
            FiredBy::Schedule,
            FiredBy::TriggerHook,
            FiredBy::TriggerHookWithToken,
            FiredBy::PulseMessage,
        ] {
            assert_eq!(serde_json::to_value(by).unwrap(), by.as_str());
        }
    }

    #[test]
    fn a_trigger_tells_the_task_in_the_words_of_old_and_new_deployments() {
        for (answer, task) in [
            (json!({"taskId": "a", "status": {"taskId": "a"}}), Some("a")),
            (
                json!({"status": {"taskId": "a", "provisionerId": "p"}}),
                Some("a"),
            ),
            (json!({}), None),
        ] {
            let triggered: Triggered = serde_json::from_value(answer).unwrap();
            assert_eq!(triggered.task_id().as_deref(), task);
        }
    }
}
