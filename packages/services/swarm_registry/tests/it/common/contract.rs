//! What a registry promises wherever it keeps what it has. [`contract!`] makes a test of each promise for one kind of place.

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::{Value, json};
use swarm_registry::uploads::{MAX_ALL_BYTES, MAX_OPEN_BYTES, UploadError};

use super::artifacts::{Signed, form};
use super::{MAX_BYTES, Registry};

/// A test of each promise; `$registry` makes an empty registry.
#[macro_export]
macro_rules! contract {
    ($registry:path) => {
        $crate::contract! { $registry, contract:
            an_upload_is_listed_shown_and_handed_out
            the_same_bytes_again_are_no_second_artifact
            the_same_bytes_again_mend_an_artifact_that_was_damaged
            what_does_not_verify_is_never_listed
            the_limits_of_an_upload_are_held
            pages_are_stable_while_artifacts_come_in
            ranges_and_conditions_are_answered
            a_quarantined_artifact_is_shown_but_not_handed_out
            an_upload_in_parts_becomes_the_same_artifact
            an_upload_whose_parts_are_gone_is_begun_anew
            parts_count_only_where_the_next_byte_is_missing
            an_upload_has_one_sender_at_a_time
            uploads_that_are_begun_at_once_pass_no_bound
            uploads_under_way_have_a_bound_in_bytes
            of_concurrent_uploads_one_is_first
            replicas_share_everything
            the_audit_log_is_a_chain
            health_version_and_counters_answer
            what_cannot_be_meant_is_refused_with_the_reason
        }
        $crate::contract! { $registry, deltas:
            a_delta_gives_the_artifact_to_the_byte_in_whole_and_in_parts
            what_has_no_delta_says_why
            a_quarantined_artifact_is_the_end_of_no_delta_but_may_be_its_beginning
            who_asks_for_the_same_delta_waits_for_the_same_and_not_for_ever
        }
        $crate::contract! { $registry, bags:
            a_bag_is_kept_as_it_came_until_somebody_removes_it
            a_bag_whose_bytes_are_gone_is_taken_again
            a_bag_that_is_not_what_was_announced_is_not_kept
            bags_have_bounds_in_size_in_sum_and_in_time
        }
        $crate::contract! { $registry, updates:
            what_people_signed_is_served_to_the_byte_and_taken_by_a_client
            only_what_is_next_and_believed_is_published_all_or_nothing
            of_two_that_publish_at_once_one_is_first
            who_waits_hears_of_what_any_replica_publishes
            what_would_expire_is_signed_anew_once
            metrics_say_when_each_role_expires
            without_its_key_nothing_is_published
        }
        $crate::contract! { $registry, fleet:
            a_cell_is_sent_to_an_artifact_and_says_how_far_it_is
            every_cell_of_a_skill_goes_back_at_once
            what_a_cell_would_refuse_is_never_assigned
            reports_count_in_their_order
            assignments_at_once_on_two_replicas_lose_nothing
            a_cell_that_is_taken_out_is_named_no_more
            the_family_of_an_artifact_says_where_each_ran
            what_cannot_be_meant_of_a_cell_is_refused
        }
        $crate::contract! { $registry, rollouts:
            a_good_artifact_goes_from_the_canary_to_all
            a_bad_artifact_is_taken_back_and_quarantined_in_one_step
            who_has_nothing_to_go_back_to_is_sent_away
            who_was_decommissioned_with_a_bad_artifact_goes_back_on_return
            a_confirmation_and_deployments_at_once_wait_for_each_other
            who_withdraws_an_artifact_ends_its_roll_out
            people_pause_resume_abort_and_supersede
        }
    };
    ($registry:path, $module:ident: $($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                $crate::common::$module::$promise($registry().await).await;
            }
        )*
    };
}

