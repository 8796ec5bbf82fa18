//! Annotations: text that a job puts beside its build, or beside itself.

use taskyard_store::{Error, Row, Tx, params};

use crate::timestamp::Timestamp;

/// A text beside a build or a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Tells it from others of the same place.
    pub context: String,
    /// How it is shown.
    pub style: String,
    /// Larger is shown earlier.
    pub priority: i64,
    /// The text.
    pub body: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

const LOCK: &str = "SELECT context, style, priority, body, updated_at FROM annotations \
     WHERE place = $1 AND context = $2 FOR UPDATE";
const LIST: &str = "SELECT context, style, priority, body, updated_at FROM annotations \
     WHERE place = $1 ORDER BY context LIMIT $2";
const SET: &str = "INSERT INTO annotations (place, context, style, priority, body, updated_at, \
     expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (place, context) DO UPDATE \
     SET style = excluded.style, priority = excluded.priority, body = excluded.body, \
     updated_at = excluded.updated_at, expires_at = excluded.expires_at";
const REMOVE: &str = "DELETE FROM annotations WHERE place = $1 AND context = $2";

fn read(row: &Row<'_>) -> Result<Annotation, Error> {
    Ok(Annotation {
        context: row.get(0)?,
        style: row.get(1)?,
        priority: row.get(2)?,
        body: row.get(3)?,
        updated_at: row.get(4)?,
    })
}

/// Puts an annotation beside `place`, a task group or a task; instead of the one of its context, or
/// with `append` behind it. `None` if it would then be longer than `at_most` bytes.
pub fn annotate(
    tx: &mut Tx<'_>,
    place: &str,
    new: &Annotation,
    (append, at_most): (bool, usize),
    expires_at: Timestamp,
) -> Result<Option<()>, Error> {
    let known = tx.query_opt(LOCK, params![place, &new.context], read)?;
    let (body, style) = match known.filter(|_| append) {
        Some(known) => (
            format!("{}{}", known.body, new.body),
            if new.style.is_empty() {
                known.style
            } else {
                new.style.clone()
            },
        ),
        None => (new.body.clone(), new.style.clone()),
    };
    if body.len() > at_most {
        return Ok(None);
    }
    tx.execute(
        SET,
        params![
            place,
            &new.context,
            &style,
            new.priority,
            &body,
            new.updated_at,
            expires_at,
        ],
    )?;
    Ok(Some(()))
}

/// Takes an annotation away; `false` if there is none of this context.
pub fn remove_annotation(tx: &mut Tx<'_>, place: &str, context: &str) -> Result<bool, Error> {
    Ok(tx.execute(REMOVE, params![place, context])? > 0)
}

/// The annotations beside `place`, by context.
pub fn annotations(tx: &mut Tx<'_>, place: &str, limit: usize) -> Result<Vec<Annotation>, Error> {
    tx.query(LIST, params![place, limit as i64], read)
}
