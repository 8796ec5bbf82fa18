//! `taskyard hooks`: looks at hooks, changes them and fires them.

mod file;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};
use taskyard_client::Error;
use taskyard_client::taskcluster::{
    FireResult, Hook, HookFire, HookStatus, Hooks, LastFire, Page, TaskState,
};

use super::input::{object_of, text_of};
use super::lines::{first_line, print, print_all};
use super::target::{Target, credentials};

/// Options of `taskyard hooks`.
#[derive(Debug, clap::Args)]
#[command(after_help = credentials!(
    " A hook makes a task whenever it fires: on its schedule,\nwhen it is triggered, or when a \
     message comes that it is bound to. The task gets the scopes of the\nrole \
     `hook-id:GROUP/HOOK`."
))]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,

    /// Print one JSON object a line
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the hooks of a group; without a group, list the groups
    List {
        /// The group
        group: Option<String>,
    },
    /// Print a hook as JSON that `put` takes
    Show {
        #[command(flatten)]
        hook: Named,
    },
    /// Make a hook what a file says it is; print it
    #[command(after_help = "--help explains the file.", after_long_help = file::FORMAT)]
    Put {
        /// The file (YAML or JSON); `-` is standard input
        file: PathBuf,
        /// The hook, instead of the one that the file names
        #[arg(long, value_name = "GROUP/HOOK")]
        name: Option<Name>,
    },
    /// Delete a hook with all that is known of its fires
    Delete {
        #[command(flatten)]
        hook: Named,
    },
    /// Fire a hook and print the id of the task it made; exit code 1 if its template made none
    Trigger {
        #[command(flatten)]
        hook: Named,
        /// What the template sees as `payload`: a JSON object, or the file that holds one; `@-` is
        /// standard input
        #[arg(long, value_name = "JSON|@FILE", default_value = "{}")]
        payload: String,
    },
    /// List when a hook fired and what became of it, the newest first; --json tells errors whole
    Fires {
        #[command(flatten)]
        hook: Named,
        /// List at most so many, up to 1000; 0 means all
        #[arg(long, value_name = "COUNT", default_value_t = 20,
            value_parser = clap::value_parser!(u32).range(0..=1000))]
        limit: u32,
    },
    /// Show when a hook fired last, and when it fires next on its schedule
    Status {
        #[command(flatten)]
        hook: Named,
    },
    /// Print the token that triggers a hook without credentials
    #[command(after_help = "\
A POST of a JSON object to ROOT-URL/api/hooks/v1/hooks/GROUP/HOOK/trigger/TOKEN fires the hook,
with each slash of HOOK written as %2F.")]
    Token {
        #[command(flatten)]
        hook: Named,
        /// Make a new one first; the old one is worth nothing any more
        #[arg(long)]
        reset: bool,
    },
}

/// The hook that is meant.
#[derive(Debug, clap::Args)]
struct Named {
    /// The hook
    #[arg(value_name = "GROUP/HOOK")]
    name: Name,
}

/// Name of a hook, whose second part may have slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    group: String,
    hook: String,
}

// === impl Name ===

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((group, hook)) if !group.is_empty() && !hook.is_empty() => Ok(Self {
                group: group.to_owned(),
                hook: hook.to_owned(),
            }),
            _ => Err("write GROUP/HOOK"),
        }
    }
}

impl Name {
    fn none(&self) -> String {
        format!("there is no hook {:?}", self.shown())
    }

    fn shown(&self) -> String {
        format!("{}/{}", self.group, self.hook)
    }
}

