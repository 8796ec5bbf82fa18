//! The JSON of updates and claims: keys in any case, unknown ones ignored, null as good as nothing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::number::Int;
use crate::time::GivenTime;

/// A task as it stands in an update.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct GivenTask {
    pub(crate) id: i64,
    pub(crate) group: String,
    pub(crate) data: Vec<u8>,
    pub(crate) time: GivenTime,
}

/// The body of an update.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UpdateBody {
    pub(crate) client_id: i32,
    pub(crate) adds: Vec<GivenTask>,
    pub(crate) updates: Vec<GivenTask>,
    pub(crate) deletes: Vec<i64>,
    pub(crate) depends: Vec<i64>,
}

/// The body of a claim. What is `None` was not asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ClaimBody {
    pub(crate) client_id: i32,
    pub(crate) group: String,
    pub(crate) groups: Vec<String>,
    /// In nanoseconds, unless the address asks for another unit.
    pub(crate) duration: i64,
    pub(crate) duration_ms: Option<i64>,
    /// How long to wait for a task, in the unit of `duration`.
    pub(crate) wait: i64,
    pub(crate) wait_ms: Option<i64>,
    pub(crate) count: Option<i64>,
    pub(crate) depends: Vec<i64>,
    pub(crate) max_attempts: Option<i64>,
    pub(crate) error_group: String,
}

/// Every key of every object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Adds,
    At,
    ClientId,
    Count,
    Data,
    Data64,
    Deletes,
    Depends,
    Duration,
    DurationMs,
    ErrorGroup,
    Group,
    Groups,
    Id,
    MaxAttempts,
    Timespec,
    Updates,
    Wait,
    WaitMs,
    Unknown,
}

const KEYS: [(&str, Key); 19] = [
    ("id", Key::Id),
    ("group", Key::Group),
    ("data", Key::Data),
    ("duration", Key::Duration),
    ("timespec", Key::Timespec),
    ("at", Key::At),
    ("data64", Key::Data64),
    ("adds", Key::Adds),
    ("updates", Key::Updates),
    ("deletes", Key::Deletes),
    ("depends", Key::Depends),
    ("clientid", Key::ClientId),
    ("groups", Key::Groups),
    ("duration_ms", Key::DurationMs),
    ("wait", Key::Wait),
    ("wait_ms", Key::WaitMs),
    ("count", Key::Count),
    ("max_attempts", Key::MaxAttempts),
    ("error_group", Key::ErrorGroup),
];

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Key, E> {
                let known = KEYS
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(text));
                Ok(known.map_or(Key::Unknown, |(_, key)| *key))
            }
        }
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

/// A value that is empty when it is null.
#[derive(Default)]
struct OrEmpty<T>(T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for OrEmpty<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(OrEmpty(
            Option::deserialize(deserializer)?.unwrap_or_default(),
        ))
    }
}

fn value<'de, T: Deserialize<'de> + Default, M: MapAccess<'de>>(
    map: &mut M,
) -> Result<T, M::Error> {
    Ok(map.next_value::<OrEmpty<T>>()?.0)
}

fn list<'de, T: Deserialize<'de> + Default, M: MapAccess<'de>>(
    map: &mut M,
) -> Result<Vec<T>, M::Error> {
    Ok(value::<Vec<OrEmpty<T>>, M>(map)?
        .into_iter()
        .map(|item| item.0)
        .collect())
}

fn int<'de, M: MapAccess<'de>>(map: &mut M) -> Result<i64, M::Error> {
    Ok(value::<Int, M>(map)?.0)
}

fn optional_int<'de, M: MapAccess<'de>>(map: &mut M) -> Result<Option<i64>, M::Error> {
    Ok(map.next_value::<Option<Int>>()?.map(|int| int.0))
}

fn ints<'de, M: MapAccess<'de>>(map: &mut M) -> Result<Vec<i64>, M::Error> {
    Ok(list::<Int, M>(map)?.into_iter().map(|int| int.0).collect())
}

fn client_id<'de, M: MapAccess<'de>>(map: &mut M) -> Result<i32, M::Error> {
    let given = int(map)?;
    i32::try_from(given)
        .map_err(|_| M::Error::custom(format!("clientid {given} is no integer of 32 bits")))
}

/// The longest name of a group, in bytes: PostgreSQL's indexes take no more than about 2,700.
const LONGEST_NAME: usize = 1024;

fn check_name<E: Error>(name: String) -> Result<String, E> {
    if name.len() > LONGEST_NAME {
        let (is, most) = (name.len(), LONGEST_NAME);
        return Err(E::custom(format!(
            "a group's name has {is} bytes; {most} are allowed"
        )));
    }
    if name.contains('\0') {
        return Err(E::custom("a group's name must not have NUL characters"));
    }
    Ok(name)
}

fn name<'de, M: MapAccess<'de>>(map: &mut M) -> Result<String, M::Error> {
    check_name(value(map)?)
}

/// Reads an object: `entry` takes each known key with its value, and what is no object is refused.
macro_rules! object {
    ($name:ident, $what:literal, |$object:ident, $key:ident, $map:ident| $entry:block) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor;
                impl<'de> Visitor<'de> for ObjectVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<$name, M::Error> {
                        let mut object = $name::default();
                        while let Some(key) = map.next_key::<Key>()? {
                            let ($object, $key, $map) = (&mut object, key, &mut map);
                            $entry
                        }
                        Ok(object)
                    }
                }
                deserializer.deserialize_map(ObjectVisitor)
            }
        }
    };
}

fn skip<'de, M: MapAccess<'de>>(map: &mut M) -> Result<(), M::Error> {
    map.next_value::<serde::de::IgnoredAny>().map(drop)
}