pub(crate) async fn an_upload_is_listed_shown_and_handed_out(registry: Registry) {
    let first = Signed::version("1.0.0");
    registry.upload(&first).await.expect(201);
    let second = Signed::version("1.1.0");
    let further = [
        ("parent", first.digest()),
        ("training_data", "200 demonstrations".to_owned()),
        ("digest", second.digest()),
    ];
    let further = further.each_ref().map(|(name, value)| (*name, value.as_str()));
    let accepted = registry.upload_form(&second.form(&further)).await.expect(201).json();
    assert_eq!(accepted["skill_name"], "cooperative_assembly");
    assert_eq!(accepted["version"], "1.1.0");
    assert_eq!(accepted["signature_verified"], true);
    assert_eq!(accepted["digest"], second.digest());
    assert_eq!(accepted["size"], second.archive.len());
    assert_eq!(accepted["signers"], json!(["site_a"]));
    assert_eq!(accepted["uploaded_at"], "2027-01-15T08:00:00Z");
    let provenance = &accepted["provenance"];
    assert_eq!(provenance["parent"], first.digest());
    assert_eq!(provenance["training_data"], "200 demonstrations");
    assert_eq!(
        (&provenance["uploaded_by"], &provenance["uploader"]),
        (&json!("the test"), &json!("developer"))
    );

    assert_eq!(registry.listed().await, ["1.1.0", "1.0.0"]);
    assert_eq!(
        registry.get("/api/model/versions").await.json(),
        registry.get("/api/v1/csa/list").await.json()
    );
    let (id, digest) = (&accepted["id"], second.digest());
    for path in [
        format!("/api/v1/csa/{id}"),
        format!("/api/v1/csa/{digest}"),
        "/api/v1/skills/cooperative_assembly/versions/1.1.0".to_owned(),
    ] {
        assert_eq!(registry.get(&path).await.expect(200).json(), accepted, "{path}");
        let sent = registry.get(&format!("{path}/download")).await.expect(200);
        assert!(sent.body == second.archive, "{path}");
        assert_eq!(sent.header("etag"), format!("\"{digest}\""));
        assert_eq!(sent.header("content-length"), second.archive.len().to_string());
        assert_eq!(
            sent.header("content-disposition"),
            "attachment; filename=\"cooperative_assembly_v1.1.0.tar.gz\""
        );
    }
    let signature = registry.get(&format!("/api/v1/csa/{digest}/signature")).await.expect(200);
    assert_eq!(signature.body, second.signature);
    let other = registry.get("/api/v1/csa/list?skill_name=palletizing").await.expect(200).json();
    assert_eq!(other, json!({"items": [], "next_after": null}));
}

pub(crate) async fn the_same_bytes_again_are_no_second_artifact(registry: Registry) {
    let signed = Signed::packaged("1.0.0", 6);
    let first = registry.upload(&signed).await.expect(201).json();
    assert_eq!(registry.upload(&signed).await.expect(200).json(), first);
    let other = Signed::packaged("1.0.0", 1);
    assert_ne!(other.digest(), signed.digest());
    let refused = registry.upload(&other).await;
    assert_eq!(refused.refusal(), (409, "version_taken".to_owned()));
    let detail = refused.json()["detail"].to_string();
    assert!(detail.contains(&signed.digest()) && detail.contains(&other.digest()), "{detail}");
    assert_eq!(registry.listed().await, ["1.0.0"]);
    assert_eq!(audit(&registry).await.len(), 1);
}

pub(crate) async fn the_same_bytes_again_mend_an_artifact_that_was_damaged(registry: Registry) {
    let signed = Signed::version("1.0.0");
    let id = registry.upload(&signed).await.expect(201).json()["id"].clone();
    let digest = signed.digest().parse().unwrap();
    let mut flipped = signed.archive.clone();
    flipped[100] ^= 1;
    for damaged in [flipped, signed.archive[..100].to_vec()] {
        registry.app.intake.blobs.damage(digest, damaged).await.unwrap();
        assert_eq!(registry.upload(&signed).await.expect(200).json()["id"], id);
        let sent = registry.get(&format!("/api/v1/csa/{id}/download")).await.expect(200);
        assert!(sent.body == signed.archive);
    }
}

