//! What is bound to a statement and what comes back from it.

use crate::error::Error;

/// A bound parameter. Integers are 64 bits, times and flags are integers, JSON is text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// SQL NULL.
    Null,
    /// A 64-bit integer.
    Int(i64),
    /// Text without NUL characters (PostgreSQL cannot store them).
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<i32> for Value<'_> {
    fn from(value: i32) -> Self {
        Value::Int(value.into())
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Value::Int(value.into())
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Int(value.into())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Value::Text(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Value::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Value::Blob(value)
    }
}

impl<'a> From<&'a Vec<u8>> for Value<'a> {
    fn from(value: &'a Vec<u8>) -> Self {
        Value::Blob(value)
    }
}

impl<'a, T> From<Option<T>> for Value<'a>
where
    T: Into<Value<'a>>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// Parameters of a statement, in the order of `$1`, `$2`, ….
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::Value::from($value)),*] };
}

/// One row of an answer.
#[derive(Debug)]
pub struct Row<'a>(pub(crate) Source<'a>);

pub(crate) enum Source<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a postgres::Row),
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("row")
    }
}

impl Row<'_> {
    /// The value in column `index`, counted from 0.
    ///
    /// # Errors
    /// [`Error::Statement`] if the column does not exist or holds another type.
    pub fn get<T: Column>(&self, index: usize) -> Result<T, Error> {
        T::read(self, index)
    }

    /// The text in column `index` where it stands, for those who do not keep it.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn text(&self, index: usize) -> Result<&str, Error> {
        match &self.0 {
            Source::Sqlite(row) => row
                .get_ref(index)
                .map_err(mistyped)?
                .as_str()
                .map_err(mistyped),
            Source::Postgres(row) => row.try_get(index).map_err(mistyped),
        }
    }
}

/// A type that a column can be read as.
pub trait Column: Sized {
    /// Reads column `index` of `row`.
    ///
    /// # Errors
    /// [`Error::Statement`] if the column does not exist or holds another type.
    fn read(row: &Row<'_>, index: usize) -> Result<Self, Error>;
}

/// An integer of any width: PostgreSQL gives narrower ones for literals, and truth values of its
/// own where SQLite has 0 and 1.
struct AnyInt(i64);

impl<'a> postgres::types::FromSql<'a> for AnyInt {
    fn from_sql(
        ty: &postgres::types::Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        use postgres::types::Type;
        Ok(AnyInt(match *ty {
            Type::INT2 => i16::from_sql(ty, raw)?.into(),
            Type::INT4 => i32::from_sql(ty, raw)?.into(),
            Type::BOOL => bool::from_sql(ty, raw)?.into(),
            _ => i64::from_sql(ty, raw)?,
        }))
    }

    fn accepts(ty: &postgres::types::Type) -> bool {
        use postgres::types::Type;
        matches!(*ty, Type::INT2 | Type::INT4 | Type::INT8 | Type::BOOL)
    }
}

fn mistyped(error: impl std::fmt::Display) -> Error {
    Error::Statement(format!("reading a column: {error}"))
}

impl Column for i64 {
    fn read(row: &Row<'_>, index: usize) -> Result<Self, Error> {
        match &row.0 {
            Source::Sqlite(row) => row.get(index).map_err(mistyped),
            Source::Postgres(row) => row
                .try_get::<_, AnyInt>(index)
                .map(|int| int.0)
                .map_err(mistyped),
        }
    }
}

/// A column of any type, looked at only for being NULL.
struct Anything;

impl<'a> postgres::types::FromSql<'a> for Anything {
    fn from_sql(
        _ty: &postgres::types::Type,
        _raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Anything)
    }

    fn accepts(_ty: &postgres::types::Type) -> bool {
        true
    }
}

impl<T: Column> Column for Option<T> {
    fn read(row: &Row<'_>, index: usize) -> Result<Self, Error> {
        let is_null = match &row.0 {
            Source::Sqlite(row) => {
                row.get_ref(index).map_err(mistyped)? == rusqlite::types::ValueRef::Null
            }
            Source::Postgres(row) => row
                .try_get::<_, Option<Anything>>(index)
                .map_err(mistyped)?
                .is_none(),
        };
        if is_null {
            Ok(None)
        } else {
            T::read(row, index).map(Some)
        }
    }
}

impl Column for bool {
    fn read(row: &Row<'_>, index: usize) -> Result<Self, Error> {
        i64::read(row, index).map(|int| int != 0)
    }
}

macro_rules! column_as_driver_reads {
    ($($ty:ty),*) => {$(
        impl Column for $ty {
            fn read(row: &Row<'_>, index: usize) -> Result<Self, Error> {
                match &row.0 {
                    Source::Sqlite(row) => row.get(index).map_err(mistyped),
                    Source::Postgres(row) => row.try_get(index).map_err(mistyped),
                }
            }
        }
    )*};
}

column_as_driver_reads!(String, Vec<u8>);
