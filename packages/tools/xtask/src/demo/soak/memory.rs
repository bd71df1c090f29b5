//! How much memory processes have, looked at once a second from outside.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, IoContext, Result};

/// Time between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// A process by the name of its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub name: String,
    pub id: u32,
}

/// The resident memory of one process over time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Course {
    pub name: String,
    /// s since the beginning, kB (of 1,024 bytes, as the kernel has them).
    pub samples: Vec<(f64, f64)>,
}

/// A thread that looks at processes until it is told to end.
#[derive(Debug)]
pub(super) struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Result<Vec<Course>>>,
}

impl Sampler {
    pub(super) fn start(processes: Vec<Process>) -> Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let work = move || {
            let begin = Instant::now();
            let mut courses: Vec<Course> = processes
                .iter()
                .map(|process| Course { name: process.name.clone(), samples: Vec::new() })
                .collect();
            for look in 1.. {
                for (process, course) in processes.iter().zip(&mut courses) {
                    course.samples.push((begin.elapsed().as_secs_f64(), resident_kb(process.id)?));
                }
                let next = begin + PERIOD * look;
                match stopped.recv_timeout(next.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            Ok(courses)
        };
        let thread = std::thread::Builder::new().name("memory".to_owned()).spawn(work);
        Ok(Self { stop, thread: thread.doing("start a thread that looks at", "/proc")? })
    }

    /// What was seen. An error if a process has ended meanwhile.
    pub(super) fn finish(self) -> Result<Vec<Course>> {
        // It may have ended by itself, with an error.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| Error::Failed("the thread that samples memory panicked".to_owned()))?
    }
}

/// `VmRSS` of `/proc/PID/status`, in kB.
fn resident_kb(id: u32) -> Result<f64> {
    let path = PathBuf::from(format!("/proc/{id}/status"));
    let text = fs::read_to_string(&path).doing("read", &path)?;
    let field = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = field.and_then(|field| field.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| Error::Malformed {
        path,
        problem: "it has no line 'VmRSS: NUMBER kB'; has the process ended?".to_owned(),
    })
}

/// The courses side by side, for whoever wants to draw them. They have been sampled together.
pub(super) fn csv(courses: &[Course]) -> String {
    let names: Vec<&str> = courses.iter().map(|course| course.name.as_str()).collect();
    let mut text = format!("seconds,{}\n", names.join(","));
    for look in 0..courses.iter().map(|course| course.samples.len()).min().unwrap_or(0) {
        let _ = write!(text, "{:.2}", courses[0].samples[look].0); // writing to a String cannot fail
        for course in courses {
            let _ = write!(text, ",{}", course.samples[look].1);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn this() -> Process {
        Process { name: "this".to_owned(), id: std::process::id() }
    }

    #[test]
    fn memory_that_is_used_is_seen() {
        let before = resident_kb(this().id).unwrap();
        let used = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = resident_kb(this().id).unwrap();
        drop(used);
        // Other tests use and free memory meanwhile.
        assert!(after - before > 32_000.0, "{before} kB, then {after} kB");
    }

    #[test]
    fn a_sampler_gives_one_course_per_process() {
        let twice = vec![this(), Process { name: "again".to_owned(), ..this() }];
        let courses = Sampler::start(twice).unwrap().finish().unwrap();
        assert_eq!(courses.iter().map(|course| course.name.as_str()).collect::<Vec<_>>(), ["this", "again"]);
        assert!(courses.iter().all(|course| !course.samples.is_empty() && course.samples[0].1 > 0.0));
        let text = csv(&courses);
        assert!(text.starts_with("seconds,this,again\n0.0"), "{text}");
        assert_eq!(text.lines().count(), courses[0].samples.len() + 1);
    }

    #[test]
    fn a_process_that_has_ended_is_an_error_that_names_it() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let gone = Process { name: "gone".to_owned(), id: child.id() };
        let error = Sampler::start(vec![gone]).unwrap().finish().unwrap_err();
        assert!(error.to_string().contains(&format!("/proc/{}/status", child.id())), "{error}");
    }
}
