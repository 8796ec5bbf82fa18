//! What an agent says to the server: it registers, takes one job, reports its log and its end, and
//! goes away.
//!
//! Each call repeats itself as an agent does, so that a restart of the server is outlived.

mod artifact;
mod session;
mod taken;

pub use artifact::{NewArtifact, UploadAction, UploadInstructions};
pub use session::{Agent, Agents, AssignedJob, NewAgent, Ping};
pub use taken::{AcquiredJob, JobEnd, TakenJob};
