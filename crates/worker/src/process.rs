//! One command of a task, in a process group of its own.

use std::{
    collections::BTreeMap,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::{io::AsyncReadExt, net::unix::pipe, task::JoinHandle};

use crate::log::{TaskLog, Tone};

/// Size of the pieces in which output is read.
const CHUNK_BYTES: usize = 64 << 10;

/// How long output is read after the whole group is gone: only a process that has left the group
/// can still hold the pipe, and it is not waited for.
const DRAIN: Duration = Duration::from_secs(2);

/// What is run.
#[derive(Debug)]
pub(crate) struct Invocation<'a> {
    /// Program and arguments, not empty.
    pub(crate) argv: &'a [String],
    /// The whole environment.
    pub(crate) env: &'a BTreeMap<String, String>,
    /// Folder it starts in.
    pub(crate) directory: &'a Path,
    /// Time between the polite signal and the last one.
    pub(crate) kill_grace: Duration,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit<S> {
    /// By itself, with this code.
    Code(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// It was stopped, for this reason.
    Stopped(S),
}

/// Runs a command until it ends or `stop` does. Either way nothing of its group is left running
/// afterwards. Its output goes to `log`.
///
/// # Errors
/// When it cannot be started or waited for.
pub(crate) async fn run<S>(
    invocation: &Invocation<'_>,
    log: &TaskLog,
    stop: impl Future<Output = S>,
) -> io::Result<Exit<S>> {
    let (group, output) = Group::spawn(invocation)?;
    let mut pump = std::pin::pin!(pump(output, log));
    let mut drained = false;
    let mut ended = std::pin::pin!(supervise(group, invocation.kill_grace, stop));
    let exit = loop {
        tokio::select! {
            exit = &mut ended => break exit?,
            () = &mut pump, if !drained => drained = true,
        }
    };
    if !drained && tokio::time::timeout(DRAIN, pump).await.is_err() {
        let text = "a process that left the task's process group still holds its output; \
                    it is not read any further";
        log.note(Tone::Warning, text).await;
    }
    Ok(exit)
}

/// Waits for the end of the leader, or brings it about, and clears the group.
async fn supervise<S>(
    mut group: Group,
    kill_grace: Duration,
    stop: impl Future<Output = S>,
) -> io::Result<Exit<S>> {
    let mut exited = group.exited();
    let stopped = tokio::select! {
        outcome = &mut exited => { flatten(outcome)?; None }
        reason = stop => Some(reason),
    };
    let Some(reason) = stopped else {
        return Ok(match group.finish()? {
            Ended::Code(code) => Exit::Code(code),
            Ended::Signal(signal) => Exit::Signal(signal),
        });
    };
    group.signal(Signal::TERM);
    if tokio::time::timeout(kill_grace, &mut exited).await.is_err() {
        group.signal(Signal::KILL);
        flatten(exited.await)?;
    }
    group.finish()?;
    Ok(Exit::Stopped(reason))
}

fn flatten(outcome: Result<io::Result<()>, tokio::task::JoinError>) -> io::Result<()> {
    outcome.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Copies output to the log until every writer has closed it.
async fn pump(mut output: pipe::Receiver, log: &TaskLog) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match output.read(&mut chunk).await {
            Ok(0) => return,
            Ok(length) => log.output(&chunk[..length]).await,
            Err(error) => {
                log.note(
                    Tone::Error,
                    &format!("cannot read the command's output: {error}"),
                )
                .await;
                return;
            }
        }
    }
}

/// A process group whose leader has not been waited for, so that its number stays its own: a
/// signal to it can never meet a stranger.
#[derive(Debug)]
struct Group {
    leader: Option<Child>,
    id: Pid,
}

enum Ended {
    Code(i32),
    Signal(i32),
}

// === impl Group ===

impl Group {
    fn spawn(invocation: &Invocation<'_>) -> io::Result<(Self, pipe::Receiver)> {
        let no_program = || io::Error::new(io::ErrorKind::InvalidInput, "an empty command");
        let (program, arguments) = invocation.argv.split_first().ok_or_else(no_program)?;
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(invocation.directory)
            .env_clear()
            .envs(invocation.env)
            .stdin(Stdio::null())
            // One pipe for both keeps their order.
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0);
        let leader = command.spawn()?;
        // The command holds the pipe's writing ends; without this the output would never end.
        drop(command);
        let id = Pid::from_child(&leader);
        let group = Self {
            leader: Some(leader),
            id,
        };
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
        Ok((group, output))
    }

    /// Ends when the leader has, without collecting it.
    fn exited(&self) -> JoinHandle<io::Result<()>> {
        let id = self.id;
        tokio::task::spawn_blocking(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            loop {
                match rustix::process::waitid(WaitId::Pid(id), options) {
                    Ok(_) => return Ok(()),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        })
    }

    fn signal(&self, signal: Signal) {
        // The only failure is that nobody is left.
        let _ = rustix::process::kill_process_group(self.id, signal);
    }

    /// Kills what the leader has left behind, then collects it. Only for a leader that has ended.
    fn finish(&mut self) -> io::Result<Ended> {
        use std::os::unix::process::ExitStatusExt as _;

        self.signal(Signal::KILL);
        let Some(mut leader) = self.leader.take() else {
            return Err(io::Error::other("the process was already collected"));
        };
        let status = leader.wait()?;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Code(code),
            (None, signal) => Ended::Signal(signal.unwrap_or_default()),
        })
    }
}