pub(crate) async fn what_does_not_verify_is_never_listed(registry: Registry) {
    let good = Signed::version("1.0.0");
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let mut changed = good.clone();
    changed.archive[1000] ^= 1;
    let mut truncated = good.clone();
    truncated.archive.truncate(good.archive.len() / 2);
    let unsigned = Signed { signature: swarm_artifact::SignatureFile::empty().to_yaml(), ..good.clone() };
    let nonsense = Signed { signature: "no signature".to_owned(), ..good.clone() };
    let cut = good.archive[..good.archive.len() - 20].to_vec();
    let cases = [
        ("bad_signature", changed),
        ("bad_signature", truncated),
        ("unknown_key", Signed::signed_by(good.archive.clone(), &stranger)),
        ("bad_signature_file", nonsense),
        // Signed by a trusted key, and yet no artifact.
        ("damaged_gzip", Signed::signed_by(b"not an archive".to_vec(), &super::artifacts::site_a())),
        ("damaged_gzip", Signed::signed_by(cut, &super::artifacts::site_a())),
        ("damaged_gzip", Signed::signed_by(Vec::new(), &super::artifacts::site_a())),
    ];
    for (code, signed) in cases {
        let digest = signed.digest();
        let answer = registry.upload(&signed).await;
        assert_eq!(answer.refusal(), (422, code.to_owned()), "{:?}", answer.json());
        let shown = registry.get(&format!("/api/v1/csa/{digest}")).await;
        assert_eq!(shown.refusal(), (404, "no_such_artifact".to_owned()));
        let artifact = swarm_artifact::ArchiveDigest::of(&signed.archive);
        assert!(
            !registry.app.intake.blobs.has_artifact(&artifact).await.unwrap(),
            "{code}: bytes were stored"
        );
    }
    let answer = registry.upload(&unsigned).await;
    assert_eq!(answer.status, 422, "{:?}", answer.json());
    assert!(registry.listed().await.is_empty());
    assert!(audit(&registry).await.is_empty());

    let mut app = registry.app.clone();
    app.intake.trust = swarm_registry::current::Current::new(None);
    let without = Registry::of(std::sync::Arc::clone(&registry.place), app);
    assert_eq!(without.upload(&good).await.refusal(), (503, "no_trust_file".to_owned()));
    registry.upload(&good).await.expect(201);
}

pub(crate) async fn the_limits_of_an_upload_are_held(registry: Registry) {
    let large = Signed::signed_by(vec![0; MAX_BYTES as usize + 1], &super::artifacts::site_a());
    assert_eq!(registry.upload(&large).await.refusal(), (413, "too_large".to_owned()));
    let good = Signed::version("1.0.0");
    let long = "x".repeat(70_000);
    let field = registry.upload_form(&form(Some(&good.archive), &[("signature", &long)])).await;
    assert_eq!(field.refusal(), (413, "field_too_large".to_owned()));
    let announced = registry.post("/api/v1/csa/uploads", &json!({"length": MAX_BYTES + 1})).await;
    assert_eq!(announced.refusal(), (413, "too_large".to_owned()));
    // Whether the archive or the form around it ends first is a matter of how much was buffered.
    let broken = |answer: &super::Answer| {
        let (status, code) = answer.refusal();
        status == 400 && ["cut_off", "bad_form"].contains(&code.as_str())
    };
    // A connection that is cut: the body ends in the middle of the archive.
    let whole = good.form(&[]);
    let half = Bytes::copy_from_slice(&whole[..whole.len() / 2]);
    let cut = futures::stream::iter([Ok(half), Err(std::io::Error::other("reset by peer"))]);
    let kind = [("content-type", super::artifacts::FORM_TYPE)];
    let answer = registry.call("POST", "/api/v1/csa/upload", &kind, Body::from_stream(cut)).await;
    assert!(broken(&answer), "{:?}", answer.json());
    let half = whole[..whole.len() / 2].to_vec();
    let answer = registry.upload_form(&half).await;
    assert!(broken(&answer), "{:?}", answer.json());
    assert!(registry.listed().await.is_empty());
    // Nothing is left of any of them.
    assert_eq!(std::fs::read_dir(&registry.app.staging.folder).unwrap().count(), 0);
}

pub(crate) async fn pages_are_stable_while_artifacts_come_in(registry: Registry) {
    for minor in 0..5 {
        registry.upload(&Signed::version(&format!("1.{minor}.0"))).await.expect(201);
    }
    let mut seen = Vec::new();
    let mut path = "/api/v1/csa/list?limit=2".to_owned();
    loop {
        let page = registry.get(&path).await.expect(200).json();
        let versions = page["items"].as_array().unwrap().iter().map(|item| item["version"].clone());
        seen.extend(versions.map(|version| version.as_str().unwrap().to_owned()));
        let Some(after) = page["next_after"].as_i64() else { break };
        registry.upload(&Signed::version(&format!("2.{}.0", seen.len()))).await.expect(201);
        path =
            format!("/api/v1/csa/list?limit=2&after={after}&skill_name=cooperative_assembly&status=active");
    }
    assert_eq!(seen, ["1.4.0", "1.3.0", "1.2.0", "1.1.0", "1.0.0"]);
}

