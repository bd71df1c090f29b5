//! Roles of skills that nobody signs anew, beside skills that are kept up.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::{Setup, exchange, get, text};
use crate::publish::Bed;
use serde_json::json;
use swarm_artifact::private_key_from_pem;
use swarm_store::unix_now;
use swarm_tuf::repository::{Lifetimes, Repository, Stored};
use swarm_tuf::{Ed25519Signer, Moment, Signer as _};

const HOUR_S: i64 = 3_600;

/// The registry's clock is two hours late, so that it takes what has expired for everybody else.
fn two_hours_ago() -> i64 {
    unix_now() - 2 * HOUR_S
}

/// A registry with the skills `cooperative_assembly` and `pick`; gives their keys.
fn two_skills() -> (Bed, String, String) {
    let bed = Bed::with(|setup| Setup { now_unix: two_hours_ago, ..setup });
    let assembly = bed.skill_key();
    let pick = text(&bed.path("pick.pem")).to_owned();
    bed.csactl.run(&["keys", "skill", "pick", "--key", &bed.key("targets-1.pem"), "--out", &pick]).expect(0);
    (bed, assembly, pick)
}

/// What `csactl` believes of the image repository.
fn believed(bed: &Bed, roles: &[&str]) -> Stored {
    let read =
        |role: &str| std::fs::read(bed.path("ceremony/cells/image").join(format!("{role}.json"))).unwrap();
    let roles: BTreeMap<_, _> = roles.iter().map(|role| ((*role).to_owned(), read(role))).collect();
    Stored { root: read("root"), timestamp: read("timestamp"), snapshot: read("snapshot"), roles }
}

/// Publishes the role of `pick` as it was signed two hours ago for one hour.
fn let_pick_expire(bed: &Bed, key: &str) {
    let lifetimes = Lifetimes { root_s: HOUR_S, targets_s: HOUR_S, snapshot_s: HOUR_S, timestamp_s: HOUR_S };
    let stored = believed(bed, &["targets", "cooperative_assembly", "pick"]);
    let repository = Repository::open(&stored, lifetimes).unwrap();
    let mut draft = repository.draft_role("pick", Moment(two_hours_ago())).unwrap();
    let key = private_key_from_pem(&std::fs::read_to_string(Path::new(key)).unwrap()).unwrap();
    let signer = Ed25519Signer::new(key);
    draft.add(signer.public().id(), &signer.sign(&draft.signing_bytes()).unwrap());
    let text = String::from_utf8(draft.to_bytes()).unwrap();
    let body = json!({"files": [{"role": "pick", "text": text}]}).to_string();
    let (status, answer) = exchange(&bed.registry.address, "POST /api/v1/update/image/publish", &body);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    bed.csactl.run(&["keys", "show"]).says(1, &["pick", "(expired)"]);
}

#[test]
fn a_skill_whose_role_has_expired_keeps_nobody_from_withdrawing_an_artifact_of_another() {
    let (bed, assembly, pick) = two_skills();
    bed.upload("1.0.0");
    bed.publish("1.0.0", &assembly).expect(0);
    let_pick_expire(&bed, &pick);
    bed.csactl.run(&["withdraw", "cooperative_assembly", "1.0.0", "--key", &assembly]).expect(0);
    bed.csactl.run(&["withdraw", "pick", "1.0.0", "--key", &pick]).says(1, &["freeze: pick expired"]);
}

#[test]
fn a_role_that_has_expired_gets_other_keys() {
    let (bed, _, pick) = two_skills();
    let_pick_expire(&bed, &pick);
    let (targets, online) =
        (bed.key("targets-1.pem"), text(&bed.path("ceremony/registry/online.pem")).to_owned());
    let rotate = ["keys", "rotate", "pick", "--new-key", &online, "--key", &targets, "--key", &online];
    bed.csactl.run(&rotate).expect(0);
    bed.csactl.run(&["keys", "show"]).expect(0);
}

#[test]
fn a_skill_that_is_given_up_is_retired_without_its_key_and_nobody_is_told_to_renew_it() {
    let (bed, assembly, pick) = two_skills();
    let_pick_expire(&bed, &pick);
    let is_watched = || {
        let (_, page) = get(&bed.registry.address, "/metrics");
        String::from_utf8(page).unwrap().contains(r#"role="pick""#)
    };
    assert!(is_watched());
    let targets = bed.key("targets-1.pem");
    bed.csactl.run(&["keys", "retire", "pick", "--key", &assembly]).says(1, &["not_believed"]);
    bed.csactl.run(&["keys", "retire", "pick", "--key", &targets]).says(0, &["published in the image"]);
    bed.csactl
        .run(&["keys", "retire", "pick", "--key", &targets])
        .says(2, &["there is no skill pick to retire"]);
    bed.csactl.run(&["keys", "show"]).says(0, &["cooperative_assembly"]);
    assert!(!is_watched());
    let anew = bed.path("anew.pem");
    bed.csactl.run(&["keys", "skill", "pick", "--key", &targets, "--out", text(&anew)]).expect(0);
    assert!(is_watched());
}
