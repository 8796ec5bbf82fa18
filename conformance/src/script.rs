//! A scenario written in the language of the client it uses.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{ROOT_ACCESS_TOKEN, ROOT_CLIENT_ID, Server, StandIns, surrounding};

/// The last line of a scenario that came to its end.
const END: &str = "done";

/// A program, the script it runs, and what it finds in its environment.
#[derive(Debug)]
pub struct Script {
    program: PathBuf,
    file: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Script {
    /// The Python scenario of a task graph, run by the interpreter that `variable` names.
    pub fn python(variable: &str) -> Result<Self> {
        Self::of_python(variable, "python/scenario.py")
    }

    /// The Python scenario of clients, roles and credentials, run by the interpreter that
    /// `variable` names.
    pub fn python_access(variable: &str) -> Result<Self> {
        Self::of_python(variable, "python/access.py")
    }

    /// The Python scenario of Cloud Tasks.
    pub fn python_cloudtasks() -> Result<Self> {
        let mut script =
            Self::of_python("TASKYARD_TEST_PYTHON_CLOUDTASKS", "python/cloudtasks.py")?;
        let descriptors = here("../crates/api-cloudtasks/proto/descriptors.binpb");
        let descriptors = descriptors.display().to_string();
        script
            .environment
            .push(("CLOUDTASKS_DESCRIPTORS", descriptors));
        Ok(script)
    }

    /// The Python scenario of tasks that a stack runs, run by the interpreter that `variable` names.
    pub fn python_stacks(variable: &str) -> Result<Self> {
        Self::of_python(variable, "python/stacks.py")
    }

    /// The Python scenario of artifacts and objects, run by the interpreter that `variable` names.
    pub fn python_artifacts(variable: &str) -> Result<Self> {
        Self::of_python(variable, "python/artifacts.py")
    }

    /// The Python run of every method of the queue, by the interpreter that `variable` names.
    pub fn python_methods(variable: &str) -> Result<Self> {
        Self::of_python(variable, "python/methods.py")
    }

    /// The Python run of the hooks, the index, the notify, the secrets and the purge-cache service,
    /// by the interpreter that `variable` names.
    pub fn python_services(variable: &str) -> Result<Self> {
        Self::of_python(variable, "python/services.py")
    }

    /// The Python scenario of services outside, run beside the stand-ins for those.
    pub fn python_guarded(stand_ins: &StandIns) -> Result<Self> {
        let mut script = Self::of_python("TASKYARD_TEST_PYTHON_STAND_INS", "python/guarded.py")?;
        script.environment.extend(stand_ins.variables());
        Ok(script)
    }

    /// The Python scenario of a consumer that reads events from a broker.
    pub fn python_events() -> Result<Self> {
        Self::of_python("TASKYARD_TEST_PYTHON_NEWEST", "python/events.py")
    }

    fn of_python(variable: &str, file: &str) -> Result<Self> {
        Ok(Self {
            program: surrounding(variable)?.into(),
            file: here(file),
            environment: vec![("PYTHONDONTWRITEBYTECODE", "1".to_owned())],
        })
    }

    /// The JavaScript scenario of a task graph.
    pub fn node() -> Result<Self> {
        Self::of_node("node/scenario.mjs")
    }

    /// The JavaScript scenario of clients, roles and credentials.
    pub fn node_access() -> Result<Self> {
        Self::of_node("node/access.mjs")
    }

    /// The JavaScript scenario of Cloud Tasks.
    pub fn node_cloudtasks() -> Result<Self> {
        Ok(Self {
            program: surrounding("TASKYARD_TEST_NODE")?.into(),
            file: here("node-cloudtasks/cloudtasks.mjs"),
            environment: vec![(
                "NODE_MODULES",
                surrounding("TASKYARD_TEST_NODE_CLOUDTASKS_MODULES")?,
            )],
        })
    }

    /// The JavaScript scenario of artifacts and objects.
    pub fn node_artifacts() -> Result<Self> {
        Self::of_node("node/artifacts.mjs")
    }

    /// The JavaScript run of every method of the queue.
    pub fn node_methods() -> Result<Self> {
        Self::of_node("node/methods.mjs")
    }

    /// The JavaScript run of the hooks, the index, the notify, the secrets and the purge-cache
    /// service.
    pub fn node_services() -> Result<Self> {
        Self::of_node("node/services.mjs")
    }

    fn of_node(file: &str) -> Result<Self> {
        Ok(Self {
            program: surrounding("TASKYARD_TEST_NODE")?.into(),
            file: here(file),
            environment: vec![("NODE_MODULES", surrounding("TASKYARD_TEST_NODE_MODULES")?)],
        })
    }

    /// Runs the scenario against `server` as its root client. The error carries all that the
    /// scenario and the server printed.
    pub fn run(&self, server: &Server) -> Result<()> {
        let output = Command::new(&self.program)
            .arg(&self.file)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("TASKCLUSTER_ROOT_URL", server.root_url())
            .env("TASKCLUSTER_CLIENT_ID", ROOT_CLIENT_ID)
            .env("TASKCLUSTER_ACCESS_TOKEN", ROOT_ACCESS_TOKEN)
            .output()
            .with_context(|| format!("could not start {}", self.program.display()))?;
        let printed = String::from_utf8_lossy(&output.stdout);
        eprint!("{printed}");
        if !output.status.success() || printed.lines().last() != Some(END) {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!(
                "the scenario ended with {}\n--- it printed\n{printed}{complaint}--- the server \
                 printed\n{}",
                output.status,
                server.log(),
            );
        }
        Ok(())
    }
}

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}