/// Does one action.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let hooks = Hooks::new(args.target.options()?)?;
    let json = args.json;
    match args.action {
        Action::List { group: None } => {
            let groups = hooks.list_hook_groups().await?;
            print(groups.iter().map(|group| group_line(group, json)))?;
        }
        Action::List { group: Some(group) } => {
            let found = hooks.list_hooks(&group).await?;
            print_all(&found, json, hook_line)?;
        }
        Action::Show { hook } => {
            let Named { name } = hook;
            let found = hooks.hook(&name.group, &name.hook).await?;
            let found = found.with_context(|| name.none())?;
            let shown = if json {
                serde_json::to_string(&found)
            } else {
                serde_json::to_string_pretty(&found)
            };
            print([shown.context("cannot print the hook")?])?;
        }
        Action::Put { file, name } => {
            let put = put(&hooks, &file, name).await?;
            print_all(&[put], json, hook_line)?;
        }
        Action::Delete { hook } => {
            hooks.remove_hook(&hook.name.group, &hook.name.hook).await?;
        }
        Action::Trigger { hook, payload } => {
            return trigger(&hooks, &hook.name, &payload, json).await;
        }
        Action::Fires { hook, limit } => {
            let fires = fires(&hooks, &hook.name, limit).await?;
            print_all(&fires, json, fire_line)?;
        }
        Action::Status { hook } => {
            let Named { name } = hook;
            let status = hooks.get_hook_status(&name.group, &name.hook).await?;
            let status = status.with_context(|| name.none())?;
            print_all(&[status], json, status_line)?;
        }
        Action::Token { hook, reset } => {
            let Named { name } = hook;
            let token = if reset {
                hooks.reset_trigger_token(&name.group, &name.hook).await?
            } else {
                let token = hooks.get_trigger_token(&name.group, &name.hook).await?;
                token.with_context(|| name.none())?
            };
            let line = if json {
                json!({"token": token}).to_string()
            } else {
                token
            };
            print([line])?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Creates the hook of a file, or makes the one that exists like it.
async fn put(hooks: &Hooks, file: &Path, name: Option<Name>) -> anyhow::Result<Hook> {
    let (named, definition) = file::parse(&text_of(Some(file))?, &file::shown(file))?;
    let name = name.or(named).context(
        "the file does not name the hook; write hookGroupId and hookId, or give --name GROUP/HOOK",
    )?;
    let created = hooks
        .create_hook(&name.group, &name.hook, &definition)
        .await;
    match created {
        // Another definition has this name.
        Err(Error::Api { status: 409, .. }) => {
            let updated = hooks.update_hook(&name.group, &name.hook, &definition);
            Ok(updated.await?)
        }
        created => Ok(created?),
    }
}

async fn trigger(
    hooks: &Hooks,
    name: &Name,
    payload: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let payload = object_of(payload, "the payload")?;
    let task = hooks
        .trigger_hook(&name.group, &name.hook, &payload)
        .await?;
    if json {
        print([json!({"taskId": task}).to_string()])?;
    } else if let Some(task) = &task {
        print([task.clone()])?;
    } else {
        // Standard output is for ids alone.
        writeln!(std::io::stderr(), "the hook's template made no task")
            .context("cannot write to the error output")?;
    }
    Ok(match task {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}

async fn fires(hooks: &Hooks, name: &Name, limit: u32) -> anyhow::Result<Vec<HookFire>> {
    if limit == 0 {
        return Ok(hooks.list_last_fires_all(&name.group, &name.hook).await?);
    }
    let page = Page {
        continuation_token: None,
        limit: Some(limit),
    };
    let page = hooks
        .list_last_fires(&name.group, &name.hook, &page)
        .await?;
    Ok(page.last_fires)
}

fn group_line(group: &str, json: bool) -> String {
    if json {
        return json!({"hookGroupId": group}).to_string();
    }
    group.escape_debug().to_string()
}

fn hook_line(hook: &Hook) -> String {
    let (group, id) = (&hook.hook_group_id, &hook.hook_id);
    let definition = &hook.definition;
    let schedule = if definition.schedule.is_empty() {
        "no schedule".to_owned()
    } else {
        format!("at {}", definition.schedule.join(" and at "))
    };
    format!(
        "{}/{}\t{}\t{}",
        group.escape_debug(),
        id.escape_debug(),
        schedule.escape_debug(),
        definition.metadata.name.escape_debug()
    )
}

fn fire_line(fire: &HookFire) -> String {
    let (time, by) = (fire.task_create_time, fire.fired_by.as_str());
    let outcome = match fire.result {
        FireResult::Success => {
            let state = fire.task_state.map_or("unknown", TaskState::as_str);
            format!("{}\t{state}", fire.task_id)
        }
        FireResult::Error => {
            // The service keeps texts, most of which were objects.
            let error = serde_json::from_str(&fire.error).unwrap_or_default();
            format!("failed\t{}", reason(&error, &fire.error))
        }
    };
    format!("{time}\t{by}\t{outcome}")
}

fn status_line(status: &HookStatus) -> String {
    let last = match &status.last_fire {
        LastFire::NoFire => "never fired".to_owned(),
        LastFire::Success { task_id, time } => format!("fired {time}\t{task_id}"),
        LastFire::Error { error, time } => {
            format!("failed {time}\t{}", reason(error, &error.to_string()))
        }
    };
    match status.next_scheduled_date {
        Some(next) => format!("{last}\tnext {next}"),
        None => last,
    }
}

/// What an error says first; some go on for pages, which `--json` prints. `whole` is for those
/// without a message.
fn reason(error: &Value, whole: &str) -> String {
    first_line(error["message"].as_str().unwrap_or(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_at_its_first_slash() {
        let name: Name = "group/a/b".parse().unwrap();
        assert_eq!((name.group.as_str(), name.hook.as_str()), ("group", "a/b"));
        for wrong in ["group", "group/", "/hook", ""] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fire_that_failed_says_why_on_one_line() {
        let fire = |result: &str, error: &str| {
            let wire = json!({"hookGroupId": "g", "hookId": "h", "firedBy": "schedule",
                "taskId": "fN1SbArXTPSVFNUvaOlinQ", "result": result, "error": error,
                "taskState": "unknown", "taskCreateTime": "2026-03-01T10:00:00.000Z"});
            fire_line(&serde_json::from_value(wire).unwrap())
        };
        assert_eq!(
            fire("error", "no\tscopes:\nthese"),
            "2026-03-01T10:00:00.000Z\tschedule\tfailed\tno\\tscopes:"
        );
        assert_eq!(
            fire(
                "error",
                r#"{"code": "InputError", "message": "late\nby far"}"#
            ),
            "2026-03-01T10:00:00.000Z\tschedule\tfailed\tlate"
        );
        assert_eq!(
            fire("success", ""),
            "2026-03-01T10:00:00.000Z\tschedule\tfN1SbArXTPSVFNUvaOlinQ\tunknown"
        );
    }

    #[test]
    fn a_status_is_one_line() {
        let line = |wire: Value| status_line(&serde_json::from_value(wire).unwrap());
        let time = "2026-03-01T10:00:00.000Z";
        assert_eq!(
            line(json!({"lastFire": {"result": "no-fire"}})),
            "never fired"
        );
        let failed = json!({"result": "error", "error": {"message": "a\tb"}, "time": time});
        assert_eq!(
            line(json!({"lastFire": failed, "nextScheduledDate": time})),
            format!("failed {time}\ta\\tb\tnext {time}")
        );
        let failed = json!({"result": "error", "error": {"code": 1}, "time": time});
        assert_eq!(
            line(json!({ "lastFire": failed })),
            format!("failed {time}\t{{\\\"code\\\":1}}")
        );
    }
}
