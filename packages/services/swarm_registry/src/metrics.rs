//! Counters of the registry, as Prometheus text.
//!
//! | metric | labels | what |
//! |---|---|---|
//! | `csa_upload_total` | | artifacts accepted for the first time |
//! | `csa_download_total` | | downloads begun, whole or in part |
//! | `csa_delta_total` | | downloads of deltas begun |
//! | `csa_delta_saved_bytes_total` | | bytes that these deltas are shorter than the artifacts that they make |
//! | `signature_verification_total` | `result` (`valid`, or why not) | artifacts whose signatures were checked |
//! | `csa_validation_duration_seconds` | | from the last byte of an upload to the answer |
//! | `deployment_total` | `status` (`assigned`, `downloading`, `waiting`, `deployed`, `refused`, `failed`) | deployments that came that far |
//! | `cells` | `state` (`online`, `offline`) | cells that are known |
//! | `update_metadata_version` | `repository` | version of the newest timestamp metadata |
//! | `update_metadata_expires_seconds` | `repository`, `role` | until the newest metadata of a role expires; negative = it has |
//! | `registry_http_requests_total` | `route`, `method`, `status` | answered requests |
//! | `registry_http_request_duration_seconds` | `route` | from a request's header to its answer's |
//! | `csa_artifacts`, `csa_quarantined`, `csa_storage_bytes` | | what the catalogue holds |

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use swarm_api::update::Versions;

use crate::catalogue::Totals;
use crate::fleet::Census;
use crate::update::Expiry;

pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub uploads: IntCounter,
    pub downloads: IntCounter,
    pub deltas: IntCounter,
    pub saved_bytes: IntCounter,
    pub verifications: IntCounterVec,
    pub validation: Histogram,
    pub requests: IntCounterVec,
    pub durations: HistogramVec,
    pub deployments: IntCounterVec,
    cells: IntGaugeVec,
    metadata: IntGaugeVec,
    expires: IntGaugeVec,
    artifacts: IntGauge,
    quarantined: IntGauge,
    bytes: IntGauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| IntCounter::new(name, help).expect("a constant name");
        let gauge = |name: &str, help: &str| IntGauge::new(name, help).expect("a constant name");
        let vector = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels).expect("constant names")
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels).expect("constant names")
        };
        let buckets = vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];
        let histogram = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(buckets.clone());
        let metrics = Self {
            uploads: counter("csa_upload_total", "Artifacts accepted for the first time."),
            downloads: counter("csa_download_total", "Downloads begun, whole or in part."),
            deltas: counter("csa_delta_total", "Downloads of deltas begun."),
            saved_bytes: counter(
                "csa_delta_saved_bytes_total",
                "Bytes that these deltas are shorter than the artifacts that they make.",
            ),
            verifications: vector(
                "signature_verification_total",
                "Artifacts whose signatures were checked.",
                &["result"],
            ),
            validation: Histogram::with_opts(histogram(
                "csa_validation_duration_seconds",
                "From the last byte of an upload to the answer.",
            ))
            .expect("a constant name"),
            requests: vector(
                "registry_http_requests_total",
                "Answered requests.",
                &["route", "method", "status"],
            ),
            durations: HistogramVec::new(
                histogram(
                    "registry_http_request_duration_seconds",
                    "From a request's header to its answer's.",
                ),
                &["route"],
            )
            .expect("constant names"),
            deployments: vector("deployment_total", "Deployments that came to a state.", &["status"]),
            cells: gauges("cells", "Cells that are known.", &["state"]),
            metadata: gauges(
                "update_metadata_version",
                "Version of the newest timestamp metadata.",
                &["repository"],
            ),
            expires: gauges(
                "update_metadata_expires_seconds",
                "Until the newest metadata of a role expires; negative where it has.",
                &["repository", "role"],
            ),
            artifacts: gauge("csa_artifacts", "Artifacts in the catalogue."),
            quarantined: gauge("csa_quarantined", "Artifacts that are quarantined."),
            bytes: gauge("csa_storage_bytes", "Bytes of all artifacts in the catalogue."),
            registry,
        };
        let collectors: [Box<dyn prometheus::core::Collector>; 15] = [
            Box::new(metrics.deployments.clone()),
            Box::new(metrics.cells.clone()),
            Box::new(metrics.metadata.clone()),
            Box::new(metrics.expires.clone()),
            Box::new(metrics.uploads.clone()),
            Box::new(metrics.downloads.clone()),
            Box::new(metrics.deltas.clone()),
            Box::new(metrics.saved_bytes.clone()),
            Box::new(metrics.verifications.clone()),
            Box::new(metrics.validation.clone()),
            Box::new(metrics.requests.clone()),
            Box::new(metrics.durations.clone()),
            Box::new(metrics.artifacts.clone()),
            Box::new(metrics.quarantined.clone()),
            Box::new(metrics.bytes.clone()),
        ];
        for collector in collectors {
            metrics.registry.register(collector).expect("each name is registered once");
        }
        // A share of none is told from one that nobody has counted yet.
        metrics.verifications.with_label_values(&["valid"]);
        metrics
    }
}

impl Metrics {
    /// The page.
    pub fn text(
        &self,
        totals: Totals,
        census: Census,
        [image, director]: [Versions; 2],
        expiries: &[Expiry],
        now_unix: i64,
    ) -> String {
        // A role that was removed is not one that has expired.
        self.expires.reset();
        for Expiry { which, role, expires_unix } in expiries {
            self.expires.with_label_values(&[which.as_str(), role]).set(expires_unix - now_unix);
        }
        let set = |gauge: &IntGauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.artifacts, totals.artifacts);
        set(&self.quarantined, totals.quarantined);
        set(&self.bytes, totals.bytes);
        let label =
            |gauges: &IntGaugeVec, label: &str, value| set(&gauges.with_label_values(&[label]), value);
        label(&self.cells, "online", census.online);
        label(&self.cells, "offline", census.offline);
        label(&self.metadata, "image", image.timestamp);
        label(&self.metadata, "director", director.timestamp);
        TextEncoder::new().encode_to_string(&self.registry.gather()).expect("texts without line breaks")
    }
}
