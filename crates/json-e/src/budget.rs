//! What one rendering may cost.

use crate::error::Cause;

/// Steps of one rendering. A step is about what it takes to read a token, evaluate a part of an
/// expression, render a value or put an element into a list; the longest renderings then take less
/// than a tenth of a second.
pub(crate) const STEPS: usize = 1_000_000;

/// Weight of one value, thus of the result too: each number, string, list, entry … counts one, and
/// texts one more for every [`BYTES_PER_STEP`]. It bounds the memory a result takes and how long
/// `range()` may become.
pub(crate) const WEIGHT: usize = 1_000_000;

/// Levels of lists and objects, in templates and in values. What is parsed from JSON text later is
/// limited to 128 by many parsers.
pub(crate) const NESTING: usize = 100;

/// Levels of an expression: brackets, prefix operators and right operands around its innermost
/// part. The deepest expression in the deepest template takes about half of a stack of 2 MiB in
/// an unoptimised build.
pub(crate) const EXPRESSION_NESTING: usize = 100;

/// Bytes of a string that is made (1 MiB).
pub(crate) const TEXT_BYTES: usize = 1 << 20;

/// Bytes of text that are read or written in one step.
const BYTES_PER_STEP: usize = 16;

/// An entry of an object is hashed, stored and found, which costs more than an element of a list.
const STEPS_PER_ENTRY: usize = 3;

/// What is left of the steps of a rendering.
#[derive(Debug)]
pub(crate) struct Budget {
    steps: usize,
}

/// How large a value is. Values share their parts, so these are kept with each list and object
/// instead of being counted: a value can be far larger than the memory it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// As of [`WEIGHT`].
    pub(crate) weight: usize,
    /// Levels of lists and objects: none for a number.
    pub(crate) depth: usize,
}

// === impl Budget ===

impl Budget {
    pub(crate) fn new() -> Self {
        Self { steps: STEPS }
    }

    /// Pays for `steps`; to be called before whatever takes them.
    pub(crate) fn spend(&mut self, steps: usize) -> Result<(), Cause> {
        self.steps = self.steps.checked_sub(steps).ok_or(Cause::TooManySteps)?;
        Ok(())
    }

    /// Pays for reading or writing a text.
    pub(crate) fn spend_text(&mut self, bytes: usize) -> Result<(), Cause> {
        self.spend(text_weight(bytes))
    }

    /// Pays for putting entries with these keys into an object, or for looking at them.
    pub(crate) fn spend_keys<K: AsRef<str>>(
        &mut self,
        mut keys: impl Iterator<Item = K>,
    ) -> Result<(), Cause> {
        keys.try_for_each(|key| {
            self.spend(STEPS_PER_ENTRY)?;
            self.spend_text(key.as_ref().len())
        })
    }
}

// === impl Extent ===

impl Extent {
    /// Of a list or object without elements.
    pub(crate) const EMPTY: Self = Self {
        weight: 1,
        depth: 1,
    };

    /// Of something that is neither list nor object.
    pub(crate) const fn leaf(weight: usize) -> Self {
        Self { weight, depth: 0 }
    }

    /// With one more element. Refused when it passes a limit.
    pub(crate) fn with(self, element: Self) -> Result<Self, Cause> {
        let extent = Self {
            weight: self.weight + element.weight,
            depth: self.depth.max(element.depth + 1),
        };
        if extent.weight > WEIGHT {
            return Err(Cause::TooLarge);
        }
        if extent.depth > NESTING {
            return Err(Cause::TooDeep);
        }
        Ok(extent)
    }
}

/// What a text of so many bytes weighs.
pub(crate) const fn text_weight(bytes: usize) -> usize {
    1 + bytes / BYTES_PER_STEP
}
