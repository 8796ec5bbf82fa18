//! The log of a job, in the chunks in which its agent sends it: in any order, and some of them more
//! than once.

use taskyard_store::{Error, Tx, params};

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The agent's number for it.
    pub sequence: i64,
    /// Where its bytes begin within the log.
    pub offset: i64,
    /// How many bytes it has.
    pub size: i64,
    /// Whether [`Chunk::data`] is compressed with gzip.
    pub is_gzip: bool,
    /// The bytes.
    pub data: Vec<u8>,
}

const INSERT: &str = "INSERT INTO job_log_chunks (task_id, run_id, sequence, byte_offset, size, \
     is_gzip, data) VALUES ($1, $2, $3, $4, $5, $6, $7) \
     ON CONFLICT (task_id, run_id, sequence) DO NOTHING";
const LIST: &str = "SELECT sequence, byte_offset, size, is_gzip, data FROM job_log_chunks \
     WHERE task_id = $1 AND run_id = $2 AND (byte_offset, sequence) > ($3, $4) \
     ORDER BY byte_offset, sequence LIMIT $5";
const SIZE: &str = "SELECT max(byte_offset + size), CAST(sum(size) AS BIGINT) \
     FROM job_log_chunks WHERE task_id = $1 AND run_id = $2";

/// Keeps a chunk; one that is known by its sequence changes nothing.
pub fn keep_chunk(
    tx: &mut Tx<'_>,
    (task_id, run_id): (&str, usize),
    chunk: &Chunk,
) -> Result<(), Error> {
    tx.execute(
        INSERT,
        params![
            task_id,
            run_id as i64,
            chunk.sequence,
            chunk.offset,
            chunk.size,
            chunk.is_gzip,
            &chunk.data,
        ],
    )?;
    Ok(())
}

/// The chunks of a run's log behind `after` (offset and sequence), in the order of their bytes.
pub fn chunks(
    tx: &mut Tx<'_>,
    (task_id, run_id): (&str, usize),
    after: (i64, i64),
    limit: usize,
) -> Result<Vec<Chunk>, Error> {
    tx.query(
        LIST,
        params![task_id, run_id as i64, after.0, after.1, limit as i64],
        |row| {
            Ok(Chunk {
                sequence: row.get(0)?,
                offset: row.get(1)?,
                size: row.get(2)?,
                is_gzip: row.get(3)?,
                data: row.get(4)?,
            })
        },
    )
}

/// How long a run's log is so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSize {
    /// Bytes to the end of its last chunk.
    pub end: i64,
    /// Bytes of all its chunks.
    pub kept: i64,
}

/// How long a run's log is so far; `None` without chunks.
pub fn log_size(
    tx: &mut Tx<'_>,
    (task_id, run_id): (&str, usize),
) -> Result<Option<LogSize>, Error> {
    let found = tx.query_opt(SIZE, params![task_id, run_id as i64], |row| {
        let end: Option<i64> = row.get(0)?;
        let kept: Option<i64> = row.get(1)?;
        Ok(end.zip(kept).map(|(end, kept)| LogSize { end, kept }))
    })?;
    Ok(found.flatten())
}

const INSERT_HEADER_TIME: &str = "INSERT INTO job_header_times (task_id, run_id, heading, at) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (task_id, run_id, heading) DO NOTHING";
const HEADER_TIMES: &str = "SELECT heading, at FROM job_header_times WHERE task_id = $1 \
     AND run_id = $2 ORDER BY heading LIMIT $3";

/// Keeps when headings of a run's log were written, as (number of the heading, time as sent).
pub fn keep_header_times(
    tx: &mut Tx<'_>,
    (task_id, run_id): (&str, usize),
    times: &[(i64, String)],
) -> Result<(), Error> {
    for (heading, at) in times {
        tx.execute(
            INSERT_HEADER_TIME,
            params![task_id, run_id as i64, *heading, at],
        )?;
    }
    Ok(())
}

/// When the first `limit` headings of a run's log were written.
pub fn header_times(
    tx: &mut Tx<'_>,
    (task_id, run_id): (&str, usize),
    limit: usize,
) -> Result<Vec<(i64, String)>, Error> {
    tx.query(
        HEADER_TIMES,
        params![task_id, run_id as i64, limit as i64],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

const DELETE: [&str; 2] = [
    "DELETE FROM job_log_chunks WHERE task_id = $1 AND run_id = $2",
    "DELETE FROM job_header_times WHERE task_id = $1 AND run_id = $2",
];

/// Forgets a run's log.
pub(super) fn delete_log(tx: &mut Tx<'_>, (task_id, run_id): (&str, i64)) -> Result<(), Error> {
    for statement in DELETE {
        tx.execute(statement, params![task_id, run_id])?;
    }
    Ok(())
}
