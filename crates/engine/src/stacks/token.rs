//! Tokens that stacks and agents come with. Only their hashes are known here.

use taskyard_store::{Error, Row, Tx, params};

use crate::timestamp::Timestamp;

/// A token for stacks, and for agents that register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Names it without giving it away.
    pub id: String,
    /// What it is for, for people.
    pub description: String,
    /// The queues it is good for, as a JSON list of keys; an empty one means all.
    pub queues: String,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when it is worth nothing.
    pub expires_at: Option<Timestamp>,
}

fn read(row: &Row<'_>) -> Result<Token, Error> {
    Ok(Token {
        id: row.get(0)?,
        description: row.get(1)?,
        queues: row.get(2)?,
        created_by: row.get(3)?,
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
    })
}

const INSERT: &str = "INSERT INTO stack_tokens (token_id, description, queues, created_by, \
     created_at, expires_at, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)";
const BY_HASH: &str = "SELECT token_id, description, queues, created_by, created_at, expires_at \
     FROM stack_tokens WHERE hash = $1 AND (expires_at IS NULL OR expires_at > $2)";
const LIST: &str = "SELECT token_id, description, queues, created_by, created_at, expires_at \
     FROM stack_tokens WHERE token_id > $1 ORDER BY token_id LIMIT $2";
const REVOKE: &str = "DELETE FROM stack_tokens WHERE token_id = $1";

/// Makes a token known by its hash.
pub fn issue(tx: &mut Tx<'_>, token: &Token, hash: &str) -> Result<(), Error> {
    tx.execute(
        INSERT,
        params![
            &token.id,
            &token.description,
            &token.queues,
            &token.created_by,
            token.created_at,
            token.expires_at,
            hash,
        ],
    )?;
    Ok(())
}

/// The token of this hash that is good at `now`.
pub fn token_by_hash(tx: &mut Tx<'_>, now: Timestamp, hash: &str) -> Result<Option<Token>, Error> {
    tx.query_opt(BY_HASH, params![hash, now], read)
}

/// The tokens behind `after` (empty for the first page), by id.
pub fn tokens(tx: &mut Tx<'_>, after: &str, limit: usize) -> Result<Vec<Token>, Error> {
    tx.query(LIST, params![after, limit as i64], read)
}

/// Makes a token worthless; `false` if there is none of this id.
pub fn revoke(tx: &mut Tx<'_>, id: &str) -> Result<bool, Error> {
    Ok(tx.execute(REVOKE, params![id])? > 0)
}

/// A token with which an agent may take one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobToken {
    /// Its hash.
    pub hash: String,
    /// The task.
    pub task_id: String,
    /// From when it is worth nothing.
    pub expires_at: Timestamp,
}

const INSERT_JOB_TOKEN: &str =
    "INSERT INTO job_tokens (hash, task_id, expires_at) VALUES ($1, $2, $3)";
const JOB_TOKEN: &str =
    "SELECT hash, task_id, expires_at FROM job_tokens WHERE hash = $1 AND expires_at > $2";

/// Makes job tokens known.
pub fn put_job_tokens(tx: &mut Tx<'_>, tokens: &[JobToken]) -> Result<(), Error> {
    for token in tokens {
        tx.execute(
            INSERT_JOB_TOKEN,
            params![&token.hash, &token.task_id, token.expires_at],
        )?;
    }
    Ok(())
}

/// The job token of this hash that is good at `now`.
pub fn job_token(tx: &mut Tx<'_>, now: Timestamp, hash: &str) -> Result<Option<JobToken>, Error> {
    tx.query_opt(JOB_TOKEN, params![hash, now], |row| {
        Ok(JobToken {
            hash: row.get(0)?,
            task_id: row.get(1)?,
            expires_at: row.get(2)?,
        })
    })
}
