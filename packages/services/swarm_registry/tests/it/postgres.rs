//! The promises of a registry whose database is PostgreSQL, and whose artifacts are in a folder.

#[path = "common/postgres.rs"]
mod server;

use std::sync::Arc;

use crate::common::{Place, Registry};

async fn registry() -> Registry {
    let server = server::Server::shared();
    let database_url = server.database();
    let kept: Arc<dyn std::any::Any + Send + Sync> = server;
    Registry::new(Place { database_url, kept: Some(kept), ..Place::local() }).await
}

crate::contract!(registry);
