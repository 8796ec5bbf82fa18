//! Talking to a closure while it runs, and making sure who comes first.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::Poll;

use parking_lot::Mutex;
use taskyard_store::{Error, Store, Tx};
use tokio::sync::oneshot;

use crate::ledger::key;

/// A call that has been handed in, or will be when it is first polled.
pub(crate) type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Hands a write to the writer and returns while its answer is still to come.
pub(crate) async fn hand_in<'a, T, F>(store: &'a Store, closure: F) -> Call<'a, T>
where
    T: Send + 'static,
    F: Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
{
    // A task that does much without a pause is made to wait; then nothing would be handed in.
    tokio::task::yield_now().await;
    let mut call: Call<'a, T> = Box::pin(store.write(key(), closure));
    assert!(is_pending(&mut call).await, "nothing is answered yet");
    call
}

/// Whether `future` has nothing to say yet.
pub(crate) async fn is_pending<F: Future + Unpin + ?Sized>(future: &mut F) -> bool {
    std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context).is_pending()))
        .await
}

/// A place in a closure where it stops until the test lets it go on.
pub(crate) struct Stop {
    reached: Mutex<Option<oneshot::Sender<()>>>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

/// The test's side of a [`Stop`]; dropping it lets the closure go on.
pub(crate) struct Stopped {
    reached: oneshot::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

/// A place to stop, and the test's side of it.
pub(crate) fn stop() -> (Stop, Stopped) {
    let (reached, is_reached) = oneshot::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let stop = Stop {
        reached: Mutex::new(Some(reached)),
        go_on: Mutex::new(may_go_on),
    };
    (
        stop,
        Stopped {
            reached: is_reached,
            go_on,
        },
    )
}

impl Stop {
    /// Stops, unless the test has already let the closure go on.
    pub(crate) fn here(&self) {
        if let Some(reached) = self.reached.lock().take() {
            reached.send(()).expect("the test waits for the closure");
        }
        let closed = self.go_on.lock().recv();
        assert!(closed.is_err(), "nothing is ever sent");
    }
}

impl Stopped {
    /// Returns when the closure has stopped.
    pub(crate) async fn reached(&mut self) {
        (&mut self.reached).await.expect("the closure runs");
    }

    /// Lets the closure go on.
    pub(crate) fn go_on(self) {
        drop(self.go_on);
    }
}

/// Keeps the writer of [`key`] busy, so that what is handed in meanwhile waits together.
pub(crate) struct Held<'a> {
    call: Call<'a, ()>,
    stopped: Stopped,
}

impl Held<'_> {
    /// Lets the writer go on.
    pub(crate) async fn release(self) {
        self.stopped.go_on();
        self.call
            .await
            .expect("the closure that held the writer does nothing else");
    }
}

/// Returns when a closure that does nothing holds the writer.
pub(crate) async fn hold(store: &Store) -> Held<'_> {
    let (stop, mut stopped) = stop();
    let call = hand_in(store, move |_| {
        stop.here();
        Ok(())
    })
    .await;
    stopped.reached().await;
    Held { call, stopped }
}
