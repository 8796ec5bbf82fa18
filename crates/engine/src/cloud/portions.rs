//! One statement over many rows, put together from a few sizes that are prepared once.

use taskyard_store::{Error, Row, Tx, Value};

/// Rows of one statement. A number of rows is put together from these, largest first.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// The texts of a statement over many rows of `COLUMNS` values.
#[derive(Debug)]
pub(super) struct Portions<const COLUMNS: usize> {
    texts: [String; SIZES.len()],
    /// Parameters before those of the rows, the same for all.
    fixed: usize,
}

impl<const COLUMNS: usize> Portions<COLUMNS> {
    /// Rows for `INSERT … VALUES`, after `fixed` parameters of the statement's own; `text` is given
    /// `($2, $3), ($4, $5), …`.
    pub(super) fn rows(fixed: usize, text: impl Fn(&str) -> String) -> Self {
        Self::build(fixed, text, |parameters| {
            format!("({})", parameters.join(", "))
        })
    }

    /// Rows of integers for `WITH … AS (VALUES …)`, where PostgreSQL must be told the types.
    pub(super) fn table(fixed: usize, text: impl Fn(&str) -> String) -> Self {
        Self::build(fixed, text, |parameters| {
            let typed: Vec<String> = parameters
                .iter()
                .map(|parameter| format!("CAST({parameter} AS BIGINT)"))
                .collect();
            format!("({})", typed.join(", "))
        })
    }

    fn build(
        fixed: usize,
        text: impl Fn(&str) -> String,
        row: impl Fn(&[String]) -> String,
    ) -> Self {
        let texts = SIZES.map(|size| {
            let rows: Vec<String> = (0..size)
                .map(|at| {
                    let parameters: Vec<String> = (0..COLUMNS)
                        .map(|column| format!("${}", fixed + at * COLUMNS + column + 1))
                        .collect();
                    row(&parameters)
                })
                .collect();
            text(&rows.join(", "))
        });
        Portions { texts, fixed }
    }

    /// Runs the statement over all rows and returns how many it changed.
    pub(super) fn execute(
        &'static self,
        tx: &mut Tx<'_>,
        fixed: &[Value<'_>],
        rows: &[[Value<'_>; COLUMNS]],
    ) -> Result<u64, Error> {
        let mut changed = 0;
        self.each(fixed, rows, |text, parameters| {
            changed += tx.execute(text, parameters)?;
            Ok(())
        })?;
        Ok(changed)
    }

    /// Runs the query over all rows.
    pub(super) fn query<T>(
        &'static self,
        tx: &mut Tx<'_>,
        fixed: &[Value<'_>],
        rows: &[[Value<'_>; COLUMNS]],
        mut map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::with_capacity(rows.len());
        self.each(fixed, rows, |text, parameters| {
            found.extend(tx.query(text, parameters, &mut map)?);
            Ok(())
        })?;
        Ok(found)
    }

    fn each(
        &'static self,
        fixed: &[Value<'_>],
        mut rows: &[[Value<'_>; COLUMNS]],
        mut run: impl FnMut(&'static str, &[Value<'_>]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        debug_assert_eq!(fixed.len(), self.fixed);
        let mut parameters = Vec::with_capacity(fixed.len() + rows.len().min(SIZES[0]) * COLUMNS);
        for (size, text) in SIZES.into_iter().zip(&self.texts) {
            while rows.len() >= size {
                let (these, others) = rows.split_at(size);
                parameters.clear();
                parameters.extend_from_slice(fixed);
                parameters.extend(these.iter().flatten().copied());
                run(text, &parameters)?;
                rows = others;
            }
        }
        Ok(())
    }
}

impl Portions<1> {
    /// A list for `IN (…)`, after no other parameter.
    pub(super) fn list(text: impl Fn(&str) -> String) -> Self {
        Self::listed(0, text)
    }

    /// A list for `IN (…)`, after `fixed` parameters of the statement's own.
    pub(super) fn listed(fixed: usize, text: impl Fn(&str) -> String) -> Self {
        Self::build(fixed, text, <[String]>::concat)
    }
}

/// One-column rows of these integers.
pub(super) fn column(numbers: &[i64]) -> Vec<[Value<'static>; 1]> {
    numbers.iter().map(|number| [Value::Int(*number)]).collect()
}

#[cfg(test)]
mod tests {
    use super::Portions;

    #[test]
    fn parameters_of_rows_come_after_the_fixed_ones() {
        let portions = Portions::<2>::rows(1, str::to_owned);
        assert_eq!(portions.texts[2], "($2, $3), ($4, $5), ($6, $7), ($8, $9)");
        assert_eq!(Portions::list(str::to_owned).texts[2], "$1, $2, $3, $4");
    }
}
