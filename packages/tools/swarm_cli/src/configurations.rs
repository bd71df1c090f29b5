//! Joint configurations as CSV: a row of numbers per configuration, after an optional row of joint names.
//!
//! Read line by line, in constant memory. A mistake is reported with its line and column (the number of the field), and ends
//! the reading: what comes after it may be shifted.

use std::io::{self, BufRead, Read as _};

use swarm_kinematics::JointInfo;

/// No row of numbers is longer, B.
const LONGEST_LINE: u64 = 1 << 16;

/// What is wrong with the input.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CsvError {
    #[error("cannot read standard input: {0}")]
    Read(#[from] io::Error),
    #[error(
        "line {line} is longer than {LONGEST_LINE} bytes, expected {expected} numbers separated by commas"
    )]
    TooLong { line: u64, expected: usize },
    #[error("line {line} is not UTF-8, expected {expected} numbers separated by commas")]
    NotText { line: u64, expected: usize },
    #[error("line {line} is empty, expected {expected} numbers separated by commas")]
    Empty { line: u64, expected: usize },
    #[error("line {line} has {found} columns, expected {expected}: {names}")]
    Columns { line: u64, found: usize, expected: usize, names: String },
    #[error("line {line}, column {column} ({joint}): '{text}' is not a finite number in decimal notation")]
    NotANumber { line: u64, column: usize, joint: String, text: String },
    #[error(
        "line {line}, column {column} ({joint}): {value} is outside the joint's limits {lower} to {upper} {unit}; `--ignore-limits` takes it all the same"
    )]
    OutOfRange {
        line: u64,
        column: usize,
        joint: String,
        value: f64,
        lower: f64,
        upper: f64,
        unit: &'static str,
    },
    #[error(
        "line {line}, column {column}: '{text}' is not the name of a joint that is still missing, expected one of {names}"
    )]
    UnknownJoint { line: u64, column: usize, text: String, names: String },
}

/// Whether positions beyond a joint's limits are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limits {
    Kept,
    Ignored,
}

/// Reads configurations of one or more arms, whose columns stand side by side.
pub(crate) struct Configurations<'a, R> {
    input: R,
    /// Joints of each arm, base to flange.
    arms: Vec<&'a [JointInfo]>,
    limits: Limits,
    line: u64,
    text: Vec<u8>,
    /// Which joint (counted over all arms) a column belongs to.
    joint_of_column: Vec<usize>,
    /// Values in the order of the joints.
    values: Vec<f64>,
}

impl<'a, R: BufRead> Configurations<'a, R> {
    pub(crate) fn new(input: R, arms: Vec<&'a [JointInfo]>, limits: Limits) -> Self {
        let count = arms.iter().map(|joints| joints.len()).sum();
        Self {
            input,
            arms,
            limits,
            line: 0,
            text: Vec::new(),
            joint_of_column: (0..count).collect(),
            values: vec![0.0; count],
        }
    }

    /// The reader, to see whether more input is waiting.
    pub(crate) fn input(&self) -> &R {
        &self.input
    }

    /// The next configuration: one value per joint, arm after arm, base to flange. `None` at the end of the input.
    pub(crate) fn next(&mut self) -> Result<Option<&[f64]>, CsvError> {
        loop {
            if !self.read_line()? {
                return Ok(None);
            }
            let text = std::mem::take(&mut self.text);
            let is_row = self.take_line(&text);
            self.text = text;
            if is_row? {
                return Ok(Some(&self.values));
            }
        }
    }

    fn read_line(&mut self) -> Result<bool, CsvError> {
        self.text.clear();
        self.line += 1;
        let read = self.input.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut self.text)?;
        if read as u64 > LONGEST_LINE {
            return Err(CsvError::TooLong { line: self.line, expected: self.values.len() });
        }
        Ok(read > 0)
    }

    /// True for a row of values, false for one of names.
    fn take_line(&mut self, line: &[u8]) -> Result<bool, CsvError> {
        let (number, expected) = (self.line, self.values.len());
        let not_text = CsvError::NotText { line: number, expected };
        let text = std::str::from_utf8(line).map_err(|_| not_text)?;
        let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text }.trim();
        if text.is_empty() {
            return Err(CsvError::Empty { line: number, expected });
        }
        let fields = || text.split(',').map(str::trim);
        let found = fields().count();
        if found != expected {
            return Err(CsvError::Columns { line: number, found, expected, names: self.names().join(", ") });
        }
        if number == 1 && fields().all(|field| field.parse::<f64>().is_err()) {
            self.take_names(fields())?;
            return Ok(false);
        }
        for (column, field) in fields().enumerate() {
            let index = self.joint_of_column[column];
            self.values[index] = self.value(column, index, field)?;
        }
        Ok(true)
    }

    fn value(&self, column: usize, index: usize, text: &str) -> Result<f64, CsvError> {
        let (line, column) = (self.line, column + 1);
        let joint = self.arms.iter().copied().flatten().nth(index);
        let name = || joint.map_or_else(String::new, |joint| joint.name.clone());
        let Some(value) = text.parse::<f64>().ok().filter(|value| value.is_finite()) else {
            return Err(CsvError::NotANumber { line, column, joint: name(), text: text.to_owned() });
        };
        match joint {
            Some(joint) if self.limits == Limits::Kept && !(joint.lower..=joint.upper).contains(&value) => {
                let (lower, upper) = (joint.lower, joint.upper);
                let unit = unit(joint);
                Err(CsvError::OutOfRange { line, column, joint: name(), value, lower, upper, unit })
            }
            _ => Ok(value),
        }
    }

    /// Names may stand in any order within an arm's columns; two arms may have joints of the same names.
    fn take_names<'t>(&mut self, fields: impl Iterator<Item = &'t str>) -> Result<(), CsvError> {
        let fields: Vec<&str> = fields.map(|field| field.trim_matches('"')).collect();
        let mut columns = fields.iter().enumerate();
        let mut start = 0;
        for joints in &self.arms {
            let mut missing: Vec<usize> = (0..joints.len()).collect();
            for (column, field) in columns.by_ref().take(joints.len()) {
                let Some(at) = missing.iter().position(|&joint| joints[joint].name == *field) else {
                    let names: Vec<&str> = missing.iter().map(|&joint| joints[joint].name.as_str()).collect();
                    return Err(CsvError::UnknownJoint {
                        line: self.line,
                        column: column + 1,
                        text: (*field).to_owned(),
                        names: names.join(", "),
                    });
                };
                self.joint_of_column[column] = start + missing.remove(at);
            }
            start += joints.len();
        }
        Ok(())
    }

    fn names(&self) -> Vec<&'a str> {
        self.arms.iter().copied().flatten().map(|joint| joint.name.as_str()).collect()
    }
}

fn unit(joint: &JointInfo) -> &'static str {
    match joint.kind {
        swarm_kinematics::JointKind::Revolute => "rad",
        swarm_kinematics::JointKind::Prismatic => "m",
    }
}
