//! A caller's closure on its way to a database thread, and the answer's way back.

use tokio::sync::oneshot;

use crate::error::Error;
use crate::tx::Tx;

/// A closure with its caller still attached.
pub(crate) trait Job: Send {
    /// Runs the closure and keeps its value until the commit is durable.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Error>;
    /// Hands the kept value to the caller.
    fn answer(self: Box<Self>);
    /// Tells the caller that nothing of its closure is in the database.
    fn refuse(self: Box<Self>, error: Error);
    /// Whether nobody waits for the answer any more, so that the work need not begin.
    fn is_abandoned(&self) -> bool;
}

pub(crate) struct Call<T, F> {
    closure: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Call<T, F>
where
    T: Send + 'static,
    F: Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
{
    /// The closure as a job, and where its answer will arrive.
    pub(crate) fn open(closure: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, Error>>) {
        let (reply, answer) = oneshot::channel();
        (
            Box::new(Call {
                closure,
                value: None,
                reply,
            }),
            answer,
        )
    }
}

impl<T, F> Job for Call<T, F>
where
    T: Send + 'static,
    F: Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        self.value = None;
        let closure = &self.closure;
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| closure(tx)));
        let Ok(result) = outcome else {
            return Err(Error::Panicked);
        };
        // A closure that swallowed an SQL error must not be answered as if it had worked, and one
        // that gave it another name must still be run again if the cause was a collision.
        if let Some(error) = &tx.failed {
            return Err(error.clone());
        }
        self.value = Some(result?);
        Ok(())
    }

    fn answer(self: Box<Self>) {
        let result = self.value.ok_or(Error::Closed);
        // The caller may have gone; then the answer is for nobody.
        drop(self.reply.send(result));
    }

    fn refuse(self: Box<Self>, error: Error) {
        drop(self.reply.send(Err(error)));
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}
