//! The transaction a closure works in.

use crate::driver::Driver;
use crate::error::Error;
use crate::horizon::Horizon;
use crate::value::{Row, Value};
use crate::wake::Topic;

/// A source of ever growing numbers, created by a migration's `{sequence NAME}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence(pub &'static str);

/// What a transaction makes known to others once it is committed.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Topics with the number of waiters to wake; `None` wakes all of them.
    pub(crate) wakes: Vec<(Topic, Option<u32>)>,
    /// The earliest time, in microseconds, at which something falls due.
    pub(crate) alarm: Option<i64>,
}

impl Effects {
    pub(crate) fn wake(&mut self, topic: Topic, count: Option<u32>) {
        match self.wakes.iter_mut().find(|(known, _)| *known == topic) {
            Some((_, known)) => *known = known.zip(count).map(|(a, b)| a.saturating_add(b)),
            None => self.wakes.push((topic, count)),
        }
    }

    fn alarm(&mut self, at: i64) {
        self.alarm = Some(self.alarm.map_or(at, |known| known.min(at)));
    }

    pub(crate) fn absorb(&mut self, other: Effects) {
        for (topic, count) in other.wakes {
            self.wake(topic, count);
        }
        if let Some(at) = other.alarm {
            self.alarm(at);
        }
    }
}

/// The transaction a closure works in; see the crate's documentation for what a closure keeps to.
pub struct Tx<'a> {
    driver: &'a mut dyn Driver,
    pub(crate) effects: Effects,
    /// Whether anything was changed: until then an error needs no rollback.
    pub(crate) wrote: bool,
    /// The first SQL error. PostgreSQL refuses all further statements then; so do we on SQLite.
    pub(crate) failed: Option<Error>,
    read_only: bool,
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx")
            .field("wrote", &self.wrote)
            .finish_non_exhaustive()
    }
}

impl<'a> Tx<'a> {
    pub(crate) fn new(driver: &'a mut dyn Driver) -> Self {
        Tx {
            driver,
            effects: Effects::default(),
            wrote: false,
            failed: None,
            read_only: false,
        }
    }

    pub(crate) fn reading(driver: &'a mut dyn Driver) -> Self {
        Tx {
            read_only: true,
            ..Tx::new(driver)
        }
    }

    /// Runs a statement and returns the number of rows it changed.
    ///
    /// # Errors
    /// Any SQL error ends the closure: every later call fails with the same error.
    pub fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, Error> {
        self.check()?;
        self.writes()?;
        let result = self.driver.execute(sql, params);
        self.note(result)
    }

    /// Runs a query and maps its rows.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub fn query<T>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        mut map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.check()?;
        if !sql.trim_start().starts_with("SELECT") {
            // It may change something, as `WITH … DELETE` does, so an error must undo it.
            self.wrote = true;
        }
        let mut rows = Vec::new();
        let result = self.driver.query(sql, params, &mut |row| {
            rows.push(map(row)?);
            Ok(())
        });
        self.note(result)?;
        Ok(rows)
    }

    /// The first row of a query, if there is one.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub fn query_opt<T>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        Ok(self.query(sql, params, map)?.into_iter().next())
    }

    /// Runs a statement that changes rows and returns some of them (`… RETURNING`). The order of
    /// the rows is not specified.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub fn returning<T>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.check()?;
        self.writes()?;
        self.query(sql, params, map)
    }

    /// The next `count` numbers of a sequence, ascending. No two committed closures get the same
    /// number; an undone closure may leave a gap, and so does a restart.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub fn next_ids(&mut self, sequence: Sequence, count: usize) -> Result<Vec<i64>, Error> {
        self.check()?;
        if count == 0 {
            return Ok(Vec::new());
        }
        self.writes()?;
        let result = self.driver.next_ids(sequence.0, count);
        self.note(result)
    }

    /// Which transactions have ended, as this snapshot sees it. Only meaningful in a read.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub fn horizon(&mut self) -> Result<Horizon, Error> {
        self.check()?;
        let result = self.driver.horizon();
        self.note(result)
    }

    /// After the commit, wakes one waiter of `topic` (one for each call).
    pub fn wake(&mut self, topic: Topic) {
        self.effects.wake(topic, Some(1));
    }

    /// After the commit, wakes every waiter of `topic`.
    pub fn wake_all(&mut self, topic: Topic) {
        self.effects.wake(topic, None);
    }

    /// After the commit, makes sure the timer looks again no later than `at_micros`.
    pub fn alarm(&mut self, at_micros: i64) {
        self.effects.alarm(at_micros);
    }

    /// The error by which a closure asks to be undone and run again, because a guard in `WHERE`
    /// found that another transaction was faster.
    pub fn overtaken(&self, what: &str) -> Error {
        Error::Contended(what.to_owned())
    }

    /// Whether no statement has failed yet. After one that has, every other fails too.
    pub fn is_sound(&self) -> bool {
        self.failed.is_none()
    }

    fn check(&self) -> Result<(), Error> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Notes that the closure is about to change something.
    fn writes(&mut self) -> Result<(), Error> {
        if self.read_only {
            return self.note(Err(Error::Statement(
                "a read cannot change anything, use Store::write".to_owned(),
            )));
        }
        self.wrote = true;
        Ok(())
    }

    fn note<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }
}
