//! The program: read the settings, open what they name, serve until told to end.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use swarm_artifact::Limits;
use swarm_registry::blobs::Blobs;
use swarm_registry::catalogue::Catalogue;
use swarm_registry::database::Database;
use swarm_registry::http::{Access, App, router};
use swarm_registry::intake::{Intake, Staging};
use swarm_registry::metrics::Metrics;
use swarm_registry::serve::serve;
use swarm_registry::settings::{Arguments, Settings};
use swarm_registry::uploads::Uploads;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let check = arguments.check;
    let settings = match Settings::read(arguments) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if check {
        println!("the settings can be used");
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.context("cannot start the runtime").and_then(|runtime| runtime.block_on(run(settings))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> Result<()> {
    let folder = settings.data.join("staging");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder '{}'", folder.display()))?;
    let blobs = Blobs::open(&settings.artifacts)?;
    let database = Database::open(&settings.database_url, settings.database_connections).await?;
    let catalogue = Catalogue::new(database.clone());
    let uploads = Uploads::new(database.clone(), blobs.clone());
    let limits = Limits { max_archive_bytes: settings.max_artifact_bytes, ..Limits::default() };
    if settings.trust.is_none() {
        tracing::warn!("no trust file (TRUST_PATH): uploads are refused");
    }
    if matches!(settings.access, Access::Development) {
        tracing::warn!("development profile: whoever reaches {} may do everything", settings.listen);
    }
    let app = App {
        intake: Intake { trust: settings.trust.map(Arc::new), limits, catalogue: catalogue.clone(), blobs },
        staging: Staging {
            folder,
            max_bytes: settings.max_artifact_bytes,
            max_silence: settings.max_silence,
        },
        uploads,
        catalogue,
        database: database.clone(),
        metrics: Arc::new(Metrics::default()),
        access: settings.access,
        now_unix: swarm_store::unix_now,
    };
    let listener = tokio::net::TcpListener::bind(settings.listen).await;
    let listener = listener.with_context(|| {
        format!(
            "cannot listen on {}; if another program is there, choose another port with --listen",
            settings.listen
        )
    })?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let end = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("ending");
    };
    // Read by whoever started it on port 0, too.
    println!("swarm_registry listens on {}", listener.local_addr().context("cannot tell the address")?);
    serve(listener, settings.tls, router(app).0, end).await;
    database.close().await;
    Ok(())
}
