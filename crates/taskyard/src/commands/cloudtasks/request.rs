//! What a new task sends, from the command line.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use taskyard_client::Timestamp;
use taskyard_client::cloudtasks::{
    AppEngineRequest, AppEngineRouting, Base64, HttpMethod, HttpRequest, OidcToken, Task,
};
use taskyard_engine::clock::Clock;

use super::shown::seconds;
use crate::config::any_duration as duration;

/// What a new task sends, and when.
#[derive(Debug, clap::Args)]
pub(super) struct Request {
    /// Where the request goes
    #[arg(long, value_name = "URL", required_unless_present = "relative_uri")]
    url: Option<String>,

    /// Path and query of a request to an App Engine application, instead of --url
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    relative_uri: Option<String>,

    /// App Engine service that the request goes to
    #[arg(long, value_name = "NAME", requires = "relative_uri")]
    service: Option<String>,

    /// Method of the request: POST, GET, HEAD, PUT, DELETE, PATCH or OPTIONS
    #[arg(long, value_name = "METHOD", default_value = "POST", value_parser = method)]
    method: HttpMethod,

    /// A header of the request, such as "Content-Type: application/json"; may be given more than
    /// once
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,

    /// Body of the request
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,

    /// File with the body of the request; `-` is the standard input
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    body_file: Option<PathBuf>,

    /// Id of the task, which no other task of the queue may have now, or had until lately
    #[arg(long, value_name = "ID")]
    name: Option<String>,

    /// When it is to be sent, such as 2030-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    schedule_time: Option<Timestamp>,

    /// How long from now it is to be sent, instead of --schedule-time
    #[arg(long = "in", value_name = "DURATION", value_parser = duration,
        conflicts_with = "schedule_time")]
    delay: Option<Duration>,

    /// How long the handler may take [default: 10m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    dispatch_deadline: Option<Duration>,

    /// Service account in whose name an identity token is sent
    #[arg(long, value_name = "EMAIL", requires = "url")]
    oidc_service_account: Option<String>,

    /// Whom the identity token is for [default: the URL]
    #[arg(long, value_name = "AUDIENCE", requires = "oidc_service_account")]
    audience: Option<String>,
}

impl Request {
    /// The task, to be created in `queue`.
    pub(super) fn task(self, queue: &str) -> anyhow::Result<Task> {
        let schedule_time = match self.delay {
            None => self.schedule_time,
            Some(delay) => {
                let at = Clock::default().now().plus(delay);
                Some(Timestamp::from_millis(at.millis()).context("--in is too long")?)
            }
        };
        let body = match (self.body, self.body_file) {
            (Some(text), _) => Some(Base64::from(text)),
            (None, Some(file)) => Some(read(&file)?.into()),
            (None, None) => None,
        };
        let mut task = Task {
            schedule_time: schedule_time.map(|at| at.to_string()),
            dispatch_deadline: self.dispatch_deadline.map(seconds),
            ..Task::default()
        };
        if let Some(id) = self.name {
            task = task.named(queue, &id);
        }
        let (http_method, headers) = (Some(self.method), self.headers.into_iter().collect());
        if let Some(path) = self.relative_uri {
            task.app_engine_http_request = Some(AppEngineRequest {
                http_method,
                headers,
                body,
                relative_uri: Some(path),
                app_engine_routing: self.service.map(|service| AppEngineRouting {
                    service,
                    ..AppEngineRouting::default()
                }),
                ..AppEngineRequest::default()
            });
        } else {
            let audience = self.audience.unwrap_or_default();
            task.http_request = Some(HttpRequest {
                url: self.url.unwrap_or_default(),
                http_method,
                headers,
                body,
                oidc_token: self.oidc_service_account.map(|email| OidcToken {
                    service_account_email: email,
                    audience,
                }),
                ..HttpRequest::default()
            });
        }
        Ok(task)
    }
}

fn read(file: &PathBuf) -> anyhow::Result<Vec<u8>> {
    if file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .context("cannot read the body from the standard input")?;
        return Ok(bytes);
    }
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

fn method(text: &str) -> Result<HttpMethod, String> {
    Ok(match text.to_ascii_uppercase().as_str() {
        "POST" => HttpMethod::Post,
        "GET" => HttpMethod::Get,
        "HEAD" => HttpMethod::Head,
        "PUT" => HttpMethod::Put,
        "DELETE" => HttpMethod::Delete,
        "PATCH" => HttpMethod::Patch,
        "OPTIONS" => HttpMethod::Options,
        _ => return Err("POST, GET, HEAD, PUT, DELETE, PATCH or OPTIONS".to_owned()),
    })
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("a name and a value, such as \"Content-Type: application/json\"".to_owned()),
    }
}