pub(crate) async fn ranges_and_conditions_are_answered(registry: Registry) {
    let signed = Signed::version("1.0.0");
    registry.upload(&signed).await.expect(201);
    let (archive, length) = (&signed.archive, signed.archive.len());
    let path = format!("/api/v1/csa/{}/download", signed.digest());
    let tag = format!("\"{}\"", signed.digest());
    let ask = async |headers: &[(&str, &str)]| registry.call("GET", &path, headers, Body::empty()).await;

    let part = ask(&[("range", "bytes=100-199")]).await.expect(206);
    assert_eq!(part.body, archive[100..200]);
    assert_eq!(part.header("content-range"), format!("bytes 100-199/{length}"));
    assert_eq!(part.header("content-length"), "100");
    assert_eq!(ask(&[("range", "bytes=-10")]).await.expect(206).body, archive[length - 10..]);
    assert!(ask(&[("range", "bytes=100-199"), ("if-range", &tag)]).await.expect(206).body.len() == 100);
    assert!(ask(&[("range", "bytes=100-199"), ("if-range", "\"other\"")]).await.expect(200).body == *archive);
    let beyond = ask(&[("range", &format!("bytes={length}-"))]).await;
    assert_eq!(beyond.refusal(), (416, "no_such_range".to_owned()));
    assert_eq!(beyond.header("content-range"), format!("bytes */{length}"));

    let known = ask(&[("if-none-match", &format!("\"x\", {tag}"))]).await.expect(304);
    assert!(known.body.is_empty() && known.header("etag") == tag);
    assert!(ask(&[("if-none-match", "\"x\"")]).await.expect(200).body == *archive);
}

pub(crate) async fn a_quarantined_artifact_is_shown_but_not_handed_out(registry: Registry) {
    let signed = Signed::version("1.0.0");
    registry.upload(&signed).await.expect(201);
    let path = format!("/api/v1/csa/{}", signed.digest());
    let reason = json!({"reason": "drops the peg"});
    let shown = registry.post(&format!("{path}/quarantine"), &reason).await.expect(200).json();
    assert_eq!(shown["status"], "quarantined");
    assert_eq!(shown["quarantine"]["reason"], "drops the peg");
    assert_eq!(registry.get(&path).await.json(), shown);
    let again = registry.post(&format!("{path}/quarantine"), &reason).await;
    assert_eq!(again.refusal(), (409, "same_status".to_owned()));

    let download = format!("{path}/download");
    let refused = registry.get(&download).await;
    assert_eq!(refused.refusal(), (403, "quarantined".to_owned()));
    assert!(refused.json()["detail"].as_str().unwrap().contains("drops the peg"));
    // Who has it already must hear of the quarantine, too.
    let tag = format!("\"{}\"", signed.digest());
    registry.call("GET", &download, &[("if-none-match", &tag)], Body::empty()).await.expect(403);
    registry.get(&format!("{download}?allow_quarantined=true")).await.expect(200);
    // Uploading it again does not bring it back.
    assert_eq!(registry.upload(&signed).await.expect(200).json()["status"], "quarantined");

    let listed = async |status| {
        let page = registry.get(&format!("/api/v1/csa/list?status={status}")).await.expect(200).json();
        page["items"].as_array().unwrap().len()
    };
    assert_eq!((listed("active").await, listed("quarantined").await), (0, 1));
    let released = json!({"reason": "it was the gripper"});
    let shown = registry.post(&format!("{path}/release"), &released).await.expect(200).json();
    assert_eq!((&shown["status"], &shown["quarantine"]), (&json!("active"), &Value::Null));
    registry.get(&download).await.expect(200);
    let actions: Vec<_> = audit(&registry).await.iter().map(|entry| entry["action"].clone()).collect();
    assert_eq!(actions, ["upload", "quarantine", "release"]);
}

async fn begin(registry: &Registry, length: usize) -> String {
    let begun = registry.post("/api/v1/csa/uploads", &json!({"length": length})).await.expect(201);
    begun.header("location").to_owned()
}

async fn add(registry: &Registry, place: &str, offset: usize, bytes: impl Into<Body>) -> super::Answer {
    let offset = offset.to_string();
    let headers = [("content-type", "application/offset+octet-stream"), ("upload-offset", offset.as_str())];
    registry.call("PATCH", place, &headers, bytes).await
}

