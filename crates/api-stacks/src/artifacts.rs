//! Artifacts: an agent announces files, uploads them one by one, and says which arrived. They
//! become public artifacts of the task, as its log is, under their paths.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use multer::Multipart;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use taskyard_access::Place;
use taskyard_engine::Timestamp;
use taskyard_engine::artifact::{self, Artifact, StorageType};
use taskyard_engine::stacks::{self as engine, AgentArtifact, Announcer, NewArtifact};
use taskyard_engine::task;
use taskyard_store::Key;
use uuid::Uuid;

use crate::agents::PREFIX;
use crate::job::Job;
use crate::job_id;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::request::query_value;
use crate::service::{Asked, Shared};

/// Files of one batch, and of a build that a search looks through.
const BATCH: usize = 1000;
const SEARCHED: usize = 10_000;
/// Longest path, in bytes.
const LONGEST_PATH: usize = 1000;
/// How long a download may begin after its search.
const DOWNLOAD: Duration = Duration::from_mins(30);
/// Bytes of a form that are taken before its file is known, and beside it.
const FORM: u64 = 4 * 1024 * 1024;
/// How long a sender may pause within an upload.
const IDLE: Duration = Duration::from_mins(1);

/// Bytes to be kept as an artifact.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// The task.
    pub task_id: &'a str,
    /// Which run.
    pub run_id: usize,
    /// The artifact's name within the run.
    pub name: &'a str,
    /// The media type of the bytes.
    pub content_type: &'a str,
}

/// Where the bytes of artifacts are kept.
pub trait ArtifactStore: std::fmt::Debug + Send + Sync {
    /// Keeps the bytes of an artifact that is recorded, instead of those it may have, and returns
    /// how many they were. They are durable and can be read then; if anything fails, what was there
    /// stays.
    fn put<'a>(
        &'a self,
        at: Stored<'a>,
        bytes: BoxStream<'a, io::Result<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = io::Result<u64>> + Send + 'a>>;

    /// An address that gives the bytes of an artifact to anybody until `expires`.
    ///
    /// # Errors
    /// No such address can be made.
    fn download_url(
        &self,
        task_id: &str,
        run_id: usize,
        name: &str,
        expires: Timestamp,
    ) -> io::Result<String>;
}

/// What the uploads of a batch are permitted.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Permit {
    #[serde(rename = "t")]
    task_id: String,
    #[serde(rename = "r")]
    run_id: usize,
    #[serde(rename = "b")]
    batch_id: String,
    /// Microseconds since the epoch.
    #[serde(rename = "e")]
    expires: i64,
}

const PLACE: Place<'static> = Place {
    table: "agent_artifacts",
    row: "",
    column: "upload",
};

/// How long uploads of a batch may take.
const UPLOAD: Duration = Duration::from_hours(2);

fn read_file(item: &Value) -> Result<NewArtifact, Problem> {
    let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
    let path = text("path")
        .trim_start_matches("./")
        .trim_start_matches('/');
    if path.is_empty() || path.len() > LONGEST_PATH || path.contains('\0') {
        return Err(Problem::Invalid(format!(
            "path must be a relative path of at most {LONGEST_PATH} bytes"
        )));
    }
    let is_type =
        |it: &&str| !it.is_empty() && it.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let content_type = Some(text("content_type")).filter(is_type);
    let details = json!({
        "absolute_path": text("absolute_path"),
        "glob_path": text("glob_path"),
        "sha1sum": text("sha1sum"),
        "sha256sum": text("sha256sum"),
    });
    Ok(NewArtifact {
        id: Uuid::new_v4().to_string(),
        path: path.to_owned(),
        file_size: item.get("file_size").and_then(Value::as_i64).unwrap_or(0),
        content_type: content_type
            .unwrap_or("application/octet-stream")
            .to_owned(),
        details: details.to_string(),
    })
}

/// An agent announces files.
pub(crate) async fn announce(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let payload = asked.payload()?;
    let batch_id = payload.required("id")?.to_owned();
    let wrong = || Problem::Invalid(format!("artifacts must be a list of at most {BATCH} files"));
    let items = payload.get("artifacts").and_then(Value::as_array);
    let items = items.filter(|it| it.len() <= BATCH).ok_or_else(wrong)?;
    let files = items.iter().map(read_file).collect::<Result<Vec<_>, _>>()?;
    let job = asked.job().await?;
    let definition = asked.definition(&job).await?;
    let permit = Permit {
        task_id: job.task_id.clone(),
        run_id: job.run_id,
        batch_id: batch_id.clone(),
        expires: asked.now.plus(UPLOAD).0,
    };
    let text = serde_json::to_vec(&permit).map_err(Problem::internal)?;
    let token = asked
        .parts()
        .sealer
        .seal(&PLACE, &text)
        .map_err(Problem::internal)?;
    let (now, batch) = (asked.now, batch_id.clone());
    let key = Key::of(("agent-artifacts", &job.task_id));
    let ids = asked
        .store()
        .write(key, move |tx| {
            let by = Announcer {
                task_id: &job.task_id,
                run_id: job.run_id,
                group_id: &definition.group_id,
                expires_at: definition.expires,
            };
            engine::announce(tx, now, by, &batch, &files)
        })
        .await?;
    Ok(Reply::json(
        StatusCode::CREATED,
        &json!({
            "id": batch_id,
            "artifact_ids": ids,
            "upload_instructions": {
                "action": {
                    "url": asked.parts().root_url,
                    "method": "POST",
                    "path": format!("{PREFIX}/uploads"),
                    "file_input": "file",
                },
                "data": {"token": token, "path": "${artifact:path}"},
            },
        }),
    ))
}

