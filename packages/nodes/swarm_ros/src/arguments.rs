//! The part of `--ros-args` that the middleware leaves to the client library, and the arguments that are not ROS's.
//!
//! Remaps, namespaces, parameters and parameter files are read by rcl itself. Grammar: a ROS section starts at `--ros-args` and
//! ends at `--` or at the end; there may be several. <https://design.ros2.org/articles/ros_command_line_arguments.html>

use tracing::Level;

/// What a process was asked for on its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// `--log-level info`; a level given for one logger (`name:=debug`) counts for the whole process.
    pub log_level: Option<Level>,
    /// False after `--disable-stdout-logs`.
    pub console: bool,
    /// False after `--disable-rosout-logs`.
    pub rosout: bool,
    /// Everything outside ROS sections, the program's name first.
    pub own: Vec<String>,
}

impl Arguments {
    /// Reads the arguments of this process.
    pub fn of_process() -> Self {
        Self::read(std::env::args())
    }

    /// Reads arguments; what is not understood is left to rcl, which refuses unknown ROS arguments.
    pub fn read(arguments: impl IntoIterator<Item = String>) -> Self {
        let mut read = Self { log_level: None, console: true, rosout: true, own: Vec::new() };
        let mut in_ros_section = false;
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match (in_ros_section, argument.as_str()) {
                (_, "--ros-args") => in_ros_section = true,
                (true, "--") => in_ros_section = false,
                (true, "--log-level") => {
                    read.log_level = arguments.next().as_deref().and_then(parse_level).or(read.log_level);
                }
                (true, "--disable-stdout-logs") => read.console = false,
                (true, "--disable-rosout-logs") => read.rosout = false,
                (true, _) => {}
                (false, _) => read.own.push(argument),
            }
        }
        read
    }
}

/// A ROS log level by name, alone or behind `logger:=`; FATAL is ERROR here.
pub fn parse_level(word: &str) -> Option<Level> {
    let name = word.rsplit_once(":=").map_or(word, |(_, level)| level);
    match name.to_ascii_lowercase().as_str() {
        "trace" => Some(Level::TRACE),
        "debug" => Some(Level::DEBUG),
        "info" => Some(Level::INFO),
        "warn" | "warning" => Some(Level::WARN),
        "error" | "fatal" => Some(Level::ERROR),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Arguments {
        Arguments::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn ros_sections_are_kept_apart_from_the_programs_own_arguments() {
        let read = read("prog --a 1 --ros-args -p x:=2 --log-level DEBUG -- --b --ros-args -r __ns:=/cell");
        assert_eq!(read.own, ["prog", "--a", "1", "--b"]);
        assert_eq!(read.log_level, Some(Level::DEBUG));
    }

    #[test]
    fn a_level_for_one_logger_counts_for_the_process() {
        assert_eq!(read("prog --ros-args --log-level sim:=warn").log_level, Some(Level::WARN));
    }

    #[test]
    fn log_outputs_can_be_disabled() {
        let read = read("prog --ros-args --disable-stdout-logs --disable-rosout-logs");
        assert_eq!((read.console, read.rosout), (false, false));
    }
}