pub(crate) async fn an_upload_in_parts_becomes_the_same_artifact(registry: Registry) {
    let signed = Signed::version("1.0.0");
    let archive = &signed.archive;
    let place = begin(&registry, archive.len()).await;
    assert_eq!(
        add(&registry, &place, 0, archive[..700].to_vec()).await.expect(204).header("upload-offset"),
        "700"
    );
    // The connection is cut within the second part: what arrived counts.
    let arrived = Bytes::copy_from_slice(&archive[700..900]);
    let cut = futures::stream::iter([Ok(arrived), Err(std::io::Error::other("reset by peer"))]);
    let answer = add(&registry, &place, 700, Body::from_stream(cut)).await;
    assert_eq!(answer.refusal(), (400, "cut_off".to_owned()));
    let status = registry.get(&place).await.expect(200);
    assert_eq!(status.header("upload-offset"), "900");
    assert_eq!(status.json()["length"], archive.len());

    let complete = format!("{place}/complete");
    let body = json!({"signature": signed.signature, "uploaded_by": "the test", "digest": signed.digest()});
    assert_eq!(registry.post(&complete, &body).await.refusal(), (409, "incomplete".to_owned()));
    // The rest goes to another replica.
    let other = registry.replica().await;
    add(&other, &place, 900, archive[900..].to_vec()).await.expect(204);
    let wrong = json!({"signature": "no signature", "uploaded_by": "the test"});
    assert_eq!(registry.post(&complete, &wrong).await.refusal(), (422, "bad_signature_file".to_owned()));
    assert_eq!(registry.post(&complete, &body).await.expect(201).json()["digest"], signed.digest());
    assert!(registry.get(&format!("/api/v1/csa/{}/download", signed.digest())).await.body == *archive);
    assert_eq!(registry.get(&place).await.refusal(), (404, "no_such_upload".to_owned()));
}

pub(crate) async fn an_upload_whose_parts_are_gone_is_begun_anew(registry: Registry) {
    let signed = Signed::version("1.0.0");
    let place = begin(&registry, signed.archive.len()).await;
    add(&registry, &place, 0, signed.archive.clone()).await.expect(204);
    let (uploads, id) = (&registry.app.uploads, place.rsplit('/').next().unwrap());
    let upload = uploads.find(id, "developer").await.unwrap().unwrap();
    for part in uploads.parts(&upload).await.unwrap() {
        registry.app.intake.blobs.delete_part(&part.object).await.unwrap();
    }
    let body = json!({"signature": signed.signature, "uploaded_by": "the test"});
    let answer = registry.post(&format!("{place}/complete"), &body).await;
    assert_eq!(answer.refusal(), (404, "no_such_upload".to_owned()));
    assert_eq!(registry.get(&place).await.refusal(), (404, "no_such_upload".to_owned()));
    let place = begin(&registry, signed.archive.len()).await;
    add(&registry, &place, 0, signed.archive.clone()).await.expect(204);
    registry.post(&format!("{place}/complete"), &body).await.expect(201);
}

pub(crate) async fn parts_count_only_where_the_next_byte_is_missing(registry: Registry) {
    let place = begin(&registry, 1000).await;
    let part = vec![1; 400];
    assert_eq!(add(&registry, &place, 10, part.clone()).await.refusal(), (409, "wrong_offset".to_owned()));
    // Two senders of one part: one of them wins.
    let (one, two) =
        tokio::join!(add(&registry, &place, 0, part.clone()), add(&registry, &place, 0, part.clone()));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
    assert_eq!(registry.get(&place).await.header("upload-offset"), "400");
    let long = add(&registry, &place, 400, vec![1; 601]).await;
    assert_eq!(long.refusal(), (413, "longer_than_announced".to_owned()));
    assert_eq!(registry.get(&place).await.header("upload-offset"), "400");
    let headers = [("content-type", "text/plain"), ("upload-offset", "400")];
    let typed = registry.call("PATCH", &place, &headers, part.clone()).await;
    assert_eq!(typed.refusal(), (415, "not_a_part".to_owned()));
    let headers = [("content-type", "application/offset+octet-stream")];
    assert_eq!(
        registry.call("PATCH", &place, &headers, part).await.refusal(),
        (400, "bad_offset".to_owned())
    );

    registry.call("DELETE", &place, &[], Body::empty()).await.expect(204);
    assert_eq!(registry.get(&place).await.status, 404);
    for strange in ["%2e%2e%2fregistry.db", "x'%20OR%20'1'='1", "00000000000000000000000000000000"] {
        let answer = registry.get(&format!("/api/v1/csa/uploads/{strange}")).await;
        assert_eq!(answer.refusal(), (404, "no_such_upload".to_owned()), "{strange}");
    }
    // An upload that nobody touches goes when another begins.
    let idle = begin(&registry, 1000).await;
    add(&registry, &idle, 0, vec![1; 10]).await.expect(204);
    // A registry that is killed between a part's bytes and its row leaves bytes that no row names.
    let (blobs, id) = (&registry.app.intake.blobs, idle.rsplit('/').next().unwrap());
    blobs.put_part(id, 10, tempfile::tempfile().unwrap()).await.unwrap();
    assert_eq!(blobs.parts(id).await.unwrap().len(), 2);
    let mut app = registry.app.clone();
    app.now_unix = || super::NOW + swarm_registry::uploads::MAX_IDLE_S + 1;
    let later = Registry::of(std::sync::Arc::clone(&registry.place), app);
    begin(&later, 1000).await;
    assert_eq!(later.get(&idle).await.status, 404);
    assert_eq!(blobs.parts(id).await.unwrap(), [""; 0]);
}

