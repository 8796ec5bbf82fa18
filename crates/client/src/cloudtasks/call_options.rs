use std::time::Duration;

use super::error::Code;

/// How each method is called: a time limit for all of its attempts together, and what is repeated.
/// The defaults are those of the official clients.
#[derive(Debug, Clone, PartialEq)]
pub struct CallOptions {
    pub list_queues: CallSettings,
    pub get_queue: CallSettings,
    pub create_queue: CallSettings,
    pub update_queue: CallSettings,
    pub delete_queue: CallSettings,
    pub purge_queue: CallSettings,
    pub pause_queue: CallSettings,
    pub resume_queue: CallSettings,
    pub get_iam_policy: CallSettings,
    pub set_iam_policy: CallSettings,
    pub test_iam_permissions: CallSettings,
    pub list_tasks: CallSettings,
    pub get_task: CallSettings,
    pub create_task: CallSettings,
    pub delete_task: CallSettings,
    pub run_task: CallSettings,
    pub buffer_task: CallSettings,
    pub batch_create_tasks: CallSettings,
    pub batch_delete_tasks: CallSettings,
    pub get_cmek_config: CallSettings,
    pub update_cmek_config: CallSettings,
    pub lease_tasks: CallSettings,
    pub acknowledge_task: CallSettings,
    pub renew_lease: CallSettings,
    pub cancel_lease: CallSettings,
    pub upload_queue_yaml: CallSettings,
    pub list_locations: CallSettings,
    pub get_location: CallSettings,
    pub get_operation: CallSettings,
    pub list_attempts: CallSettings,
    pub list_failures: CallSettings,
}

/// How one method is called.
#[derive(Debug, Clone, PartialEq)]
pub struct CallSettings {
    /// Limit of all attempts together.
    pub timeout: Duration,
    /// What is repeated; nothing if unset.
    pub retry: Option<RetryPolicy>,
}

/// Which errors are repeated, and after which pauses.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Answers that are repeated. No answer at all counts as `Unavailable`.
    pub codes: Vec<Code>,
    /// The longest first pause. Each pause is a random part of it.
    pub initial: Duration,
    /// What it grows by.
    pub multiplier: f64,
    /// What it never exceeds.
    pub maximum: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            codes: vec![Code::Unavailable, Code::DeadlineExceeded],
            initial: Duration::from_millis(100),
            multiplier: 1.3,
            maximum: Duration::from_secs(10),
        }
    }
}

impl RetryPolicy {
    /// The pause after the `n`th failed attempt (1, 2, …); `random` is from 0 to 1.
    pub fn pause(&self, n: u32, random: f64) -> Duration {
        let grown = self.multiplier.max(1.0).powi(n.clamp(1, 200) as i32 - 1);
        let longest = Duration::try_from_secs_f64(self.initial.as_secs_f64() * grown)
            .unwrap_or(self.maximum)
            .min(self.maximum);
        longest.mul_f64(random.clamp(0.0, 1.0))
    }
}

impl CallSettings {
    /// Twenty seconds, nothing repeated.
    pub fn once() -> Self {
        Self {
            timeout: Duration::from_secs(20),
            retry: None,
        }
    }

    /// Twenty seconds, repeated by the default policy.
    pub fn repeated() -> Self {
        Self {
            retry: Some(RetryPolicy::default()),
            ..Self::once()
        }
    }
}

impl Default for CallOptions {
    fn default() -> Self {
        let (once, repeated) = (CallSettings::once, CallSettings::repeated);
        Self {
            list_queues: repeated(),
            get_queue: repeated(),
            create_queue: once(),
            update_queue: once(),
            delete_queue: repeated(),
            purge_queue: once(),
            pause_queue: once(),
            resume_queue: once(),
            get_iam_policy: repeated(),
            set_iam_policy: once(),
            test_iam_permissions: repeated(),
            list_tasks: repeated(),
            get_task: repeated(),
            create_task: once(),
            delete_task: repeated(),
            run_task: once(),
            buffer_task: once(),
            batch_create_tasks: once(),
            batch_delete_tasks: once(),
            get_cmek_config: repeated(),
            update_cmek_config: repeated(),
            lease_tasks: once(),
            acknowledge_task: once(),
            renew_lease: once(),
            cancel_lease: once(),
            upload_queue_yaml: once(),
            list_locations: once(),
            get_location: once(),
            get_operation: once(),
            list_attempts: repeated(),
            list_failures: repeated(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_by_a_third_and_stop_at_the_maximum() {
        let policy = RetryPolicy::default();
        let millis = |n| policy.pause(n, 1.0).as_millis();
        assert_eq!([millis(1), millis(2), millis(3)], [100, 130, 169]);
        assert_eq!(policy.pause(1000, 1.0), Duration::from_secs(10));
        assert_eq!(policy.pause(5, 0.0), Duration::ZERO);
    }

    #[test]
    fn what_must_not_be_done_twice_is_not_repeated() {
        let options = CallOptions::default();
        assert_eq!(options.create_task.retry, None);
        assert!(options.delete_task.retry.is_some());
        assert_eq!(options.get_queue.timeout, Duration::from_secs(20));
    }
}
