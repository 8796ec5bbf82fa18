//! Which locations of a project have queues.

use taskyard_store::{Error, Tx, params};

/// Most locations that are told.
const MOST: usize = 200;

const NEXT: &str =
    "SELECT name FROM cloud_queues WHERE name >= $1 AND name < $2 ORDER BY name LIMIT 1";

/// The ids of the locations of `project` (`projects/P`) that have queues, in order. Costs one look
/// for each of them, however many queues they have.
pub fn in_use(tx: &mut Tx<'_>, project: &str) -> Result<Vec<String>, Error> {
    let first = format!("{project}/locations/");
    // `0` follows `/`.
    let end = format!("{project}/locations0");
    let mut from = first.clone();
    let mut found: Vec<String> = Vec::new();
    while found.len() < MOST {
        let name = tx.query_opt(NEXT, params![&from, &end], |row| row.get::<String>(0))?;
        let id = name.and_then(|name| {
            let below = name.strip_prefix(&first)?;
            below.split('/').next().map(str::to_owned)
        });
        let Some(id) = id else { break };
        from = format!("{first}{id}/queues0");
        found.push(id);
    }
    Ok(found)
}