pub(crate) async fn an_upload_has_one_sender_at_a_time(registry: Registry) {
    let place = begin(&registry, 1000).await;
    let (begun, has_begun) = futures::channel::oneshot::channel();
    let (end, may_end) = futures::channel::oneshot::channel::<()>();
    let ten = futures::stream::once(async move {
        begun.send(()).unwrap();
        Ok::<_, std::io::Error>(Bytes::from_static(&[1; 10]))
    });
    let none = futures::stream::once(async move {
        may_end.await.unwrap();
        Ok(Bytes::new())
    });
    let first = add(&registry, &place, 0, Body::from_stream(ten.chain(none)));
    let others = async {
        has_begun.await.unwrap();
        // It is refused though none of its bytes ever comes.
        let never = futures::stream::pending::<Result<Bytes, std::io::Error>>();
        let second = add(&registry, &place, 0, Body::from_stream(never)).await;
        let body = json!({"signature": "x", "uploaded_by": "x"});
        let complete = registry.post(&format!("{place}/complete"), &body).await;
        end.send(()).unwrap();
        [second.refusal(), complete.refusal()]
    };
    let (first, refused) = tokio::join!(first, others);
    first.expect(204);
    assert_eq!(refused, [(429, "upload_busy".to_owned()), (429, "upload_busy".to_owned())]);
    add(&registry, &place, 10, vec![1; 990]).await.expect(204);
}

pub(crate) async fn uploads_that_are_begun_at_once_pass_no_bound(registry: Registry) {
    let other = registry.replica().await;
    let begun = (0..8).map(|at| {
        let uploads = if at % 2 == 0 { &registry.app.uploads } else { &other.app.uploads };
        uploads.begin("ann", MAX_OPEN_BYTES / 2 + 1, super::NOW)
    });
    let begun = futures::future::join_all(begun).await;
    assert_eq!(begun.iter().filter(|begun| begun.is_ok()).count(), 1, "{begun:?}");
}

pub(crate) async fn uploads_under_way_have_a_bound_in_bytes(registry: Registry) {
    let uploads = &registry.app.uploads;
    let begin = async |owner: &str, length: u64| uploads.begin(owner, length, super::NOW).await;
    // One alone may be as large as anything may be.
    let large = begin("ann", MAX_OPEN_BYTES + 1).await.unwrap();
    let refused = begin("ann", 1).await.unwrap_err();
    assert!(matches!(refused, UploadError::TooManyBytes { whose: "this caller's", .. }), "{refused}");
    uploads.remove(&large.id).await.unwrap();
    for at in 0..MAX_ALL_BYTES / MAX_OPEN_BYTES {
        begin(&format!("site-{at}"), MAX_OPEN_BYTES).await.unwrap();
    }
    let refused = begin("bob", 1).await.unwrap_err();
    assert!(matches!(refused, UploadError::TooManyBytes { whose: "all callers'", .. }), "{refused}");
}

pub(crate) async fn of_concurrent_uploads_one_is_first(registry: Registry) {
    let (same, other) = (Signed::packaged("1.0.0", 6), Signed::packaged("1.0.0", 1));
    let uploads = (0..12).map(|at| {
        let (registry, signed) = (&registry, if at % 3 == 0 { &other } else { &same });
        async move { registry.upload(signed).await.status.as_u16() }
    });
    let statuses = futures::future::join_all(uploads).await;
    let count = |status| statuses.iter().filter(|it| **it == status).count();
    assert_eq!(count(201), 1, "{statuses:?}");
    assert_eq!(count(200) + count(409), 11, "{statuses:?}");
    assert_eq!(registry.listed().await, ["1.0.0"]);
    let entries = audit(&registry).await;
    assert_eq!(entries.len(), 1);
}

