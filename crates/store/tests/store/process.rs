//! A test that starts itself again as a process of its own.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What the child is told; its presence makes a test the child.
const TOLD: &str = "STORE_TEST_CHILD";
/// What a child says stands on lines of their own that begin with this.
const SAYS: &str = "child says: ";

/// How a child ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    /// It returns from its test, which must succeed.
    ByItself,
    /// With SIGKILL, so long after it first said something.
    Killed(Duration),
}

/// What this process was told, if it is a child.
pub(crate) fn told() -> Option<OsString> {
    std::env::var_os(TOLD)
}

/// Says a line to the parent.
pub(crate) fn say(line: &str) {
    let line = format!("{SAYS}{}\n", line.replace('\n', " "));
    // In one piece, so that a kill does not leave half a line.
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("the parent listens");
}

/// Runs `test` in a child that is told `what`, and returns what it said.
pub(crate) fn again(test: &str, what: &OsStr, ending: Ending) -> Vec<String> {
    let program = std::env::current_exe().expect("a program runs");
    let mut command = Command::new(program);
    command
        .args(["--exact", test, "--nocapture"])
        .env(TOLD, what);
    run(command, ending)
}

/// As [`again`], in a mount namespace of its own, where the child may mount what it likes.
/// `None` if this machine does not let us make one.
pub(crate) fn again_with_own_mounts(test: &str, what: &OsStr) -> Option<Vec<String>> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount"]);
        command
    };
    let allowed = unshare()
        .args(["mount", "-t", "tmpfs", "tmpfs"])
        .arg(what)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !allowed {
        return None;
    }
    let mut command = unshare();
    command.arg(std::env::current_exe().expect("a program runs"));
    command
        .args(["--exact", test, "--nocapture"])
        .env(TOLD, what);
    Some(run(command, Ending::ByItself))
}

fn run(mut command: Command, ending: Ending) -> Vec<String> {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let mut output = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut running = Some(child);
    let mut killer = None;
    let mut said = Vec::new();
    let mut rest = String::new();
    let mut line = String::new();
    while output.read_line(&mut line).expect("text") > 0 {
        match line
            .strip_prefix(SAYS)
            .and_then(|line| line.strip_suffix('\n'))
        {
            Some(line) => said.push(line.to_owned()),
            None => rest.push_str(&line),
        }
        line.clear();
        if let Ending::Killed(after) = ending
            && !said.is_empty()
            && let Some(mut child) = running.take()
        {
            killer = Some(std::thread::spawn(move || {
                // The moment of the kill is what the test is about; there is nothing to await.
                std::thread::sleep(after);
                child.kill().expect("it can be killed");
                child.wait().expect("it ends")
            }));
        }
    }
    if let Some(mut child) = running {
        let status = child.wait().expect("the child ends");
        assert!(status.success(), "the child failed:\n{rest}");
    }
    if let Some(killer) = killer {
        let status = killer.join().expect("the killer ends");
        assert_eq!(
            status.code(),
            None,
            "the child ended before it was killed:\n{rest}"
        );
    }
    said
}
