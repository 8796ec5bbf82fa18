//! `taskyard cloudtasks tasks`.

use clap::Subcommand;
use serde_json::Value;
use taskyard_client::cloudtasks::{FailedTask, HttpMethod, LoggedAttempt, Task, View};

use super::request::Request;
use super::shown::{self, task_json};
use super::tail::{self, Follow};
use super::{Explain as _, Session};
use crate::commands::lines::print;

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Make a task and print it
    #[command(after_help = "\
Examples:
  taskyard cloudtasks tasks create mail --url http://127.0.0.1:9000/send --body hello
  taskyard cloudtasks tasks create mail --url https://example.com/send --in 90s --name reminder-7 \\
      --header \"Content-Type: application/json\" --body-file reminder.json
  taskyard cloudtasks tasks create mail --relative-uri /send --service worker")]
    Create {
        /// Id of the queue, or its full name
        queue: String,
        #[command(flatten)]
        request: Box<Request>,
    },
    /// List the tasks of a queue that are not done
    List {
        /// Id of the queue, or its full name
        queue: String,
        /// List at most so many; 0 means all
        #[arg(long, value_name = "COUNT", default_value_t = 0)]
        limit: usize,
    },
    /// Print everything about a task that is not done
    Describe {
        /// The task, as QUEUE/TASK or by its full name
        task: String,
        /// Also print its body, which takes a right of its own
        #[arg(long)]
        full: bool,
    },
    /// Send a task now, whatever its time and its queue's limits
    Run {
        /// The task, as QUEUE/TASK or by its full name
        task: String,
    },
    /// Delete a task
    Delete {
        /// The task, as QUEUE/TASK or by its full name
        task: String,
    },
    /// List attempts that have ended, newest first, also at tasks that are gone
    Attempts {
        /// A queue, or a task as QUEUE/TASK
        of: String,
        /// List at most so many; 0 means all
        #[arg(long, value_name = "COUNT", default_value_t = 20)]
        limit: usize,
        /// Also print how answers begin, which takes a right of its own
        #[arg(long)]
        full: bool,
    },
    /// List tasks of a queue that were given up, for as long as the server keeps them
    Failures {
        /// Id of the queue, or its full name
        queue: String,
        /// List at most so many; 0 means all
        #[arg(long, value_name = "COUNT", default_value_t = 0)]
        limit: usize,
        /// With --json, also print bodies, which takes a right of its own
        #[arg(long)]
        full: bool,
    },
    /// Print what happens to tasks of a queue, as it happens
    Tail(Follow),
}

/// Does one action.
pub(super) async fn execute(session: &Session, action: Action) -> anyhow::Result<()> {
    let Session { client, place, .. } = session;
    match action {
        Action::Create { queue, request } => {
            let queue = place.queue(&queue)?;
            let created = client.create_task(&queue, &request.task(&queue)?).await;
            let task = created.or_explain(|| format!("cannot create a task in {queue}"))?;
            print([line(session, &task)?])
        }
        Action::List { queue, limit } => list(session, &place.queue(&queue)?, limit).await,
        Action::Describe { task, full } => {
            let name = place.task(&task)?;
            let found = client.get_task(&name, view(full)).await;
            let found = found.or_explain(|| format!("cannot describe {name}"))?;
            let mut shown = task_json(&found)?;
            if !session.json {
                show_text(&mut shown, &found);
            }
            print(shown::whole(&shown, session.json))
        }
        Action::Run { task } => {
            let name = place.task(&task)?;
            let run = client.run_task(&name).await;
            let task = run.or_explain(|| format!("cannot run {name}"))?;
            print([line(session, &task)?])
        }
        Action::Delete { task } => {
            let name = place.task(&task)?;
            let deleted = client.delete_task(&name).await;
            deleted.or_explain(|| format!("cannot delete {name}"))
        }
        Action::Attempts { of, limit, full } => {
            attempts(session, &place.task_or_queue(&of)?, limit, full).await
        }
        Action::Failures { queue, limit, full } => {
            failures(session, &place.queue(&queue)?, limit, full).await
        }
        Action::Tail(follow) => tail::follow(session, &follow).await,
    }
}

fn view(full: bool) -> View {
    if full { View::Full } else { View::Basic }
}

async fn list(session: &Session, queue: &str, limit: usize) -> anyhow::Result<()> {
    let size = shown::page_size(limit);
    let mut tasks = session.client.list_tasks(queue, View::Basic, size);
    let mut left = shown::count(limit);
    while left > 0
        && let Some(task) = tasks
            .next()
            .await
            .or_explain(|| format!("cannot list the tasks of {queue}"))?
    {
        print([line(session, &task)?])?;
        left -= 1;
    }
    Ok(())
}