pub(crate) async fn replicas_share_everything(registry: Registry) {
    let other = registry.replica().await;
    let uploads = (0..6).map(|minor| {
        let registry = if minor % 2 == 0 { &registry } else { &other };
        async move { registry.upload(&Signed::version(&format!("1.{minor}.0"))).await.status.as_u16() }
    });
    assert_eq!(futures::future::join_all(uploads).await, [201; 6]);
    assert_eq!(registry.listed().await, other.listed().await);
    assert_eq!(other.listed().await.len(), 6);
    let digest = Signed::version("1.3.0").digest();
    other.get(&format!("/api/v1/csa/{digest}/download")).await.expect(200);
    let verdict = other.get("/api/v1/audit/verify").await.expect(200).json();
    assert_eq!((&verdict["intact"], &verdict["entries"]), (&json!(true), &json!(6)));
}

async fn audit(registry: &Registry) -> Vec<Value> {
    let page = registry.get("/api/v1/audit").await.expect(200).json();
    page["items"].as_array().unwrap().clone()
}

pub(crate) async fn the_audit_log_is_a_chain(registry: Registry) {
    let empty = registry.get("/api/v1/audit/verify").await.expect(200).json();
    assert_eq!((&empty["intact"], &empty["entries"]), (&json!(true), &json!(0)));
    for minor in 0..3 {
        registry.upload(&Signed::version(&format!("1.{minor}.0"))).await.expect(201);
    }
    let entries = audit(&registry).await;
    assert_eq!(entries[0]["who"], "developer");
    assert_eq!(entries[1]["previous"], entries[0]["hash"]);
    assert_eq!(entries[2]["subject"], Signed::version("1.2.0").digest());
    let verdict = registry.get("/api/v1/audit/verify").await.expect(200).json();
    assert_eq!((&verdict["intact"], &verdict["head"]), (&json!(true), &entries[2]["hash"]));
    let page = registry.get("/api/v1/audit?limit=1&after=1").await.expect(200).json();
    assert_eq!((&page["items"][0], &page["next_after"]), (&entries[1], &json!(2)));

    // Somebody with access to the database changes it.
    let url = &registry.place.database_url;
    for (change, found) in [
        ("UPDATE audit_log SET who = 'nobody' WHERE seq = 2", "entry 2 of the audit log was changed"),
        ("DELETE FROM audit_log WHERE seq = 2", "entry 2 of the audit log is missing"),
        ("DELETE FROM audit_log WHERE seq > 1", "the end was cut off"),
    ] {
        let pool = sqlx::AnyPool::connect(url).await.unwrap();
        sqlx::query(change).execute(&pool).await.unwrap();
        pool.close().await;
        let verdict = registry.get("/api/v1/audit/verify").await.expect(200).json();
        assert_eq!(verdict["intact"], false);
        assert!(verdict["problem"].as_str().unwrap().contains(found), "{verdict}");
    }
}

pub(crate) async fn health_version_and_counters_answer(registry: Registry) {
    for path in ["/health", "/health/database", "/health/models", "/api/system/health"] {
        assert_eq!(registry.get(path).await.expect(200).json()["status"], "ok", "{path}");
    }
    assert_eq!(registry.get("/version").await.expect(200).json()["name"], "swarm_registry");
    assert!(
        registry.metric("signature_verification_total{result=\"valid\"} 0").await,
        "it is there to be compared"
    );
    let signed = Signed::version("1.0.0");
    registry.upload(&signed).await.expect(201);
    registry.get(&format!("/api/v1/csa/{}/download", signed.digest())).await.expect(200);
    registry.get("/nowhere").await.expect(404);
    let page = registry.get("/metrics").await.expect(200);
    let page = std::str::from_utf8(&page.body).unwrap();
    let size = signed.archive.len();
    for line in [
        "csa_upload_total 1".to_owned(),
        "csa_download_total 1".to_owned(),
        "signature_verification_total{result=\"valid\"} 1".to_owned(),
        "csa_artifacts 1".to_owned(),
        format!("csa_storage_bytes {size}"),
        "registry_http_requests_total{method=\"GET\",route=\"/api/v1/csa/{csa}/download\",status=\"200\"} 1"
            .to_owned(),
        "registry_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1".to_owned(),
    ] {
        assert!(page.lines().any(|it| it == line), "{line} in\n{page}");
    }
    registry.app.database.close().await;
    assert_eq!(registry.get("/health/database").await.expect(503).json()["status"], "failed");
    registry.get("/health").await.expect(200);
    let refused = registry.get("/api/v1/csa/list").await;
    assert_eq!(refused.refusal(), (503, "unavailable".to_owned()));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("incident") && !detail.contains("pool"), "{detail}");
}

