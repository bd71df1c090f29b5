//! A registry under test, spoken to through its router; and every answer is held against the registry's own description.

pub(crate) mod artifacts;
pub(crate) mod bags;
pub(crate) mod ceremony;
pub(crate) mod contract;
pub(crate) mod deltas;
pub(crate) mod description;
pub(crate) mod fleet;
pub(crate) mod rollouts;
pub(crate) mod updates;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use serde_json::Value;
use swarm_artifact::Limits;
use swarm_registry::approval::{Approvals, TwoPerson};
use swarm_registry::bags::{Bags, Keeping};
use swarm_registry::blobs::{Blobs, Location};
use swarm_registry::catalogue::Catalogue;
use swarm_registry::current::Current;
use swarm_registry::database::Database;
use swarm_registry::deltas::Deltas;
use swarm_registry::fleet::Fleet;
use swarm_registry::http::{Access, App, Lists, router};
use swarm_registry::intake::{Intake, Staging};
use swarm_registry::metrics::Metrics;
use swarm_registry::rollout::Rollouts;
use swarm_registry::update::Updates;
use swarm_registry::uploads::Uploads;
use tempfile::TempDir;
use tower::ServiceExt;

use artifacts::Signed;
use description::Description;

/// 2027-01-15 08:00:00 UTC.
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const BAGS: Keeping = Keeping { max_bytes: 4_000_000, quota_bytes: 6_000_000, days: 30 };
pub(crate) const MAX_BYTES: u64 = 2_000_000;

/// Where a registry keeps what it has.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) database_url: String,
    pub(crate) blobs: Blobs,
    /// What has to run as long as the place is used.
    #[expect(dead_code, reason = "held as long as the registry under test needs it")]
    pub(crate) kept: Option<Arc<dyn Any + Send + Sync>>,
}

impl Place {
    /// SQLite and a folder.
    pub(crate) fn local() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database_url = format!("sqlite:{}", folder.path().join("registry.db").display());
        let blobs = Blobs::open(&Location::Folder(folder.path().join("artifacts"))).unwrap();
        Self { folder, database_url, blobs, kept: None }
    }

    pub(crate) async fn app(&self, access: Access) -> App {
        let database = Database::open(&self.database_url, 4).await.unwrap();
        let staging = self.folder.path().join("staging");
        std::fs::create_dir_all(&staging).unwrap();
        let catalogue = Catalogue::new(database.clone());
        let staging = Staging { folder: staging, max_bytes: MAX_BYTES, max_silence: Duration::from_secs(20) };
        let updates = Updates::new(database.clone(), Current::new(Some(ceremony::update_keys())));
        let metrics = Arc::new(Metrics::default());
        let fleet = Fleet::new(database.clone(), updates.clone(), Arc::clone(&metrics));
        App {
            intake: Intake {
                trust: Current::new(Some(artifacts::trust())),
                limits: Limits::default(),
                catalogue: catalogue.clone(),
                blobs: self.blobs.clone(),
            },
            deltas: Deltas::new(self.blobs.clone(), staging.clone(), MAX_BYTES),
            staging,
            bags: Bags::new(database.clone(), self.blobs.clone(), BAGS),
            uploads: Uploads::new(database.clone(), self.blobs.clone()),
            catalogue,
            rollouts: Rollouts::new(database.clone(), fleet.clone()),
            fleet,
            updates,
            approvals: Approvals::new(database.clone(), TwoPerson::Off),
            database,
            lists: Lists::default(),
            metrics,
            access,
            limit: None,
            now_unix: || NOW,
        }
    }
}

/// One replica of the registry.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) place: Arc<Place>,
    pub(crate) app: App,
    router: Router,
    description: Arc<Description>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name} in {self:?}")).to_str().unwrap()
    }

    /// The code of a refusal, with its status.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        (self.status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    }

    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

impl Registry {
    pub(crate) async fn new(place: Place) -> Self {
        Self::with_access(Arc::new(place), Access::Development).await
    }

    pub(crate) async fn with_access(place: Arc<Place>, access: Access) -> Self {
        let app = place.app(access).await;
        Self::of(place, app)
    }

    pub(crate) fn of(place: Arc<Place>, app: App) -> Self {
        let (router, document) = router(app.clone());
        let description = Arc::new(Description::new(&document.to_json().unwrap()));
        Self { place, app, router, description }
    }

    /// A further replica over the same database and store.
    pub(crate) async fn replica(&self) -> Self {
        Self::with_access(Arc::clone(&self.place), self.app.access.clone()).await
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        self.description.check(method.as_str(), &path, &answer);
        answer
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub(crate) async fn upload(&self, signed: &Signed) -> Answer {
        self.upload_form(&signed.form(&[])).await
    }

    pub(crate) async fn upload_form(&self, form: &[u8]) -> Answer {
        let kind = [("content-type", artifacts::FORM_TYPE)];
        self.call("POST", "/api/v1/csa/upload", &kind, form.to_vec()).await
    }

    /// Versions in the order of the list.
    pub(crate) async fn listed(&self) -> Vec<String> {
        let list = self.get("/api/v1/csa/list?limit=1000").await.expect(200).json();
        let items = list["items"].as_array().unwrap();
        items.iter().map(|item| item["version"].as_str().unwrap().to_owned()).collect()
    }
}
