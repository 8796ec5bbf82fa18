//! `taskyard run`, as somebody at a shell uses it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// No build of these tests takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A shell whose temporary files land in a folder of its own.
struct Shell {
    temporary: TempDir,
}

/// A command that still runs; killed when it is dropped.
struct Started(Child);

impl Shell {
    fn new() -> Self {
        Self {
            temporary: tempfile::tempdir().unwrap(),
        }
    }

    /// A folder for files of the test.
    fn folder(&self) -> PathBuf {
        let folder = self.temporary.path().join("files");
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// What the command leaves in the folder for temporary files.
    fn left_behind(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.temporary.path().join("tmp")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let temporary = self.temporary.path().join("tmp");
        fs::create_dir_all(&temporary).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskyard"));
        command
            .arg("run")
            .args(arguments)
            .env("TMPDIR", temporary)
            .stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts, and leaves it running.
    fn start(&self, arguments: &[&str]) -> Started {
        let mut command = self.command(arguments);
        Started(
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::inherit())
                .spawn()
                .unwrap(),
        )
    }
}

impl Started {
    /// Reads the output up to a line that holds `text`, and returns that line.
    fn read_until(text: &str, output: &mut impl std::io::BufRead) -> String {
        for line in output.lines() {
            let line = line.unwrap();
            if line.contains(text) {
                return line;
            }
        }
        panic!("the output ended without `{text}`");
    }

    fn output(&mut self) -> BufReader<std::process::ChildStdout> {
        BufReader::new(self.0.stdout.take().unwrap())
    }

    fn interrupt(&self) {
        signal("INT", &self.0.id().to_string());
    }

    fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal; whether there was anybody to receive it.
fn signal(name: &str, process: &str) -> bool {
    let kill = Command::new("kill")
        .args(["-s", name, process])
        .stderr(Stdio::null())
        .status();
    kill.unwrap().success()
}

fn example(name: &str) -> String {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    examples
        .join(name)
        .canonicalize()
        .unwrap()
        .display()
        .to_string()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The lines of a summary that say how each task ended, without durations.
fn endings(output: &str) -> Vec<String> {
    let (_, summary) = output.split_once("tasks completed in").expect("a summary");
    summary
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| {
            let words = line.split_whitespace().filter(|word| {
                !word.ends_with('s') || !word.starts_with(|c: char| c.is_ascii_digit())
            });
            words.collect::<Vec<_>>().join(" ")
        })
        .collect()
}

#[test]
fn the_example_is_built_tested_packed_and_summed_up() {
    the_example_is_built(&[]);
}

#[test]
fn a_stack_builds_the_example_as_well_as_a_worker() {
    the_example_is_built(&["--stack"]);
}

fn the_example_is_built(options: &[&str]) {
    let shell = Shell::new();
    let output = shell.folder().join("output");
    let build = example("build.yml");
    let arguments = [&build, "--output", output.to_str().unwrap()];
    let ran = shell.run(&[&arguments, options].concat());

    let said = text(&ran.stdout);
    assert_eq!(ran.status.code(), Some(0), "{said}\n{}", text(&ran.stderr));
    assert!(
        said.contains("\nwordcount: 7 of 7 tasks completed in "),
        "{said}"
    );
    assert_eq!(
        endings(said),
        [
            "compile-count completed",
            "compile-main completed",
            "link completed",
            "test completed",
            "test-again completed 2 runs",
            "package completed",
            "checksum completed",
        ]
    );

    // Every file that the summary names is there.
    let mut named = 0;
    for line in said.lines() {
        let Some(path) = line
            .trim()
            .strip_prefix("log ")
            .or(line.trim().strip_prefix("artifact "))
        else {
            continue;
        };
        let path = path.trim().split("  (").next().unwrap();
        assert!(Path::new(path).is_file(), "{path}");
        named += 1;
    }
    assert_eq!(named, 8 + 6, "{said}");
    let given_up = fs::read_to_string(output.join("test-again/logs/run-0.log")).unwrap();
    assert!(
        given_up.contains("not available, trying again later"),
        "{given_up}"
    );
    assert!(said.contains("run-0.log  (intermittent-task)"), "{said}");
    let report = fs::read_to_string(output.join("test/report.txt")).unwrap();
    assert!(report.ends_with("all passed\n"), "{report}");
    let checksum = fs::read_to_string(output.join("checksum/wordcount.tar.gz.sha256")).unwrap();
    let mut sha256sum = Command::new("sha256sum");
    let again = sha256sum
        .arg("wordcount.tar.gz")
        .current_dir(output.join("package"))
        .output();
    assert_eq!(text(&again.unwrap().stdout), checksum);

    assert_eq!(shell.left_behind(), Vec::<PathBuf>::new());
}

#[test]
fn a_failed_task_skips_what_needs_it_and_nothing_else() {
    let shell = Shell::new();
    let ran = shell.run(&[&example("failing.yml")]);

    let said = text(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{said}\n{}", text(&ran.stderr));
    assert!(
        said.contains("\nfailing: 1 of 3 tasks completed in "),
        "{said}"
    );
    assert_eq!(
        endings(said),
        [
            "check failed",
            "report skipped (needs check)",
            "elsewhere completed"
        ]
    );
    assert!(said.contains("      | looking for the answer\n"), "{said}");
    // The output that the summary names is all that is left.
    let [left] = &shell.left_behind()[..] else {
        panic!("{:?}", shell.left_behind())
    };
    let inside: Vec<_> = fs::read_dir(left)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(inside, ["output"]);
}

#[test]
fn the_end_of_a_failed_task_s_log_is_shown_and_its_missing_artifact_is_noted() {
    let shell = Shell::new();
    let file = shell.folder().join("missing.yml");
    fs::write(
        &file,
        "tasks:\n  make:\n    command: echo made nothing\n    artifacts: [a.out]\n",
    )
    .unwrap();
    let ran = shell.run(&[file.to_str().unwrap()]);
    let said = text(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("the artifact a.out is missing"), "{said}");
    assert!(said.contains("      | made nothing\n"), "{said}");
}

#[test]
fn a_task_that_takes_too_long_is_killed_and_fails() {
    let shell = Shell::new();
    let file = shell.folder().join("slow.yml");
    fs::write(
        &file,
        "tasks:\n  slow:\n    command: sleep 1000\n    timeout: 1s\n",
    )
    .unwrap();
    let ran = shell.run(&[file.to_str().unwrap()]);
    assert_eq!(ran.status.code(), Some(1));
    assert_eq!(endings(text(&ran.stdout)), ["slow failed"]);
}

#[test]
fn a_file_with_mistakes_is_refused_with_their_lines_and_starts_nothing() {
    let shell = Shell::new();
    let ran = shell.run(&[&example("typo.yml")]);
    assert_eq!(ran.status.code(), Some(2));
    assert_eq!(text(&ran.stdout), "");
    let said = text(&ran.stderr);
    assert!(
        said.contains("typo.yml cannot be run, nothing was started\n"),
        "{said}"
    );
    assert!(
        said.contains("typo.yml:7:5: unknown key `comand`\n"),
        "{said}"
    );
    assert!(said.contains("hint: did you mean `command`?"), "{said}");
    assert_eq!(shell.left_behind(), Vec::<PathBuf>::new());

    let missing = shell.run(&["no-such-file.yml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("cannot read the build file no-such-file.yml"));
}

#[test]
fn ctrl_c_kills_the_tasks_and_ends_with_130() {
    let shell = Shell::new();
    let folder = shell.folder();
    let file = folder.join("long.yml");
    fs::write(
        &file,
        "tasks:\n  long:\n    command: |\n      echo $$ > \"$SOURCE_DIR/pid.part\"\n      \
         mv \"$SOURCE_DIR/pid.part\" \"$SOURCE_DIR/pid\"\n      sleep 1000\n  after:\n    \
         needs: [long]\n    command: touch \"$SOURCE_DIR/after\"\n",
    )
    .unwrap();
    let mut running = shell.start(&[file.to_str().unwrap()]);
    let mut output = running.output();
    Started::read_until("running", &mut output);
    let began = Instant::now();
    while !folder.join("pid").exists() {
        assert!(began.elapsed() < PATIENCE, "the task does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let process = fs::read_to_string(folder.join("pid")).unwrap();
    assert!(signal("0", process.trim()), "the task should run");

    running.interrupt();
    let status = running.wait();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(status.code(), Some(130), "{rest}");
    assert!(!signal("0", process.trim()), "the task should be gone");
    assert_eq!(endings(&rest), ["long canceled", "after canceled"]);
    assert!(!folder.join("after").exists());
}

#[test]
fn with_keep_the_server_stays_until_ctrl_c() {
    let shell = Shell::new();
    let file = shell.folder().join("short.yml");
    fs::write(&file, "tasks:\n  short:\n    command: echo hello\n").unwrap();
    let mut running = shell.start(&["--keep", file.to_str().unwrap()]);
    let mut output = running.output();
    let line = Started::read_until("export TASKCLUSTER_ROOT_URL=", &mut output);
    let (_, address) = line.split_once("http://").unwrap();
    assert!(std::net::TcpStream::connect(address).is_ok());

    running.interrupt();
    assert_eq!(running.wait().code(), Some(0));
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_database_that_is_kept_takes_one_build_after_the_other() {
    let shell = Shell::new();
    let file = shell.folder().join("short.yml");
    fs::write(&file, "tasks:\n  short:\n    command: echo hello\n").unwrap();
    let data = shell.folder().join("data");
    for _ in 0..2 {
        let ran = shell.run(&["--data", data.to_str().unwrap(), file.to_str().unwrap()]);
        assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    }
    assert!(fs::read_dir(&data).unwrap().next().is_some());
}

#[test]
fn help_explains_the_build_file() {
    let ran = Shell::new().run(&["--help"]);
    let said = text(&ran.stdout);
    assert_eq!(ran.status.code(), Some(0));
    for word in [
        "THE BUILD FILE",
        "retry-on",
        "SOURCE_DIR",
        "--keep",
        "--output",
    ] {
        assert!(said.contains(word), "{word} is not explained:\n{said}");
    }
}
