//! Job UUIDs and task ids: the same 128 bits, written in two ways.

use taskyard_access::slugid;
use uuid::Uuid;

/// The id of the task whose job has this UUID; `None` if no task can have it.
pub(crate) fn task_id(uuid: &str) -> Option<String> {
    // The parser also knows forms that nobody writes here.
    if uuid.len() != 36 {
        return None;
    }
    let slug = slugid::encode(Uuid::try_parse(uuid).ok()?.into_bytes());
    slugid::is_valid(&slug).then_some(slug)
}

/// The UUID of a task's job, or of a task group's build. An id that stands for no UUID of version 4
/// is named by one that is derived from it.
pub(crate) fn uuid(task_id: &str) -> String {
    slugid::decode(task_id)
        .map_or_else(
            || crate::secret::uuid_of(&format!("group:{task_id}")),
            Uuid::from_bytes,
        )
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_the_same_bits() {
        for (uuid, task) in [
            (
                "d6c1f2a4-3b7e-4c59-9a10-5f0e2b8c7d61",
                "1sHypDt-TFmaEF8OK4x9YQ",
            ),
            (
                "01234567-89ab-4def-8123-456789abcdef",
                "ASNFZ4mrTe-BI0VniavN7w",
            ),
        ] {
            assert_eq!(task_id(uuid).as_deref(), Some(task));
            assert_eq!(task_id(&uuid.to_uppercase()).as_deref(), Some(task));
            assert_eq!(super::uuid(task), uuid);
        }
    }

    #[test]
    fn what_no_task_can_have_is_none() {
        for text in [
            "",
            "01234567-89ab-1def-8123-456789abcdef",
            "0123456789ab4def8123456789abcdef",
            "{01234567-89ab-4def-8123-456789abcde}",
            "not-a-uuid-not-a-uuid-not-a-uuid-not",
        ] {
            assert_eq!(task_id(text), None, "{text}");
        }
    }
}
