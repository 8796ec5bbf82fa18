//! Many new entries in few statements: an update may add thousands.

use std::sync::LazyLock;

use taskyard_store::{Error, Tx, Value};

use crate::lease::{self, NewEntry};
use crate::timestamp::Timestamp;

/// Rows that are put by one statement. Each size is a statement of its own, prepared once; a
/// number of rows is put together from these, largest first. 128 rows need 1281 parameters, far
/// below what both databases take (32,766 and 65,535).
const SIZES: [usize; 3] = [128, 16, 1];

static TEXTS: LazyLock<[String; SIZES.len()]> = LazyLock::new(|| SIZES.map(text));

/// Columns of a row that differ from row to row; `enqueued_at` is `$1` for all of them.
const COLUMNS: usize = 10;

fn text(rows: usize) -> String {
    let rows: Vec<String> = (0..rows)
        .map(|row| {
            let parameter = |column: usize| format!("${}", row * COLUMNS + column + 2);
            let [id, queue, priority, rest @ ..] =
                std::array::from_fn::<String, COLUMNS, _>(parameter);
            format!("({id}, {queue}, {priority}, $1, {})", rest.join(", "))
        })
        .collect();
    format!(
        "INSERT INTO leases (id, queue, priority, enqueued_at, ready, available_at, expires_at, \
         owner, subject, attempt, data) VALUES {}",
        rows.join(", ")
    )
}

/// Inserts `entries` under `ids`, which are as many. Nobody is told.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    now: Timestamp,
    ids: &[i64],
    entries: &[NewEntry<'_>],
) -> Result<(), Error> {
    let (mut ids, mut entries) = (ids, entries);
    let mut params: Vec<Value<'_>> = Vec::with_capacity(1 + entries.len().min(SIZES[0]) * COLUMNS);
    for (rows, text) in SIZES.into_iter().zip(&*TEXTS) {
        while entries.len() >= rows {
            let (these, others) = entries.split_at(rows);
            let (their_ids, other_ids) = ids.split_at(rows.min(ids.len()));
            params.clear();
            params.push(now.into());
            for (id, entry) in their_ids.iter().zip(these) {
                params.extend_from_slice(&[
                    (*id).into(),
                    entry.queue.as_str().into(),
                    entry.priority.into(),
                    lease::mark_of(entry, now).into(),
                    entry.available_at.into(),
                    entry.expires_at.into(),
                    entry.owner.into(),
                    entry.subject.into(),
                    entry.attempt.into(),
                    entry.data.into(),
                ]);
            }
            tx.execute(text, &params)?;
            (ids, entries) = (other_ids, others);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_statement_share_the_time_and_nothing_else() {
        let text = text(2);
        assert!(
            text.ends_with(
                "($2, $3, $4, $1, $5, $6, $7, $8, $9, $10, $11), \
                 ($12, $13, $14, $1, $15, $16, $17, $18, $19, $20, $21)"
            ),
            "{text}"
        );
    }

    #[test]
    fn any_number_of_rows_can_be_put_together() {
        assert_eq!(SIZES.last(), Some(&1));
        assert!(SIZES.is_sorted_by(|a, b| a > b));
    }
}