pub(crate) async fn what_cannot_be_meant_is_refused_with_the_reason(registry: Registry) {
    let digest = "0".repeat(64);
    for (path, status, code) in [
        ("/api/v1/csa/1%20OR%201=1", 400, "bad_reference"),
        ("/api/v1/csa/..%2f..%2fetc%2fpasswd/download", 400, "bad_reference"),
        ("/api/v1/csa/%00", 400, "bad_reference"),
        ("/api/v1/csa/%ff", 400, "bad_path"),
        ("/api/v1/csa/999999999999999999", 404, "no_such_artifact"),
        (&format!("/api/v1/csa/{digest}"), 404, "no_such_artifact"),
        ("/api/v1/csa/list?limit=0", 400, "out_of_range"),
        ("/api/v1/csa/list?limit=1001", 400, "out_of_range"),
        ("/api/v1/csa/list?limit=ten", 400, "bad_query"),
        ("/api/v1/csa/list?limt=10", 400, "bad_query"),
        ("/api/v1/csa/list?after=0", 400, "out_of_range"),
        ("/api/v1/csa/list?status=gone", 400, "bad_status"),
        ("/api/v1/csa/list?skill_name=%27%3B--", 400, "bad_skill_name"),
        ("/api/v1/skills/UPPER/versions/1.0.0", 400, "bad_skill_name"),
        ("/api/v1/skills/a/versions/1.0", 400, "bad_version"),
        ("/api/v1/skills/a/versions/1.0.0", 404, "no_such_artifact"),
        ("/api/v2/csa/list", 404, "no_such_route"),
    ] {
        assert_eq!(registry.get(path).await.refusal(), (status, code.to_owned()), "{path}");
    }
    let method = registry.call("DELETE", "/api/v1/csa/list", &[], Body::empty()).await;
    assert_eq!(method.refusal(), (405, "method_not_allowed".to_owned()));
    let typed = registry.call("POST", "/api/v1/csa/upload", &[("content-type", "text/plain")], "x").await;
    assert_eq!(typed.refusal(), (415, "not_a_form".to_owned()));
    let typed = registry.call("POST", "/api/v1/csa/1/quarantine", &[], "{}").await;
    assert_eq!(typed.refusal(), (415, "not_json".to_owned()));
    for (body, status, code) in [
        (json!({}), 422, "bad_body"),
        (json!({"reason": 1}), 422, "bad_body"),
        (json!({"reason": ""}), 400, "bad_text"),
        (json!({"reason": "a\u{0}b"}), 400, "bad_text"),
        (json!({"reason": "x".repeat(1001)}), 400, "bad_text"),
        (json!({"reason": "x", "by": "me"}), 422, "bad_body"),
    ] {
        let answer = registry.post("/api/v1/csa/1/quarantine", &body).await;
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{body}");
    }
    let good = Signed::version("1.0.0");
    let signature = ("signature", good.signature.as_str());
    let by = ("uploaded_by", "me");
    for (fields, file, code) in [
        (vec![signature], Some(&good.archive), "missing_field"),
        (vec![by], Some(&good.archive), "missing_field"),
        (vec![signature, by], None, "missing_field"),
        (vec![signature, by, by], Some(&good.archive), "unexpected_field"),
        (vec![signature, by, ("path", "/etc")], Some(&good.archive), "unexpected_field"),
        (vec![signature, by, ("parent", "x")], Some(&good.archive), "bad_digest"),
    ] {
        let answer = registry.upload_form(&form(file.map(Vec::as_slice), &fields)).await;
        assert_eq!(answer.refusal(), (400, code.to_owned()), "{:?}", answer.json());
    }
    let orphan = registry.upload_form(&good.form(&[("parent", &digest)])).await;
    assert_eq!(orphan.refusal(), (422, "unknown_parent".to_owned()));
    let announced = registry.upload_form(&good.form(&[("digest", &digest)])).await;
    assert_eq!(announced.refusal(), (422, "other_digest".to_owned()));
    assert!(registry.listed().await.is_empty());
}
