//! Counts words with several workers, one of which breaks down in the middle, and gets the right
//! numbers all the same.
//!
//! ```sh
//! taskyard serve --dev &
//! cargo run -p taskyard-client --example mapreduce
//! ```
//!
//! Each text is a task of the group `map`. A mapper claims one, and in a single update deletes it
//! and adds a task for each of its words. Words are spread over buckets; each bucket has a token,
//! and whoever claims the token sums the bucket up, in one update with the token's deletion. A
//! worker that vanishes leaves nothing but a claim that ends by itself, so nothing is counted
//! twice and nothing is lost.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use taskyard_client::Options;
use taskyard_client::taskstore::{Claim, Error, Listing, NewTask, Taskstore, Update};

/// Buckets of words, each summed up by one worker.
const BUCKETS: usize = 3;
/// How long a mapper may be silent before its text is given to another.
const LEASE: Duration = Duration::from_secs(2);

const TEXTS: [&str; 6] = [
    "the quick brown fox jumps over the lazy dog",
    "the dog sleeps and the fox runs",
    "a fox is a fox",
    "no dog is a fox and no fox is a dog",
    "over and over the brown leaves fall",
    "quick quick slow",
];

#[tokio::main]
#[cfg_attr(test, allow(dead_code, reason = "tests call what it calls"))]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let counts = count_words(&Options::new(url), "words", &TEXTS).await?;
    let mut out = std::io::stdout().lock();
    for (word, count) in counts {
        writeln!(out, "{count:4} {word}")?;
    }
    Ok(())
}

/// Counts the words of `texts`. The names of all groups begin with `job`.
///
/// # Errors
/// Whatever keeps the server from being reached.
pub(crate) async fn count_words(
    options: &Options,
    job: &str,
    texts: &[&str],
) -> Result<BTreeMap<String, u64>, Error> {
    let store = Taskstore::new(options.clone())?;
    let map = format!("{job}/map");
    let texts = texts.iter().map(|text| NewTask::new(&map, *text));
    store
        .update(texts.fold(Update::new(), Update::add_task))
        .await?;

    break_down(&Taskstore::new(options.clone())?, job).await?;
    tokio::try_join!(
        mapper(options, job),
        mapper(options, job),
        mapper(options, job)
    )?;

    let tokens =
        (0..BUCKETS).map(|bucket| NewTask::new(format!("{job}/token"), bucket.to_string()));
    store
        .update(tokens.fold(Update::new(), Update::add_task))
        .await?;
    tokio::try_join!(
        reducer(options, job),
        reducer(options, job),
        reducer(options, job)
    )?;
    collect(&store, job).await
}

/// A worker that claims a text, begins, and is never heard of again.
async fn break_down(store: &Taskstore, job: &str) -> Result<(), Error> {
    let claimed = store
        .claim(&Claim::new(format!("{job}/map"), LEASE))
        .await?;
    for task in claimed {
        let _half_of_the_words = words(task.text().unwrap_or_default()).count() / 2;
    }
    Ok(())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

fn bucket(word: &str) -> usize {
    word.bytes().map(usize::from).sum::<usize>() % BUCKETS
}

/// Turns texts into words until no text is left, claimed or not.
async fn mapper(options: &Options, job: &str) -> Result<(), Error> {
    let store = Taskstore::new(options.clone())?;
    let map = format!("{job}/map");
    let worker = store.worker(&map).lease(LEASE).until_empty();
    loop {
        worker
            .run(|text| async move {
                let words = words(text.text().unwrap_or_default());
                let tasks = words.map(|word| NewTask::new(format!("{job}/{}", bucket(word)), word));
                Ok(tasks.fold(Update::new(), Update::add_task))
            })
            .await?;
        // Somebody may still hold a text, and may never bring it to an end.
        if store.group_stats(&map).await?.total == 0 {
            return Ok(());
        }
        tokio::time::sleep(LEASE / 10).await;
    }
}

/// Sums up buckets until no token is left.
async fn reducer(options: &Options, job: &str) -> Result<(), Error> {
    let store = Taskstore::new(options.clone())?;
    let worker = store.worker(format!("{job}/token")).until_empty();
    let store = &store;
    worker
        .run(|token| async move {
            let group = format!("{job}/{}", token.text().unwrap_or_default());
            let listed = store.group(&group, Listing::default()).await?;
            let mut counts = BTreeMap::<&str, u64>::new();
            let mut update = Update::new();
            for task in &listed {
                *counts.entry(task.text().unwrap_or_default()).or_default() += 1;
                update = update.delete(task.id);
            }
            let sums = counts
                .into_iter()
                .map(|(word, count)| format!("{count} {word}"));
            let sums = sums.map(|sum| NewTask::new(format!("{job}/sum"), sum));
            Ok(sums.fold(update, Update::add_task))
        })
        .await
}

/// Takes the sums out of the store.
async fn collect(store: &Taskstore, job: &str) -> Result<BTreeMap<String, u64>, Error> {
    let sums = store
        .group(&format!("{job}/sum"), Listing::default())
        .await?;
    let clean_up = sums
        .iter()
        .fold(Update::new(), |update, task| update.delete(task.id));
    let sums = sums.iter().filter_map(|task| {
        let (count, word) = task.text()?.split_once(' ')?;
        Some((word.to_owned(), count.parse().ok()?))
    });
    let counts: BTreeMap<String, u64> = sums.collect();
    if !counts.is_empty() {
        store.update(clean_up).await?;
    }
    Ok(counts)
}
