//! Readers that must not miss anything remember how far they have come. One node at a time reads
//! for each of them; another takes over when that one is not heard of any more.

use taskyard_store::{Error, Tx, params};

/// A reader that remembers how far it has come.
#[derive(Debug, Clone)]
pub struct Cursor {
    /// Which reader.
    pub reader: &'static str,
    /// Which node this is.
    pub node: String,
}

const REGISTER: &str = "INSERT INTO event_cursors (reader, position, holder, held_until) \
     VALUES ($1, $2, '', $3) ON CONFLICT (reader) DO UPDATE \
     SET held_until = CASE WHEN event_cursors.held_until < $3 THEN $3 \
     ELSE event_cursors.held_until END";
const LOCK: &str = "SELECT position, holder, held_until FROM event_cursors WHERE reader = $1 \
     FOR UPDATE";
const TAKE: &str = "UPDATE event_cursors SET holder = $2, held_until = $3 WHERE reader = $1";
const ADVANCE: &str = "UPDATE event_cursors SET position = $3, held_until = $4 \
     WHERE reader = $1 AND holder = $2";
const RELEASE: &str = "UPDATE event_cursors SET holder = '' WHERE reader = $1 AND holder = $2";
const OLDEST: &str = "SELECT min(position) FROM event_cursors WHERE held_until >= $1";

impl Cursor {
    /// Makes sure that the cursor exists, at `position` if it is new, and that nothing it has not
    /// read is forgotten before `until` (microseconds since 1970).
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub fn register(&self, tx: &mut Tx<'_>, position: i64, until: i64) -> Result<(), Error> {
        tx.execute(REGISTER, params![self.reader, position, until])?;
        Ok(())
    }

    /// Takes the cursor for this node until `until`, unless another node has it at `now`. Returns
    /// where to go on.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub fn take(&self, tx: &mut Tx<'_>, now: i64, until: i64) -> Result<Option<i64>, Error> {
        let known = tx.query_opt(LOCK, params![self.reader], |row| {
            Ok((
                row.get::<i64>(0)?,
                row.get::<String>(1)?,
                row.get::<i64>(2)?,
            ))
        })?;
        let Some((position, holder, held_until)) = known else {
            return Ok(None);
        };
        if holder != self.node && !holder.is_empty() && held_until > now {
            return Ok(None);
        }
        tx.execute(TAKE, params![self.reader, &self.node, until])?;
        Ok(Some(position))
    }

    /// Everything up to `position` has been dealt with; keeps the cursor until `until`. `false` if
    /// another node has it now.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub fn advance(&self, tx: &mut Tx<'_>, position: i64, until: i64) -> Result<bool, Error> {
        let changed = tx.execute(ADVANCE, params![self.reader, &self.node, position, until])?;
        Ok(changed > 0)
    }

    /// Leaves the cursor to any other node at once.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub fn release(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        tx.execute(RELEASE, params![self.reader, &self.node])?;
        Ok(())
    }
}

/// Up to where every reader has come that was heard of since `since`.
///
/// # Errors
/// As [`Tx::query`].
pub fn oldest(tx: &mut Tx<'_>, since: i64) -> Result<Option<i64>, Error> {
    let oldest = tx.query_opt(OLDEST, params![since], |row| row.get::<Option<i64>>(0))?;
    Ok(oldest.flatten())
}
