//! What is reported of a job, and why.

use super::wishes::Wishes;
use crate::process::Exit;

/// Why a job is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody does not want it any more.
    Canceled,
    /// The server says that it has run too long.
    TimedOut,
    /// It has run longer than it asked for.
    TimeLimit,
    /// The server does not know the agent any more.
    Lost,
    /// The stack goes away.
    Shutdown,
}

/// What came of a job's command and everything around it.
#[derive(Debug)]
pub(super) struct Outcome {
    /// -1 if the command has none.
    pub(super) exit_status: i32,
    /// What ended it.
    pub(super) signal: Option<String>,
    /// Why, in the words of the service.
    pub(super) signal_reason: Option<&'static str>,
    /// For the log.
    pub(super) message: Option<String>,
    /// Nothing may be reported.
    pub(super) lost: bool,
}

// === impl Outcome ===

impl Outcome {
    fn exited(exit_status: i32) -> Self {
        Self {
            exit_status,
            signal: None,
            signal_reason: None,
            message: (exit_status != 0).then(|| format!("the command exited with {exit_status}")),
            lost: false,
        }
    }

    /// The job itself is at fault.
    pub(super) fn failed(message: String) -> Self {
        Self {
            message: Some(message),
            ..Self::exited(1)
        }
    }

    /// The job asks for something that it cannot have.
    pub(super) fn refused(message: String) -> Self {
        Self {
            signal_reason: Some("agent_refused"),
            message: Some(message),
            ..Self::exited(-1)
        }
    }

    /// The stack could not do its part.
    pub(super) fn broken(message: String) -> Self {
        Self {
            signal_reason: Some("process_run_error"),
            message: Some(message),
            ..Self::exited(-1)
        }
    }

    /// The job was ended for a reason.
    pub(super) fn stopped(stop: Stop, wishes: &Wishes) -> Self {
        let limit = wishes.max_run_time.as_secs();
        let (signal_reason, message) = match stop {
            Stop::Canceled => (Some("cancel"), "the job was canceled".to_owned()),
            Stop::TimedOut => (None, "the job has run too long".to_owned()),
            Stop::TimeLimit => (
                None,
                format!("the job was killed because it ran longer than {limit} s"),
            ),
            Stop::Lost => (
                None,
                "the server does not know the agent any more".to_owned(),
            ),
            Stop::Shutdown => (
                Some("agent_stop"),
                "the job was killed because its stack is shutting down".to_owned(),
            ),
        };
        Self {
            exit_status: -1,
            signal: Some("SIGTERM".to_owned()),
            signal_reason,
            message: Some(message),
            lost: stop == Stop::Lost,
        }
    }

    /// What the end of the command means.
    pub(super) fn of(exit: Exit<Stop>, wishes: &Wishes) -> Self {
        match exit {
            Exit::Code(code) => Self::exited(code),
            Exit::Stopped(stop) => Self::stopped(stop, wishes),
            Exit::Signal(number) => Self {
                signal: Some(signal_name(number)),
                message: Some(format!("the command was killed by signal {number}")),
                ..Self::exited(-1)
            },
        }
    }
}

/// The names of the signals that programs die of.
fn signal_name(number: i32) -> String {
    match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        other => return other.to_string(),
    }
    .to_owned()
}