impl<'de> Deserialize<'de> for GivenTask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RawTask { mut task, data64 } = RawTask::deserialize(deserializer)?;
        if let Some(text) = data64 {
            task.data = STANDARD
                .decode(text)
                .map_err(|error| D::Error::custom(format!("data64 is no base64: {error}")))?;
        }
        Ok(task)
    }
}

/// A task before it is decided which of its data counts: bytes win over text, in any order.
#[derive(Default)]
struct RawTask {
    task: GivenTask,
    data64: Option<String>,
}

object!(RawTask, "a task", |raw, key, map| {
    match key {
        Key::Id => raw.task.id = int(map)?,
        Key::Group => raw.task.group = name(map)?,
        Key::Data => raw.task.data = value::<String, M>(map)?.into_bytes(),
        Key::Data64 => raw.data64 = map.next_value()?,
        Key::Duration => raw.task.time.duration = optional_int(map)?,
        Key::At => raw.task.time.at = optional_int(map)?,
        Key::Timespec => raw.task.time.timespec = optional_int(map)?,
        _ => skip(map)?,
    }
});

object!(
    UpdateBody,
    "an object that describes an update",
    |body, key, map| {
        match key {
            Key::ClientId => body.client_id = client_id(map)?,
            Key::Adds => body.adds = list(map)?,
            Key::Updates => body.updates = list(map)?,
            Key::Deletes => body.deletes = ints(map)?,
            Key::Depends => body.depends = ints(map)?,
            _ => skip(map)?,
        }
    }
);

object!(
    ClaimBody,
    "an object that describes a claim",
    |body, key, map| {
        match key {
            Key::ClientId => body.client_id = client_id(map)?,
            Key::Group => body.group = name(map)?,
            Key::Groups => {
                let names: Vec<String> = list(map)?;
                body.groups = names
                    .into_iter()
                    .map(check_name)
                    .collect::<Result<_, _>>()?;
            }
            Key::Duration => body.duration = int(map)?,
            Key::DurationMs => body.duration_ms = optional_int(map)?,
            Key::Wait => body.wait = int(map)?,
            Key::WaitMs => body.wait_ms = optional_int(map)?,
            Key::Count => body.count = optional_int(map)?,
            Key::Depends => body.depends = ints(map)?,
            Key::MaxAttempts => body.max_attempts = optional_int(map)?,
            Key::ErrorGroup => body.error_group = name(map)?,
            _ => skip(map)?,
        }
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    fn update(json: &str) -> Result<UpdateBody, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn the_documented_form_and_the_go_clients_are_the_same_update() {
        let documented = update(
            r#"{"clientid":1643,"adds":[{"group":"map","data":"a"}],
                "updates":[{"id":14,"data":"b","timespec":-60000}],
                "deletes":[16,18],"depends":[12,13]}"#,
        )
        .expect("an update");
        let go = update(
            r#"{"clientid":1643,
                "adds":[{"id":0,"group":"map","data":"a","duration":0,"ownerid":0}],
                "updates":[{"id":14,"group":"","data":"b","duration":-60000000000,"ownerid":0}],
                "deletes":[16,18],"depends":[12,13]}"#,
        )
        .expect("an update");
        let now = taskyard_engine::Timestamp(1);
        assert_eq!(
            documented.updates[0].time.resolve(now),
            go.updates[0].time.resolve(now)
        );
        assert_eq!(
            documented.adds[0].time.resolve(now),
            go.adds[0].time.resolve(now)
        );
        let without_times = |mut body: UpdateBody| {
            let tasks = body.adds.iter_mut().chain(&mut body.updates);
            tasks.for_each(|task| task.time = GivenTime::default());
            body
        };
        assert_eq!(without_times(documented), without_times(go));
    }

    #[test]
    fn keys_are_known_in_any_case_and_nothing_and_null_are_the_same() {
        let body = update(r#"{"ClientID":7,"ADDS":null,"Deletes":[null,3],"x":{"y":[1]}}"#);
        let expected = UpdateBody {
            client_id: 7,
            deletes: vec![0, 3],
            ..UpdateBody::default()
        };
        assert_eq!(body, Ok(expected));
        assert_eq!(update("{}"), Ok(UpdateBody::default()));
    }

    #[test]
    fn what_is_no_integer_of_its_size_is_refused() {
        for json in [
            r#"{"clientid":2147483648}"#,
            r#"{"clientid":1.5}"#,
            r#"{"clientid":"1"}"#,
            r#"{"deletes":[9223372036854775808]}"#,
            r#"{"deletes":7}"#,
            r#"{"adds":[7]}"#,
            r#"{"adds":[{"group":7}]}"#,
            r#"{"adds":[{"group":"a\u0000"}]}"#,
            r#"{"adds":[{"data":"\ud800"}]}"#,
            r#"{"adds":[{"data64":"?"}]}"#,
            r#"{"adds":{}}"#,
            "{} {}",
            r#"{"adds":["#,
            "[]",
        ] {
            assert!(update(json).is_err(), "{json}");
        }
    }

    #[test]
    fn bytes_win_over_text_wherever_they_stand() {
        for json in [
            r#"{"adds":[{"data64":"/w==","data":"x"}]}"#,
            r#"{"adds":[{"data":"x","data64":"/w=="}]}"#,
        ] {
            assert_eq!(update(json).expect("an update").adds[0].data, [0xff]);
        }
    }

    #[test]
    fn nested_garbage_is_refused_and_not_followed() {
        let deep = format!("{{\"x\":{}", "[".repeat(100_000));
        assert!(update(&deep).is_err());
    }
}
