//! SIGINT and SIGTERM ask for a clean end; a second one ends the process at once.

use swarm_base::Shutdown;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code of a process that was told twice, 128 + SIGINT as shells report it.
const EXIT_TOLD_TWICE: i32 = 130;

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
            loop {
                let name = tokio::select! {
                    _ = interrupt.recv() => "SIGINT",
                    _ = terminate.recv() => "SIGTERM",
                };
                if shutdown.is_requested() {
                    eprintln!("second {name}: ending at once");
                    std::process::exit(EXIT_TOLD_TWICE);
                }
                tracing::info!("{name}: shutting down");
                shutdown.request();
            }
        });
    })?;
    Ok(())
}
