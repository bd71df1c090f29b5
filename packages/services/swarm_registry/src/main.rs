//! The program: read the settings, open what they name, serve until told to end. SIGHUP has the files read again.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use swarm_artifact::{Limits, Trust};
use swarm_registry::access::{RateLimit, TokenKeys};
use swarm_registry::approval::Approvals;
use swarm_registry::bags::Bags;
use swarm_registry::blobs::Blobs;
use swarm_registry::catalogue::Catalogue;
use swarm_registry::current::Current;
use swarm_registry::database::Database;
use swarm_registry::deltas::Deltas;
use swarm_registry::fleet::Fleet;
use swarm_registry::http::{Access, App, Lists, router};
use swarm_registry::intake::{Intake, Staging};
use swarm_registry::metrics::Metrics;
use swarm_registry::rollout::Rollouts;
use swarm_registry::serve::{Tls, allow_many_connections, serve};
use swarm_registry::settings::{Arguments, Settings};
use swarm_registry::update::{UpdateKeys, Updates};
use swarm_registry::uploads::Uploads;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let check = arguments.check;
    let settings = match Settings::read(arguments.clone()) {
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
    match runtime
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(run(arguments, settings)))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments, settings: Settings) -> Result<()> {
    let folder = settings.data.join("staging");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder '{}'", folder.display()))?;
    let blobs = Blobs::open(&settings.artifacts)?;
    let database = Database::open(&settings.database_url, settings.database_connections).await?;
    let catalogue = Catalogue::new(database.clone());
    let uploads = Uploads::new(database.clone(), blobs.clone());
    let limits = Limits { max_archive_bytes: settings.max_artifact_bytes, ..Limits::default() };
    let files = Files::of(&settings);
    if settings.trust.is_none() {
        tracing::warn!("no trust file (TRUST_PATH): uploads are refused");
    }
    if settings.update_keys.is_none() {
        tracing::warn!("no update key (UPDATE_KEY_PATH): nothing can be published or deployed");
    }
    if matches!(settings.access, Access::Development) {
        tracing::warn!("development profile: whoever reaches {} may do everything", settings.listen);
    }
    if let Err(problem) = allow_many_connections() {
        tracing::warn!("{problem}");
    }
    let metrics = Arc::new(Metrics::default());
    let updates = Updates::new(database.clone(), files.update_keys.clone());
    let fleet = Fleet::new(database.clone(), updates.clone(), Arc::clone(&metrics));
    let rollouts = Rollouts::new(database.clone(), fleet.clone());
    let staging =
        Staging { folder, max_bytes: settings.max_artifact_bytes, max_silence: settings.max_silence };
    let deltas = Deltas::new(blobs.clone(), staging.clone(), settings.max_delta_bytes);
    let app = App {
        intake: Intake {
            trust: files.trust.clone(),
            limits,
            catalogue: catalogue.clone(),
            blobs: blobs.clone(),
        },
        staging,
        deltas,
        bags: Bags::new(database.clone(), blobs, settings.bags),
        uploads,
        catalogue,
        updates: updates.clone(),
        fleet,
        rollouts: rollouts.clone(),
        approvals: Approvals::new(database.clone(), settings.two_person),
        database: database.clone(),
        lists: Lists::default(),
        metrics,
        access: settings.access,
        limit: settings.rate_limit.map(|limit| Arc::new(RateLimit::per_second(limit))),
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
    let mut hang_up = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let following = tokio::spawn(updates.clone().follow(app.now_unix));
    let driving = tokio::spawn(rollouts.drive(app.now_unix));
    let end = async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = tokio::signal::ctrl_c() => break,
                _ = hang_up.recv() => files.read_again(arguments.clone()),
            }
        }
        tracing::info!("ending");
        updates.close();
    };
    // Read by whoever started it on port 0, too.
    println!("swarm_registry listens on {}", listener.local_addr().context("cannot tell the address")?);
    serve(listener, settings.tls, router(app).0, end).await;
    following.abort();
    driving.abort();
    database.close().await;
    Ok(())
}

/// What is exchanged by SIGHUP, without a restart.
struct Files {
    trust: Current<Option<Trust>>,
    update_keys: Current<Option<UpdateKeys>>,
    token_keys: Option<Current<Option<TokenKeys>>>,
    tls: Option<Tls>,
}

impl Files {
    fn of(settings: &Settings) -> Self {
        let token_keys = match &settings.access {
            Access::Required { keys, .. } => Some(keys.clone()),
            Access::Development => None,
        };
        Self {
            trust: Current::new(settings.trust.clone()),
            update_keys: Current::new(settings.update_keys.clone()),
            token_keys,
            tls: settings.tls.clone(),
        }
    }

    /// All of them, or none where one of them cannot be used.
    fn read_again(&self, arguments: Arguments) {
        let settings = match Settings::read(arguments) {
            Ok(settings) => settings,
            Err(error) => {
                tracing::error!("told to read the files again, and going on with the old ones: {error}");
                return;
            }
        };
        self.trust.set(settings.trust);
        self.update_keys.set(settings.update_keys);
        if let (Some(current), Access::Required { keys, .. }) = (&self.token_keys, &settings.access) {
            current.set((*keys.get()).clone());
        }
        if let (Some(current), Some(new)) = (&self.tls, &settings.tls) {
            current.exchange(new);
        }
        tracing::info!(
            "trust file, token keys, update key, certificates and revocation lists were read again"
        );
    }
}