async fn attempts(session: &Session, of: &str, limit: usize, full: bool) -> anyhow::Result<()> {
    let size = shown::page_size(limit);
    let mut attempts = session.client.list_attempts(of, view(full), size);
    let mut left = shown::count(limit);
    while left > 0
        && let Some(attempt) = attempts
            .next()
            .await
            .or_explain(|| format!("cannot list the attempts of {of}"))?
    {
        print([attempt_line(session, &attempt)?])?;
        left -= 1;
    }
    Ok(())
}

async fn failures(session: &Session, of: &str, limit: usize, full: bool) -> anyhow::Result<()> {
    let size = shown::page_size(limit);
    let mut failures = session.client.list_failures(of, view(full), size);
    let mut left = shown::count(limit);
    while left > 0
        && let Some(failed) = failures
            .next()
            .await
            .or_explain(|| format!("cannot list the tasks of {of} that were given up"))?
    {
        print([failure_line(session, &failed)?])?;
        left -= 1;
    }
    Ok(())
}

fn failure_line(session: &Session, failed: &FailedTask) -> anyhow::Result<String> {
    let FailedTask {
        task,
        fail_time,
        expire_time,
    } = failed;
    if session.json {
        let mut object = task_json(task)?;
        object["failTime"] = fail_time.as_str().into();
        object["expireTime"] = expire_time.as_str().into();
        return Ok(object.to_string());
    }
    let name = session.place.short(&task.name);
    let (attempts, target) = (attempts_of(task), target_of(task));
    Ok(format!("{fail_time}\t{name}\t{attempts}\t{target}"))
}

fn line(session: &Session, task: &Task) -> anyhow::Result<String> {
    if session.json {
        return Ok(task_json(task)?.to_string());
    }
    let name = session.place.short(&task.name);
    let at = task.schedule_time.as_deref().unwrap_or("now");
    let (attempts, target) = (attempts_of(task), target_of(task));
    Ok(format!("{name}\t{at}\t{attempts}\t{target}"))
}

fn attempts_of(task: &Task) -> String {
    match task.dispatch_count {
        1 => "1 attempt".to_owned(),
        count => format!("{count} attempts"),
    }
}

/// What a task is sent to.
fn target_of(task: &Task) -> String {
    let target = if let Some(request) = &task.http_request {
        format!("{} {}", method(request.http_method), request.url)
    } else if let Some(request) = &task.app_engine_http_request {
        let path = request.relative_uri.as_deref().unwrap_or("/");
        format!("{} App Engine {path}", method(request.http_method))
    } else {
        "to be leased".to_owned()
    };
    target.escape_debug().to_string()
}

fn method(method: Option<HttpMethod>) -> &'static str {
    match method {
        None | Some(HttpMethod::Unspecified | HttpMethod::Post) => "POST",
        Some(HttpMethod::Get) => "GET",
        Some(HttpMethod::Head) => "HEAD",
        Some(HttpMethod::Put) => "PUT",
        Some(HttpMethod::Delete) => "DELETE",
        Some(HttpMethod::Patch) => "PATCH",
        Some(HttpMethod::Options) => "OPTIONS",
    }
}

/// Puts a body that is text in place of its base64.
fn show_text(shown: &mut Value, task: &Task) {
    let http = task.http_request.as_ref().and_then(|it| it.body.as_ref());
    let app_engine = task.app_engine_http_request.as_ref();
    let app_engine = app_engine.and_then(|it| it.body.as_ref());
    for (field, body) in [("httpRequest", http), ("appEngineHttpRequest", app_engine)] {
        if let Some(body) = body
            && let Ok(text) = str::from_utf8(&body.0)
            && let Some(slot) = shown.get_mut(field).and_then(|it| it.get_mut("body"))
        {
            *slot = text.into();
        }
    }
}

fn attempt_line(session: &Session, attempt: &LoggedAttempt) -> anyhow::Result<String> {
    if session.json {
        return Ok(serde_json::to_string(attempt)?);
    }
    let LoggedAttempt {
        task,
        dispatch,
        response_time,
        response_status,
        http_status,
        excerpt,
        ..
    } = attempt;
    let answer = match http_status {
        Some(status) => status.to_string(),
        None => match response_status["code"].as_i64() {
            Some(4) => "timed out".to_owned(),
            _ => "no answer".to_owned(),
        },
    };
    let task = session.place.short(task);
    let mut line = format!("{response_time}\t{task}\tattempt {dispatch}\t{answer}");
    if !excerpt.is_empty() {
        line.push('\t');
        line.push_str(&excerpt.escape_debug().to_string());
    }
    Ok(line)
}
