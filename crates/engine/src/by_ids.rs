//! One statement for many ids: a thousand rows must not cost a thousand round trips.

use std::sync::OnceLock;

use taskyard_store::{Error, Row, Tx, Value};

/// Ids that one statement takes. Each size is a statement of its own, prepared once; the last one
/// that is not full is filled up with an id it has already.
const SIZES: [usize; 5] = [1, 16, 128, 512, 1024];

/// A statement that names a list of ids as `{ids}`, after parameters that are the same for all.
pub(crate) struct ByIds {
    template: &'static str,
    /// How many parameters stand before the ids.
    fixed: usize,
    texts: OnceLock<[String; SIZES.len()]>,
}

impl ByIds {
    pub(crate) const fn new(template: &'static str, fixed: usize) -> Self {
        ByIds {
            template,
            fixed,
            texts: OnceLock::new(),
        }
    }

    fn text(&'static self, size: usize) -> Option<(usize, &'static str)> {
        let texts = self
            .texts
            .get_or_init(|| SIZES.map(|size| self.write(size)));
        let at = SIZES.iter().position(|known| *known >= size);
        let at = at.unwrap_or(SIZES.len() - 1);
        Some((*SIZES.get(at)?, texts.get(at)?.as_str()))
    }

    fn write(&self, size: usize) -> String {
        let ids: Vec<String> = (1..=size)
            .map(|at| format!("${}", self.fixed + at))
            .collect();
        self.template.replace("{ids}", &ids.join(", "))
    }

    /// Calls `run` with each statement and its parameters until all `ids` have had their turn.
    fn each<'v>(
        &'static self,
        fixed: &[Value<'v>],
        ids: &[Value<'v>],
        mut run: impl FnMut(&'static str, &[Value<'v>]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut rest = ids;
        let mut params = Vec::new();
        while let Some(last) = rest.last() {
            let Some((size, text)) = self.text(rest.len()) else {
                return Err(Error::Statement("no statement of this size".to_owned()));
            };
            let (these, others) = rest.split_at(size.min(rest.len()));
            params.clear();
            params.extend_from_slice(fixed);
            params.extend_from_slice(these);
            params.resize(fixed.len() + size, *last);
            run(text, &params)?;
            rest = others;
        }
        Ok(())
    }

    /// The rows of all ids, in no particular order.
    pub(crate) fn query<T>(
        &'static self,
        tx: &mut Tx<'_>,
        fixed: &[Value<'_>],
        ids: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut rows = Vec::new();
        self.each(fixed, ids, |text, params| {
            rows.extend(tx.query(text, params, &mut read)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Changes the rows of all ids and returns how many there were.
    pub(crate) fn execute(
        &'static self,
        tx: &mut Tx<'_>,
        fixed: &[Value<'_>],
        ids: &[Value<'_>],
    ) -> Result<u64, Error> {
        let mut changed = 0;
        self.each(fixed, ids, |text, params| {
            changed += tx.execute(text, params)?;
            Ok(())
        })?;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_what_is_the_same_for_all() {
        let statement = ByIds::new("UPDATE t SET a = $1 WHERE id IN ({ids})", 1);
        assert_eq!(
            statement.write(3),
            "UPDATE t SET a = $1 WHERE id IN ($2, $3, $4)"
        );
    }

    #[test]
    fn every_id_has_its_turn_once_and_the_last_fills_up() {
        static STATEMENT: ByIds = ByIds::new("{ids}", 0);
        for count in [0, 1, 2, 16, 17, 1024, 1025, 3000] {
            let ids: Vec<Value<'_>> = (0..count).map(Value::Int).collect();
            let mut seen = Vec::new();
            STATEMENT
                .each(&[], &ids, |_, params| {
                    assert!(SIZES.contains(&params.len()));
                    for value in params {
                        if !seen.contains(value) || *value != ids[count as usize - 1] {
                            seen.push(*value);
                        }
                    }
                    Ok(())
                })
                .expect("all have their turn");
            assert_eq!(seen, ids, "{count}");
        }
    }
}
