//! Which locations have queues.

use taskyard_store::{Error, Tx, params};

/// Most locations of a project that are told.
const MOST: usize = 200;

const NEXT: &str =
    "SELECT name FROM cloud_queues WHERE name >= $1 AND name < $2 ORDER BY name LIMIT 1";

/// The ids of the locations of `project` (`projects/P`) that have queues, in order. Costs one look
/// for each of them, however many queues they have.
pub fn in_use(tx: &mut Tx<'_>, project: &str) -> Result<Vec<String>, Error> {
    let first = format!("{project}/locations/");
    // `0` follows `/`.
    let end = format!("{project}/locations0");
    let found = between(tx, &first, &end, MOST)?;
    let ids = found.iter().filter_map(|place| place.strip_prefix(&first));
    Ok(ids.map(str::to_owned).collect())
}

/// The locations of all projects that have queues, as `projects/P/locations/L`, `most` at most.
/// Costs one look for each of them.
pub fn all(tx: &mut Tx<'_>, most: usize) -> Result<Vec<String>, Error> {
    between(tx, "projects/", "projects0", most)
}

/// The locations of queues whose names are at least `first` and less than `end`, in order.
fn between(tx: &mut Tx<'_>, first: &str, end: &str, most: usize) -> Result<Vec<String>, Error> {
    let mut from = first.to_owned();
    let mut found: Vec<String> = Vec::new();
    while found.len() < most {
        let name = tx.query_opt(NEXT, params![&from, end], |row| row.get::<String>(0))?;
        let place = name.as_deref().and_then(|name| name.split_once("/queues/"));
        let Some((place, _)) = place else { break };
        from = format!("{place}/queues0");
        found.push(place.to_owned());
    }
    Ok(found)
}
