//! The promises of a registry whose database is PostgreSQL, and whose artifacts are in a folder.

use std::sync::Arc;

use swarm_test_postgres::Server;

use crate::common::{Place, Registry};

async fn registry() -> Registry {
    let server = Server::shared().unwrap();
    let database_url = server.database().unwrap();
    let kept: Arc<dyn std::any::Any + Send + Sync> = server;
    Registry::new(Place { database_url, kept: Some(kept), ..Place::local() }).await
}

crate::contract!(registry);
