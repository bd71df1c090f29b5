//! The log's level and form: from the command line, from parameters, and from the services that `ros2` has for it.

use r2r::rcl_interfaces::msg::{LoggerLevel, SetLoggerLevelsResult};
use r2r::rcl_interfaces::srv::{GetLoggerLevels, SetLoggerLevels};
use tracing::Level as LogLevel;

use super::{NodeShell, ShellError};
use crate::arguments::{Arguments, parse_level};
use crate::logging::{self, Format, LogOptions, Logging};
use crate::parameters::{ParameterSpec, Parameters};

impl NodeShell {
    pub(super) fn serve_logger_levels(&mut self) -> Result<(), ShellError> {
        let logging = self.logging.clone();
        self.serve::<SetLoggerLevels::Service>("~/set_logger_levels", move |request| {
            let results = request.levels.iter().map(|wanted| match level_from_ros(wanted.level) {
                Some(level) => {
                    logging.set_level(level);
                    SetLoggerLevelsResult { successful: true, reason: String::new() }
                }
                None => SetLoggerLevelsResult {
                    successful: false,
                    reason: format!("{} is no log level; expected 10, 20, 30, 40 or 50", wanted.level),
                },
            });
            SetLoggerLevels::Response { results: results.collect() }
        })?;
        let logging = self.logging.clone();
        self.serve::<GetLoggerLevels::Service>("~/get_logger_levels", move |request| {
            let level = level_to_ros(logging.level());
            let levels = request.names.into_iter().map(|name| LoggerLevel { name, level });
            GetLoggerLevels::Response { levels: levels.collect() }
        })
    }
}

/// Starts the log. Also whether it goes to /rosout.
pub(super) fn start_logging(arguments: &Arguments, parameters: &Parameters) -> (Logging, bool) {
    let level = arguments.log_level.unwrap_or(LogLevel::INFO);
    let format = parameters.declare(
        ParameterSpec::<String>::new(
            "log_format",
            std::env::var("SWARM_LOG_FORMAT").unwrap_or("text".to_owned()),
        )
        .describe("Console log: text or json; default from the environment variable SWARM_LOG_FORMAT")
        .one_of(&["text", "json"])
        .read_only(),
    );
    let console = match (arguments.console, format.get().as_str()) {
        (false, _) => Format::Nothing,
        (true, "json") => Format::Json,
        (true, _) => Format::Text,
    };
    let logging = logging::init(LogOptions { level, console });
    let changed = logging.clone();
    let declared = parameters.declare(
        ParameterSpec::<String>::new("log_level", level.as_str().to_ascii_lowercase())
            .describe("Least severe level that is logged to the console and to /rosout")
            .one_of(&["trace", "debug", "info", "warn", "error"])
            .on_change(move |level| changed.set_level(parse_level(level).unwrap_or(LogLevel::INFO))),
    );
    if let Some(given) = parse_level(&declared.get())
        && given != level
    {
        logging.set_level(given);
    }
    (logging, arguments.rosout)
}

/// FATAL is ERROR here, UNSET is INFO as in rcutils.
fn level_from_ros(level: u32) -> Option<LogLevel> {
    match level {
        10 => Some(LogLevel::DEBUG),
        0 | 20 => Some(LogLevel::INFO),
        30 => Some(LogLevel::WARN),
        40 | 50 => Some(LogLevel::ERROR),
        _ => None,
    }
}

fn level_to_ros(level: LogLevel) -> u32 {
    match level {
        LogLevel::TRACE | LogLevel::DEBUG => 10,
        LogLevel::INFO => 20,
        LogLevel::WARN => 30,
        LogLevel::ERROR => 40,
    }
}