/// One file arrives, as a form whose fields say which one it is. It is the last part of the form.
pub(crate) async fn upload(
    shared: &Shared,
    now: Timestamp,
    head: &http::request::Parts,
    body: Body,
) -> Result<Reply, Problem> {
    let content_type = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|it| it.to_str().ok());
    let boundary = content_type
        .and_then(|it| multer::parse_boundary(it).ok())
        .ok_or_else(|| Problem::Bad("send the file as multipart/form-data".to_owned()))?;
    // Until the sender has shown a permit, only so much is taken from it.
    let budget = Arc::new(AtomicU64::new(FORM));
    let parts = body
        .into_data_stream()
        .map(|part| part.map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error)));
    let parts = with_patience(parts.boxed(), Arc::clone(&budget));
    let mut form = Multipart::new(parts, boundary);
    let (mut token, mut path) = (None, None);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name() {
            Some("token") => token = Some(short(field).await?),
            Some("path") => path = Some(short(field).await?),
            Some("file") => {
                let file = announced(shared, now, token.as_deref(), path.as_deref()).await?;
                budget.fetch_add(file.file_size.max(0).unsigned_abs(), Ordering::Relaxed);
                keep(shared, now, &file, field).await?;
                return Ok(Reply::empty(StatusCode::NO_CONTENT));
            }
            _ => drop(short(field).await?),
        }
    }
    Err(Problem::Bad("the form has no file".to_owned()))
}

/// The parts of a body, none of which may be long in coming, and which are `budget` bytes at most.
fn with_patience(
    parts: BoxStream<'static, io::Result<Bytes>>,
    budget: Arc<AtomicU64>,
) -> BoxStream<'static, io::Result<Bytes>> {
    futures_util::stream::try_unfold((parts, budget, 0), async |(mut parts, budget, taken)| {
        // The reader of the form takes all that is there at once; so not all of it is.
        tokio::task::yield_now().await;
        match tokio::time::timeout(IDLE, parts.next()).await {
            Ok(Some(part)) => {
                let part = part?;
                let taken = taken + part.len() as u64;
                if taken > budget.load(Ordering::Relaxed) {
                    return Err(io::Error::from(io::ErrorKind::FileTooLarge));
                }
                Ok(Some((part, (parts, budget, taken))))
            }
            Ok(None) => Ok(None),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        }
    })
    .boxed()
}

/// Why a form could not be read.
fn broken(error: multer::Error) -> Problem {
    if let multer::Error::StreamReadFailed(cause) = &error
        && let Some(cause) = cause.downcast_ref::<io::Error>()
    {
        match cause.kind() {
            io::ErrorKind::FileTooLarge => {
                return Problem::TooLarge("the form is longer than was announced".to_owned());
            }
            io::ErrorKind::TimedOut => {
                return Problem::Slow("the form made no progress for a minute".to_owned());
            }
            _ => {}
        }
    }
    Problem::Bad(format!("the form is broken: {error}"))
}

/// A field that is no file.
async fn short(mut field: multer::Field<'_>) -> Result<String, Problem> {
    const LONGEST_FIELD: usize = 8 * 1024;
    let mut bytes = Vec::new();
    while let Some(part) = field.chunk().await.map_err(broken)? {
        if bytes.len() + part.len() > LONGEST_FIELD {
            return Err(Problem::TooLarge(
                "a field of the form is too long".to_owned(),
            ));
        }
        bytes.extend_from_slice(&part);
    }
    String::from_utf8(bytes).map_err(|_| Problem::Bad("a field of the form is no text".to_owned()))
}

