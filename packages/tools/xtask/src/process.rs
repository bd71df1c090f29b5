//! Running other programs: output goes to a log file and, line by line, to whoever shows progress; a failure carries the
//! last lines with it.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, IoContext, Result, Tail};

/// How many lines of a failed command's output an error repeats.
const TAIL_LINES: usize = 25;

/// Runs `command` to its end. Standard output and error go, in order, to `log` and to `on_line`.
pub fn run_logged(
    what: &str,
    command: &mut Command,
    log: &Path,
    mut on_line: impl FnMut(&str),
) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).doing("create", folder)?;
    }
    let mut file = File::create(log).doing("create", log)?;
    let line = shown(command);
    writeln!(file, "$ {line}").doing("write", log)?;

    let (reader, writer) = std::io::pipe().doing("open a pipe for", log)?;
    let second = writer.try_clone().doing("open a pipe for", log)?;
    command.stdin(Stdio::null()).stdout(writer).stderr(second);
    let mut child = command.spawn().map_err(|source| Error::Spawn { command: line.clone(), source })?;
    // Close our ends of the pipe, or reading would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut tail = VecDeque::with_capacity(TAIL_LINES);
    let mut reader = BufReader::new(reader);
    let mut raw = Vec::new();
    while reader.read_until(b'\n', &mut raw).doing("read the output for", log)? > 0 {
        file.write_all(&raw).doing("write", log)?;
        let text = String::from_utf8_lossy(&raw).trim_end().to_owned();
        on_line(&text);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(text);
        raw.clear();
    }
    let status = child.wait().doing("wait for the command of", log)?;
    if status.success() {
        return Ok(());
    }
    let tail = Tail { lines: tail.into(), log: Some(log.to_path_buf()) };
    Err(Error::Command { what: what.to_owned(), command: line, status: status.to_string(), tail })
}

/// Runs `command` and gives its standard output.
pub fn output(what: &str, command: &mut Command) -> Result<String> {
    let line = shown(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Spawn { command: line.clone(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<String> = stderr.lines().map(str::to_owned).collect();
    let tail = Tail { lines: lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec(), log: None };
    Err(Error::Command { what: what.to_owned(), command: line, status: output.status.to_string(), tail })
}

/// The command as a person would type it.
pub fn shown(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&quoted(&argument.to_string_lossy()));
    }
    line
}

/// `text` quoted for a POSIX shell, where it needs to be.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The full path of `program`, if a folder of `search_path` (a `PATH`) holds it.
pub fn find_program(program: &str, search_path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(search_path).map(|folder| folder.join(program)).find(|path| is_executable(path))
}

/// Whether `path` is a file that may be executed.
pub fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_names_itself_its_status_and_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut seen = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let error =
            run_logged("the trial", &mut command, &log, |line| seen.push(line.to_owned())).unwrap_err();
        let text = error.to_string();
        assert_eq!(seen, ["one", "two"]);
        assert!(text.starts_with("the trial failed: `sh -c 'echo one; echo two >&2; exit 3'`"), "{text}");
        assert!(text.contains("exit status: 3") && text.contains("\n    two\n"), "{text}");
        assert!(fs::read_to_string(&log).unwrap().ends_with("one\ntwo\n"));
    }

    #[test]
    fn quoting_survives_a_shell() {
        for text in ["plain", "two words", "it's", "", "a;b", "$HOME"] {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("printf %s {}", quoted(text))]);
            assert_eq!(output("echo", &mut command).unwrap(), text);
        }
    }
}
