//! Reads, on connections of their own, each in a snapshot.

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::driver::Driver;
use crate::error::Error;
use crate::job::Job;
use crate::store::Shared;
use crate::tx::{Effects, Tx};

/// The queue that all readers take their work from.
pub(crate) type Jobs = Mutex<mpsc::Receiver<Box<dyn Job>>>;

/// Serves reads until every sender is gone.
pub(crate) fn run(driver: &mut dyn Driver, jobs: &Jobs, shared: &Shared) {
    loop {
        // One idle reader waits in the channel, the others for the lock.
        let job = jobs.lock().blocking_recv();
        let Some(mut job) = job else { return };
        if job.is_abandoned() {
            continue;
        }
        // A connection may have died while it was idle: try once more on a new one.
        let outcome = match read(driver, job.as_mut()) {
            Err(Error::Lost(_)) => read(driver, job.as_mut()),
            outcome => outcome,
        };
        match outcome {
            // What it saw must last, as what is written does.
            Ok(()) => shared.deliver(Effects::default(), vec![job]),
            Err(Error::Lost(text)) => job.refuse(Error::Unavailable(text)),
            Err(error) => job.refuse(error),
        }
    }
}

fn read(driver: &mut dyn Driver, job: &mut dyn Job) -> Result<(), Error> {
    let begun = driver.begin_read();
    let outcome = begun.and_then(|()| job.run(&mut Tx::reading(driver)));
    driver.end_read();
    outcome
}