impl Drop for Group {
    /// A run that is given up in the middle leaves no process behind.
    fn drop(&mut self) {
        if let Some(mut leader) = self.leader.take() {
            self.signal(Signal::KILL);
            std::thread::spawn(move || leader.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    struct Scene {
        folder: tempfile::TempDir,
        log: TaskLog,
        kill_grace: Duration,
    }

    impl Scene {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let log = TaskLog::create(&folder.path().join("live.log"), 1 << 20)
                .await
                .unwrap();
            Self {
                folder,
                log,
                // Nobody is killed only because the machine stood still.
                kill_grace: Duration::from_mins(1),
            }
        }

        async fn shell(&self, script: &str, stop: impl Future<Output = ()>) -> Exit<()> {
            let argv = ["sh", "-c", script].map(str::to_owned);
            self.run(&argv, stop).await.unwrap()
        }

        async fn run(
            &self,
            argv: &[String],
            stop: impl Future<Output = ()>,
        ) -> io::Result<Exit<()>> {
            let path = std::env::var("PATH").unwrap();
            let env = BTreeMap::from([
                ("PATH".to_owned(), path),
                ("X".to_owned(), "x y".to_owned()),
            ]);
            let invocation = Invocation {
                argv,
                env: &env,
                directory: self.folder.path(),
                kill_grace: self.kill_grace,
            };
            run(&invocation, &self.log, stop).await
        }

        /// Ends as soon as the task's output contains `text`.
        async fn says(&self, text: &str) {
            let mut log = Box::pin(self.log.follow());
            let mut seen = String::new();
            while !seen.contains(text) {
                let chunk = futures_util::TryStreamExt::try_next(&mut log)
                    .await
                    .unwrap()
                    .unwrap();
                seen.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        }

        fn output(&self) -> String {
            std::fs::read_to_string(self.log.path()).unwrap()
        }

        /// The process ids that the task has printed after `name`.
        fn pid(&self, name: &str) -> Pid {
            let output = self.output();
            let line = output
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            Pid::from_raw(line.trim().parse().unwrap()).unwrap()
        }
    }

    /// Ends when no such process is left; an orphan may stay a zombie until init collects it.
    async fn gone(pid: Pid) {
        let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
        let dead = || {
            std::fs::read_to_string(&stat).map_or(true, |text| {
                text.rsplit(')').next().unwrap().trim().starts_with('Z')
            })
        };
        tokio::time::timeout(Duration::from_secs(10), async {
            while !dead() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the process should have been killed");
    }

    #[tokio::test]
    async fn a_command_has_its_output_logged_in_order_and_its_code_returned() {
        let scene = Scene::new().await;
        let exit = scene
            .shell("echo one; echo two >&2; echo $X; exit 3", pending())
            .await;
        assert_eq!(exit, Exit::Code(3));
        assert_eq!(scene.output(), "one\ntwo\nx y\n");
    }

    #[tokio::test]
    async fn a_command_reads_nothing_and_sees_only_its_own_environment() {
        let scene = Scene::new().await;
        let exit = scene
            .shell("cat; env | grep -c CARGO; pwd", pending())
            .await;
        assert_eq!(exit, Exit::Code(0));
        let folder = scene.folder.path().canonicalize().unwrap();
        assert_eq!(scene.output(), format!("0\n{}\n", folder.display()));
    }

    #[tokio::test]
    async fn a_program_that_does_not_exist_is_an_error() {
        let scene = Scene::new().await;
        let error = scene
            .run(&["no-such-program".to_owned()], pending())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn stopping_kills_the_whole_group() {
        let scene = Scene::new().await;
        let script = "sleep 1000 & echo child $!; echo leader $$; wait";
        let exit = scene.shell(script, scene.says("leader")).await;
        assert_eq!(exit, Exit::Stopped(()));
        gone(scene.pid("child")).await;
        gone(scene.pid("leader")).await;
    }

    #[tokio::test]
    async fn a_command_may_clean_up_when_it_is_stopped() {
        let scene = Scene::new().await;
        let script =
            "trap 'echo cleaned up; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
        let exit = scene.shell(script, scene.says("ready")).await;
        assert_eq!(exit, Exit::Stopped(()));
        assert!(scene.output().contains("cleaned up"));
    }

    #[tokio::test]
    async fn a_command_that_ignores_the_polite_signal_is_killed() {
        let mut scene = Scene::new().await;
        scene.kill_grace = Duration::from_millis(300);
        let script = "trap '' TERM; echo leader $$; while :; do sleep 0.01; done";
        let exit = scene.shell(script, scene.says("leader")).await;
        assert_eq!(exit, Exit::Stopped(()));
        gone(scene.pid("leader")).await;
    }

    #[tokio::test]
    async fn children_left_behind_are_killed_when_the_command_ends() {
        let scene = Scene::new().await;
        let exit = scene.shell("sleep 1000 & echo child $!", pending()).await;
        assert_eq!(exit, Exit::Code(0));
        gone(scene.pid("child")).await;
    }

    #[tokio::test]
    async fn a_process_that_leaves_the_group_does_not_hold_up_the_task() {
        let scene = Scene::new().await;
        // The command ends only when the other has left.
        let script = "mkfifo go; setsid sh -c 'echo escaped $$; echo > go; exec sleep 60' & \
                      read x < go; echo done";
        let exit = scene.shell(script, pending()).await;
        assert_eq!(exit, Exit::Code(0));
        assert!(
            scene.output().contains("left the task's process group"),
            "{}",
            scene.output()
        );
        let escaped = scene.pid("escaped");
        rustix::process::kill_process(escaped, Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn a_run_that_is_dropped_leaves_nothing_behind() {
        let scene = Scene::new().await;
        tokio::select! {
            _ = scene.shell("sleep 1000 & echo child $!; echo ready; wait", pending()) => unreachable!(),
            () = scene.says("ready") => {}
        }
        gone(scene.pid("child")).await;
    }

    #[tokio::test]
    async fn a_signal_from_elsewhere_is_reported_as_such() {
        let scene = Scene::new().await;
        assert_eq!(
            scene.shell("kill -KILL $$", pending()).await,
            Exit::Signal(9)
        );
    }
}
