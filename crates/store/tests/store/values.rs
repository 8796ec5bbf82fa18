//! What is bound comes back.

use taskyard_store::testing::Database;
use taskyard_store::{Error, Value, on_both_databases, params};

use crate::ledger::{key, open};

const ADD: &str = "INSERT INTO samples (id, whole, words, bytes) VALUES ($1, $2, $3, $4)";

/// A row of `samples` in which anything may be missing.
type Optional = (Option<i64>, Option<String>, Option<Vec<u8>>);

on_both_databases! {
    async fn integers_texts_and_bytes_come_back_as_they_were_bound(kind) {
        let texts = ["", "it's \"quoted\" — \\ $1 ?1 %", "žluťoučký 馬 🦄\n\t", "'; DROP TABLE samples; --"];
        let integers = [i64::MIN, i64::MAX, -1, 0];
        let bytes: Vec<u8> = (0..=255).collect();
        let database = Database::new(kind);
        let store = open(&database);
        let kept = bytes.clone();
        store
            .write(key(), move |tx| {
                for (id, (text, integer)) in texts.into_iter().zip(integers).enumerate() {
                    tx.execute(ADD, params![id as i64, integer, text, &kept])?;
                }
                Ok(())
            })
            .await
            .expect("committed");
        let rows: Vec<(i64, String, Vec<u8>)> = store
            .read(|tx| {
                tx.query("SELECT whole, words, bytes FROM samples ORDER BY id", &[], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
            })
            .await
            .expect("read");
        let expected: Vec<_> = integers
            .into_iter()
            .zip(texts)
            .map(|(integer, text)| (integer, text.to_owned(), bytes.clone()))
            .collect();
        assert_eq!(rows, expected);
    }

    async fn nothing_comes_back_as_none_and_an_empty_value_does_not(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        store
            .write(key(), |tx| {
                tx.execute(ADD, &[Value::Int(1), Value::Null, Value::Null, Value::Null])?;
                tx.execute(ADD, params![2, Some(0), Some(""), Some(&b""[..])])
            })
            .await
            .expect("committed");
        let rows: Vec<Optional> = store
            .read(|tx| {
                tx.query("SELECT whole, words, bytes FROM samples ORDER BY id", &[], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
            })
            .await
            .expect("read");
        let empty = (Some(0), Some(String::new()), Some(Vec::new()));
        assert_eq!(rows, [(None, None, None), empty]);
    }

    async fn parameters_keep_their_numbers_in_any_order_and_as_often_as_they_stand_there(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        store
            .write(key(), |tx| {
                tx.execute(
                    "INSERT INTO samples (words, whole, id) VALUES ($2, $1, $1)",
                    params![7, "seven"],
                )
            })
            .await
            .expect("committed");
        let found: Vec<i64> = store
            .read(|tx| {
                tx.query(
                    "SELECT whole FROM samples WHERE words = $2 AND id = $1 AND whole = $1",
                    params![7, "seven"],
                    |row| row.get(0),
                )
            })
            .await
            .expect("read");
        assert_eq!(found, [7]);
    }

    async fn literals_and_truth_values_read_as_integers(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let row = store
            .read(|tx| {
                tx.query_opt(
                    "SELECT 0, CASE WHEN 2 > 1 THEN 1 ELSE 0 END, COUNT(*), 2 > 1, \
                     EXISTS (SELECT 1 FROM entries) FROM entries",
                    &[],
                    |row| {
                        Ok((
                            row.get::<i64>(0)?,
                            row.get::<bool>(1)?,
                            row.get::<Option<i64>>(2)?,
                            row.get::<bool>(3)?,
                            row.get::<i64>(4)?,
                        ))
                    },
                )
            })
            .await
            .expect("read");
        assert_eq!(row, Some((0, true, Some(0), true, 0)));
    }

    async fn a_column_read_as_another_type_or_from_nowhere_is_refused(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let text = store.read(|tx| tx.query("SELECT 1", &[], |row| row.get::<String>(0))).await;
        assert!(matches!(text, Err(Error::Statement(_))), "{text:?}");
        let absent = store.read(|tx| tx.query("SELECT 1", &[], |row| row.get::<i64>(1))).await;
        assert!(matches!(absent, Err(Error::Statement(_))), "{absent:?}");
    }

    async fn a_value_bound_where_another_type_is_expected_is_refused(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        // Eight bytes could be mistaken for a 64-bit integer.
        let text = store.write(key(), |tx| tx.execute(ADD, params![1, "eight by", "", None::<i64>]));
        assert!(matches!(text.await, Err(Error::Statement(_))));
        let bytes =
            store.write(key(), |tx| tx.execute(ADD, params![1, &b"eight by"[..], "", None::<i64>]));
        assert!(matches!(bytes.await, Err(Error::Statement(_))));
    }

    async fn text_with_a_nul_character_is_refused(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let nul = store.write(key(), |tx| tx.execute(ADD, params![1, 1, "a\0b", None::<i64>])).await;
        assert!(matches!(nul, Err(Error::Statement(_))), "{nul:?}");
    }

    async fn execute_tells_how_many_rows_changed_and_returning_gives_them(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let (changed, mut gone) = store
            .write(key(), |tx| {
                for id in 1..=5 {
                    tx.execute(ADD, params![id, id, "", None::<i64>])?;
                }
                let changed =
                    tx.execute("UPDATE samples SET whole = 0 WHERE id > $1", params![2])?;
                let gone = tx.returning(
                    "DELETE FROM samples WHERE whole = $1 RETURNING id",
                    params![0],
                    |row| row.get::<i64>(0),
                )?;
                Ok((changed, gone))
            })
            .await
            .expect("committed");
        gone.sort_unstable();
        assert_eq!((changed, gone), (3, vec![3, 4, 5]));
    }

    async fn text_is_ordered_by_its_bytes(kind) {
        let database = Database::new(kind);
        let store = open(&database);
        let ordered: Vec<String> = store
            .write(key(), |tx| {
                for (id, text) in ["b", "a", "B", "é", "_", "Z"].into_iter().enumerate() {
                    tx.execute(ADD, params![id as i64, 0, text, None::<i64>])?;
                }
                tx.query("SELECT words FROM samples ORDER BY words", &[], |row| row.get(0))
            })
            .await
            .expect("committed");
        assert_eq!(ordered, ["B", "Z", "_", "a", "b", "é"]);
    }
}
