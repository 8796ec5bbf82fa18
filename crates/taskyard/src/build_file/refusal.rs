//! Why a build file is refused, told so that it can be mended at once.

use std::fmt;
use std::path::PathBuf;

use serde_saphyr::Location;

/// One mistake: where it is, what it is, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Line of the file, from 1; 0 when the mistake has no place.
    pub(crate) line: u64,
    /// Column of that line, from 1.
    pub(crate) column: u64,
    /// What is wrong.
    pub(crate) message: String,
    /// How to put it right.
    pub(crate) hint: Option<String>,
}

impl Mistake {
    /// A mistake at a place of the file.
    pub(crate) fn at(location: Location, message: impl Into<String>) -> Self {
        Self {
            line: location.line(),
            column: location.column(),
            message: message.into(),
            hint: None,
        }
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A build file that cannot be run. Its text shows each mistake with its line.
#[derive(Debug)]
pub(crate) struct Refusal {
    file: PathBuf,
    text: String,
    mistakes: Vec<Mistake>,
}

impl Refusal {
    /// Refuses `file` for all the mistakes found in its `text`.
    pub(crate) fn new(file: PathBuf, text: String, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        Self {
            file,
            text,
            mistakes,
        }
    }

    /// The mistakes, in the order of the file.
    #[cfg(test)]
    pub(crate) fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        write!(f, "{file} cannot be run, nothing was started")?;
        for mistake in &self.mistakes {
            let Mistake {
                line,
                column,
                message,
                hint,
            } = mistake;
            if *line == 0 {
                write!(f, "\n\n{file}: {message}")?;
            } else {
                write!(f, "\n\n{file}:{line}:{column}: {message}")?;
            }
            let row = usize::try_from(*line).unwrap_or(0);
            if let Some(source) = row
                .checked_sub(1)
                .and_then(|row| self.text.lines().nth(row))
            {
                let before = usize::try_from(*column).unwrap_or(1).saturating_sub(1);
                // Tabs are kept, so that the caret stands below its letter.
                let indent: String = source
                    .chars()
                    .take(before)
                    .map(|c| if c == '\t' { c } else { ' ' })
                    .collect();
                write!(f, "\n{line:>5} | {source}\n      | {indent}^")?;
            }
            if let Some(hint) = hint {
                write!(f, "\n  hint: {hint}")?;
            }
        }
        Ok(())
    }
}
