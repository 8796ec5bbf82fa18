//! The one SQL text, as each database wants to read it.
//!
//! Statements are written for PostgreSQL in the common subset. SQLite needs `?N` for `$N` (there
//! `$N` is a *named* parameter numbered by first appearance) and knows no row locks, because its
//! one writer already has the whole database to itself.

/// `sql` as SQLite reads it.
pub(crate) fn for_sqlite(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let numbered = after.starts_with(|next: char| next.is_ascii_digit());
        text.push(if numbered { '?' } else { '$' });
        rest = after;
    }
    text.push_str(rest);
    for lock in [
        "FOR NO KEY UPDATE SKIP LOCKED",
        "FOR UPDATE SKIP LOCKED",
        "FOR UPDATE",
        "FOR KEY SHARE",
    ] {
        text = text.replace(lock, "");
    }
    text
}

/// A migration's DDL with its type names filled in: `{int}`, `{text}`, `{blob}`, `{strict}`, the
/// storage hint `{hot}` of a table that changes all the time, and `{sequence NAME}`.
pub(crate) fn ddl_for_sqlite(sql: &str) -> String {
    let sql = sql
        .replace("{int}", "INTEGER")
        .replace("{text}", "TEXT")
        .replace("{blob}", "BLOB")
        .replace("{strict}", "STRICT")
        .replace("{hot}", "STRICT");
    sequences(&sql, |name| {
        format!("INSERT INTO sequences (name, last) VALUES ('{name}', 0)")
    })
}

/// See [`ddl_for_sqlite`].
pub(crate) fn ddl_for_postgres(sql: &str) -> String {
    let sql = sql
        .replace("{int}", "BIGINT")
        .replace("{text}", "TEXT COLLATE \"C\"")
        .replace("{blob}", "BYTEA")
        .replace("{strict}", "")
        .replace(
            "{hot}",
            "WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, \
             autovacuum_vacuum_cost_delay = 0)",
        );
    sequences(&sql, |name| format!("CREATE SEQUENCE {name}"))
}

fn sequences(sql: &str, create: impl Fn(&str) -> String) -> String {
    const OPEN: &str = "{sequence ";
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once(OPEN) {
        text.push_str(before);
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(&create(name));
        rest = tail;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_keep_their_numbers() {
        assert_eq!(
            for_sqlite("SELECT $2, $1 WHERE a = $10"),
            "SELECT ?2, ?1 WHERE a = ?10"
        );
    }

    #[test]
    fn row_locks_vanish_on_sqlite() {
        assert_eq!(
            for_sqlite("SELECT 1 FROM t FOR UPDATE SKIP LOCKED").trim_end(),
            "SELECT 1 FROM t"
        );
    }

    #[test]
    fn sequences_are_created_as_each_database_can() {
        assert_eq!(ddl_for_postgres("{sequence ids};"), "CREATE SEQUENCE ids;");
        assert!(ddl_for_sqlite("{sequence ids};").starts_with("INSERT INTO sequences"));
    }
}
