//! SIGINT and SIGTERM ask for a clean end; another one, later, ends the process at once.

use std::time::{Duration, Instant};

use swarm_base::Shutdown;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code of a process that was told twice, 128 + SIGINT as shells report it.
const EXIT_TOLD_TWICE: i32 = 130;

/// One Ctrl-C can come twice: to every process of the terminal, and once more from `ros2 launch`, which passes it on.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// Starts the thread that listens; errors are the operating system's. Nodes have it from their shell; operator commands call it.
pub fn request_shutdown_on_signals(shutdown: &Shutdown) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let shutdown = shutdown.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let mut first = None;
            loop {
                let name = tokio::select! {
                    _ = interrupt.recv() => "SIGINT",
                    _ = terminate.recv() => "SIGTERM",
                };
                match first {
                    None => {
                        tracing::info!("{name}: shutting down");
                        shutdown.request();
                        first = Some(Instant::now());
                    }
                    Some(first) if first.elapsed() < SAME_SIGNAL => {}
                    Some(_) => {
                        eprintln!("second {name}: ending at once");
                        // The middleware's threads still run: nothing may be torn down under them.
                        signal_hook::low_level::exit(EXIT_TOLD_TWICE);
                    }
                }
            }
        });
    })?;
    Ok(())
}