/// The announced file that is about to arrive.
async fn announced(
    shared: &Shared,
    now: Timestamp,
    token: Option<&str>,
    path: Option<&str>,
) -> Result<AgentArtifact, Problem> {
    let parts = &shared.parts;
    let permit = token
        .and_then(|token| parts.sealer.open(&PLACE, token).ok())
        .and_then(|text| serde_json::from_slice::<Permit>(&text).ok())
        .filter(|permit| permit.expires >= now.0)
        .ok_or_else(|| {
            Problem::Forbidden(
                "the form has no valid token before the file; announce the file again".to_owned(),
            )
        })?;
    let path = path.unwrap_or_default();
    let path = path.trim_start_matches("./").trim_start_matches('/');
    let unknown = Problem::NotFound(format!("the file {path:?} was not announced"));
    if path.contains('\0') {
        return Err(unknown);
    }
    let path = path.to_owned();
    let found = parts.store.read(move |tx| {
        let run = (permit.task_id.as_str(), permit.run_id);
        engine::artifact_of_batch(tx, run, &permit.batch_id, &path)
    });
    found.await?.ok_or(unknown)
}

/// Records a file as an artifact of its task before its bytes come, as every maker of artifacts
/// does.
async fn record(shared: &Shared, now: Timestamp, file: &AgentArtifact) -> Result<(), Problem> {
    let new = Artifact {
        task_id: file.task_id.clone(),
        run_id: file.run_id,
        name: file.path.clone(),
        storage_type: StorageType::S3,
        content_type: file.content_type.clone(),
        details: "{}".to_owned(),
        expires: file.expires_at,
        content_length: Some(file.file_size),
        present: true,
    };
    let key = Key::of(("agent-artifacts", &file.task_id));
    let recorded = shared
        .parts
        .store
        .write(key, move |tx| artifact::create(tx, now, &new))
        .await?;
    recorded.map_err(|refusal| Problem::Invalid(refusal.to_string()))?;
    Ok(())
}

/// A file that does not come to its end is its sender's affair.
fn unread(error: multer::Error) -> io::Error {
    match broken(error) {
        Problem::TooLarge(text) => io::Error::new(io::ErrorKind::FileTooLarge, text),
        problem => io::Error::new(io::ErrorKind::UnexpectedEof, problem.to_string()),
    }
}

/// Keeps a file that arrives.
async fn keep(
    shared: &Shared,
    now: Timestamp,
    file: &AgentArtifact,
    field: multer::Field<'_>,
) -> Result<(), Problem> {
    let limit = file.file_size.max(0) as u64;
    let mut received = 0;
    let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, "longer than announced");
    let bytes = field.map_err(unread).and_then(move |part| {
        received += part.len() as u64;
        let counted = if received > limit {
            Err(too_long())
        } else {
            Ok(part)
        };
        std::future::ready(counted)
    });
    record(shared, now, file).await?;
    let at = Stored {
        task_id: &file.task_id,
        run_id: file.run_id,
        name: &file.path,
        content_type: &file.content_type,
    };
    let length = shared
        .parts
        .artifacts
        .put(at, bytes.boxed())
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => {
                Problem::TooLarge(format!("the file was announced with {limit} bytes"))
            }
            io::ErrorKind::UnexpectedEof => {
                Problem::Bad("the upload ended before it was complete".to_owned())
            }
            _ => Problem::internal(error),
        })?;
    if length != limit {
        return Err(Problem::Invalid(format!(
            "the file has {length} bytes, but was announced with {limit}"
        )));
    }
    let id = file.id.clone();
    shared
        .parts
        .store
        .write(Key::of(("agent-artifacts", &file.task_id)), move |tx| {
            engine::set_state(tx, &id, UPLOADED)
        })
        .await?;
    Ok(())
}

/// The states of a file: announced, arrived, taken in, or lost.
const UPLOADED: &str = "uploaded";
const FINISHED: &str = "finished";
const ERROR: &str = "error";

