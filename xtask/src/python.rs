//! The official Python clients, each release in a virtual environment of its own, and stand-ins for
//! services outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{apt, step, workspace};

/// One release of the client, or what else comes in an environment of its own.
struct Release {
    /// Names the requirements file and the environment's folder.
    name: &'static str,
    /// The variable that tells tests which interpreter has it.
    variable: &'static str,
}

const RELEASES: [Release; 5] = [
    Release {
        name: "6.0.0",
        variable: "TASKYARD_TEST_PYTHON_6",
    },
    Release {
        name: "19.0.0",
        variable: "TASKYARD_TEST_PYTHON_19",
    },
    Release {
        name: "newest",
        variable: "TASKYARD_TEST_PYTHON_NEWEST",
    },
    Release {
        name: "cloudtasks",
        variable: "TASKYARD_TEST_PYTHON_CLOUDTASKS",
    },
    // The client 19.0.0 with moto, the libraries of AWS and Azure, and a mail server.
    Release {
        name: "stand-ins",
        variable: "TASKYARD_TEST_PYTHON_STAND_INS",
    },
];

/// The interpreter that has the stand-in for Amazon S3, installed if it is missing.
pub(crate) fn install_s3() -> Result<PathBuf> {
    let s3 = Release {
        name: "s3",
        variable: "",
    };
    let python = interpreter()?;
    let version = step::output(Command::new(&python).arg("--version"))?;
    let environment = workspace::installed().join("python-s3");
    install_release(&s3, &python, version.trim(), &environment)?;
    Ok(environment.join("bin/python"))
}

/// Installs what is missing; returns the variables to set for the tests.
pub(crate) fn install() -> Result<Vec<(&'static str, PathBuf)>> {
    let python = interpreter()?;
    let version = step::output(Command::new(&python).arg("--version"))?;
    let mut variables = Vec::new();
    for release in &RELEASES {
        let environment = workspace::installed().join(format!("python-{}", release.name));
        install_release(release, &python, version.trim(), &environment)?;
        variables.push((release.variable, environment.join("bin/python")));
    }
    Ok(variables)
}

fn install_release(
    release: &Release,
    python: &Path,
    version: &str,
    environment: &Path,
) -> Result<()> {
    let file = format!("requirements-{}.txt", release.name);
    let requirements = workspace::root().join("conformance/python").join(&file);
    let wanted = fs::read_to_string(&requirements)
        .with_context(|| format!("could not read {}", requirements.display()))?;
    // The stamp is what the environment was made from, so any change makes it anew.
    let stamp = environment.join("made-from");
    let wanted = format!("{version}\n{wanted}");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    step::step(
        &format!("install the Python environment {}", release.name),
        || {
            make_environment(python, environment)?;
            let mut pip = Command::new(environment.join("bin/python"));
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]);
            step::run(pip.arg("--requirement").arg(&requirements))?;
            fs::write(&stamp, &wanted).context("could not write the stamp")
        },
    )
}

fn make_environment(python: &Path, environment: &Path) -> Result<()> {
    let make = || {
        let mut venv = Command::new(python);
        step::output(venv.args(["-m", "venv", "--clear"]).arg(environment))
    };
    if let Err(error) = make() {
        // Debian ships the module in a package of its own.
        apt::install(
            &["python3-venv"],
            &format!("`python3 -m venv` does not work: {error:#}"),
        )?;
        make()?;
    }
    Ok(())
}

fn interpreter() -> Result<PathBuf> {
    if let Some(python) = workspace::program("python3") {
        return Ok(python);
    }
    apt::install(&["python3", "python3-venv"], "python3 is missing")?;
    workspace::program("python3").context("Python was installed, yet there is no python3")
}
