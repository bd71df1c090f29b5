//! What a person sees while the commands work: one line for each task, with a spinner or a bar on a terminal, and plain
//! lines elsewhere (CI, a pipe).

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// One thing that takes a while. Reports its end exactly once; dropped unfinished, it counts as failed.
#[derive(Debug)]
pub struct Task {
    bar: ProgressBar,
    name: String,
    started: Instant,
    finished: bool,
}

impl Task {
    /// A task of unknown length: a spinner.
    pub fn start(name: impl Into<String>) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(style("{spinner:.cyan} {prefix} {wide_msg:.dim} {elapsed}"));
        Self::begin(bar, name.into())
    }

    /// Turns the spinner into a bar, now that the number of parts is known.
    pub fn set_length(&self, parts: u64) {
        self.bar.set_length(parts);
        self.bar.set_style(style(
            "{spinner:.cyan} {prefix} {bar:24.cyan/dim} {pos}/{len} {wide_msg:.dim} {elapsed}",
        ));
    }

    pub fn advance_to(&self, part: u64) {
        self.bar.set_position(part.min(self.bar.length().unwrap_or(part)));
    }

    pub fn say(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }

    /// Prints a line above the progress without tearing it.
    pub fn line(&self, text: &str) {
        if on_terminal() {
            self.bar.println(text);
        } else {
            eprintln!("{text}");
        }
    }

    pub fn done(mut self) {
        self.end('✓');
    }

    fn begin(bar: ProgressBar, name: String) -> Self {
        bar.set_prefix(name.clone());
        if on_terminal() {
            bar.enable_steady_tick(Duration::from_millis(100));
        } else {
            eprintln!("· {name} ...");
        }
        Self { bar, name, started: Instant::now(), finished: false }
    }

    fn end(&mut self, mark: char) {
        self.finished = true;
        self.bar.finish_and_clear();
        eprintln!("{mark} {} ({})", self.name, seconds(self.started.elapsed()));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.finished {
            self.end('✗');
        }
    }
}

pub fn on_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// `0.4 s`, `12.3 s`, `4 min 05 s`.
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this module are well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_a_person_writes_them() {
        assert_eq!(seconds(Duration::from_millis(450)), "0.5 s");
        assert_eq!(seconds(Duration::from_secs(245)), "4 min 05 s");
    }
}