/// An agent says which files arrived.
pub(crate) async fn update(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let payload = asked.payload()?;
    let wrong = || Problem::Invalid("artifacts must be a list of {\"id\", \"state\"}".to_owned());
    let items = payload.get("artifacts").and_then(Value::as_array);
    let states = items
        .filter(|it| it.len() <= BATCH)
        .ok_or_else(wrong)?
        .iter()
        .map(|item| {
            let text = |name: &str| item.get(name).and_then(Value::as_str);
            let id = text("id").filter(|id| !id.contains('\0'));
            let state = [FINISHED, ERROR]
                .into_iter()
                .find(|state| text("state") == Some(state));
            id.zip(state)
                .map(|(id, state)| (id.to_owned(), state))
                .ok_or_else(wrong)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let job = asked.job().await?;
    let definition = asked.definition(&job).await?;
    let done = asked
        .store()
        .write(task::group_key(&definition.group_id), move |tx| {
            let mut files = Vec::new();
            for (id, state) in &states {
                let file = engine::artifact_of(tx, id)?
                    .filter(|file| file.task_id == job.task_id && file.run_id == job.run_id);
                let Some(file) = file else {
                    return Ok(Err(Problem::NotFound(format!(
                        "No artifact found with the id {id}"
                    ))));
                };
                if *state == FINISHED && ![UPLOADED, FINISHED].contains(&file.state.as_str()) {
                    return Ok(Err(Problem::Invalid(format!(
                        "the artifact {id} was not uploaded"
                    ))));
                }
                files.push((file, *state));
            }
            for (file, state) in files {
                engine::set_state(tx, &file.id, state)?;
            }
            Ok(Ok(()))
        })
        .await?;
    done?;
    Ok(Reply::ok(&json!({})))
}

/// The files of a build whose paths fit a pattern.
pub(crate) async fn search(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let member = asked.member().await?;
    let query = asked.query();
    let pattern = query_value(query, "query").filter(|pattern| !pattern.is_empty());
    let scope = query_value(query, "scope").filter(|scope| !scope.is_empty());
    let state = query_value(query, "state").filter(|state| !state.is_empty());
    let state = state.as_deref().unwrap_or(FINISHED).to_owned();
    let group_id = member.group_id.clone();
    let (files, definitions) = asked
        .store()
        .read(move |tx| {
            let mut files = engine::search(tx, &group_id, "", SEARCHED)?;
            files.retain(|file| file.state == state);
            let mut ids: Vec<String> = files.iter().map(|file| file.task_id.clone()).collect();
            ids.sort_unstable();
            ids.dedup();
            let definitions = engine::definitions(tx, &ids)?;
            Ok((files, definitions))
        })
        .await?;
    let in_scope = |file: &AgentArtifact| {
        let Some(scope) = &scope else {
            return true;
        };
        let definition = definitions.iter().find(|it| it.task_id == file.task_id);
        let is_step = || {
            let job = definition.and_then(|it| Job::read(it).ok());
            job.is_some_and(|job| job.outline().step == *scope)
        };
        job_id::uuid(&file.task_id).eq_ignore_ascii_case(scope) || is_step()
    };
    let fits = |file: &AgentArtifact| {
        pattern
            .as_deref()
            .is_none_or(|pattern| fits(pattern.trim_start_matches("./"), &file.path))
    };
    let expires = asked.now.plus(DOWNLOAD);
    let mut found = Vec::new();
    for file in files.iter().filter(|file| fits(file) && in_scope(file)) {
        let url = asked
            .parts()
            .artifacts
            .download_url(&file.task_id, file.run_id, &file.path, expires)
            .map_err(Problem::internal)?;
        let mut body: Value = serde_json::from_str(&file.details).map_err(Problem::internal)?;
        for (name, value) in [
            ("id", json!(file.id)),
            ("path", json!(file.path)),
            ("file_size", json!(file.file_size)),
            ("content_type", json!(file.content_type)),
            ("job_id", json!(job_id::uuid(&file.task_id))),
            ("state", json!(file.state)),
            ("created_at", json!(file.created_at.to_iso())),
            ("url", json!(url)),
        ] {
            body[name] = value;
        }
        found.push(body);
    }
    Ok(Reply::ok(&found))
}

/// Whether a path fits a pattern: `*` is any text within a folder, `**` across folders, `?` one
/// character. Takes time in proportion to the product of their lengths, at most.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), path.chars().collect());
    // Which beginnings of the path the pattern so far can stand for.
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    let mut at = 0;
    while let Some(wanted) = pattern.get(at) {
        let mut next = vec![false; path.len() + 1];
        let is_star = *wanted == '*';
        let across = is_star && pattern.get(at + 1) == Some(&'*');
        for end in 0..=path.len() {
            let before = end.checked_sub(1);
            let last = before.and_then(|before| path.get(before));
            next[end] = if is_star {
                let goes_on = before.is_some_and(|before| next[before])
                    && (across || last.is_some_and(|last| *last != '/'));
                reached[end] || goes_on
            } else {
                before.is_some_and(|before| reached[before])
                    && last.is_some_and(|last| last == wanted || (*wanted == '?' && *last != '/'))
            };
        }
        reached = next;
        at += if across { 2 } else { 1 };
        // `**/` may also stand for no folder at all.
        if across && pattern.get(at) == Some(&'/') {
            let mut with_slash = vec![false; path.len() + 1];
            for end in 0..=path.len() {
                let after_slash = end > 0 && reached[end - 1] && path[end - 1] == '/';
                with_slash[end] = after_slash || end == 0 && reached[0];
            }
            reached = with_slash;
            at += 1;
        }
    }
    reached.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, path, expected) in [
            ("*", "a.txt", true),
            ("*", "a/b.txt", false),
            ("**", "a/b.txt", true),
            ("**/*.txt", "a/b/c.txt", true),
            ("**/*.txt", "c.txt", true),
            ("a/*.tx?", "a/b.txt", true),
            ("a/*.tx?", "a/b.tx", false),
            ("a.txt", "a.txt", true),
            ("a.txt", "b.txt", false),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }
}
