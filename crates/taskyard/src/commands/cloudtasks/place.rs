use anyhow::bail;

/// Where queues are that are named by their id.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) project: String,
    pub(super) location: String,
}

impl Place {
    /// `projects/P/locations/L`.
    pub(super) fn name(&self) -> String {
        format!("projects/{}/locations/{}", self.project, self.location)
    }

    /// The full name of a queue.
    pub(super) fn queue(&self, text: &str) -> anyhow::Result<String> {
        if is_full(text, &["projects", "locations", "queues"]) {
            return Ok(text.to_owned());
        }
        if text.is_empty() || text.contains('/') {
            bail!(
                "{text:?} is no queue: write its id, such as mail, or \
                 projects/PROJECT/locations/LOCATION/queues/QUEUE"
            );
        }
        Ok(format!("{}/queues/{text}", self.name()))
    }

    /// The full name of a task.
    pub(super) fn task(&self, text: &str) -> anyhow::Result<String> {
        if is_full(text, &["projects", "locations", "queues", "tasks"]) {
            return Ok(text.to_owned());
        }
        match text.split_once('/') {
            Some((queue, id)) if !queue.is_empty() && !id.is_empty() && !id.contains('/') => {
                Ok(format!("{}/queues/{queue}/tasks/{id}", self.name()))
            }
            _ => bail!(
                "{text:?} is no task: write QUEUE/TASK, such as mail/reminder-7, or \
                 projects/PROJECT/locations/LOCATION/queues/QUEUE/tasks/TASK"
            ),
        }
    }

    /// The full name of a task or a queue.
    pub(super) fn task_or_queue(&self, text: &str) -> anyhow::Result<String> {
        match self.queue(text) {
            Ok(queue) => Ok(queue),
            Err(_) => self.task(text),
        }
    }

    /// A name as it may be given here again, as short as it can be.
    pub(super) fn short(&self, name: &str) -> String {
        let below = name.strip_prefix(&self.name());
        let Some(below) = below.and_then(|below| below.strip_prefix("/queues/")) else {
            return name.to_owned();
        };
        below.replacen("/tasks/", "/", 1)
    }
}

fn is_full(text: &str, collections: &[&str]) -> bool {
    let segments: Vec<&str> = text.split('/').collect();
    let pairs = segments.chunks(2);
    segments.len() == collections.len() * 2
        && pairs.zip(collections).all(
            |(pair, collection)| matches!(pair, [name, id] if name == collection && !id.is_empty()),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_and_shortened_again() {
        let place = Place {
            project: "p".to_owned(),
            location: "l".to_owned(),
        };
        let queue = place.queue("mail").unwrap();
        assert_eq!(queue, "projects/p/locations/l/queues/mail");
        assert_eq!(place.queue(&queue).unwrap(), queue);
        assert_eq!(place.short(&queue), "mail");
        let task = place.task("mail/7").unwrap();
        assert_eq!(task, format!("{queue}/tasks/7"));
        assert_eq!(place.task(&task).unwrap(), task);
        assert_eq!(place.short(&task), "mail/7");
        assert_eq!(place.task_or_queue("mail").unwrap(), queue);
        assert_eq!(place.task_or_queue("mail/7").unwrap(), task);
        let elsewhere = "projects/p/locations/other/queues/mail";
        assert_eq!(place.short(elsewhere), elsewhere);
    }

    #[test]
    fn what_is_no_name_is_refused_with_one() {
        let place = Place {
            project: "p".to_owned(),
            location: "l".to_owned(),
        };
        for text in ["", "mail/7", "projects/p", "projects/p/locations/l/queues/"] {
            let refused = place.queue(text).unwrap_err().to_string();
            assert!(refused.contains("such as mail"), "{refused}");
        }
        for text in [
            "",
            "mail",
            "mail/",
            "/7",
            "a/b/c",
            "projects/p/locations/l/queues/q",
        ] {
            let refused = place.task(text).unwrap_err().to_string();
            assert!(refused.contains("QUEUE/TASK"), "{refused}");
        }
    }
}
