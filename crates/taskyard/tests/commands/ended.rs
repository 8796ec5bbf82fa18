//! A command that came to its end.

use std::process::Output;

use tokio::process::Command;

use crate::server::soon;

#[derive(Debug)]
pub(crate) struct Ended {
    /// None, if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) messages: String,
}

impl Ended {
    pub(crate) async fn of(mut command: Command) -> Self {
        Self::with(soon(command.output()).await.expect("it starts"))
    }

    pub(crate) fn with(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self {
            code: output.status.code(),
            output: text(output.stdout),
            messages: text(output.stderr),
        }
    }

    /// What it printed; it must have succeeded.
    pub(crate) fn printed(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.output
    }
}
