//! Backup and restore of a registry on PostgreSQL, with PostgreSQL's own programs.

use std::path::Path;

use crate::common::{Csactl, Setup, artifact, text, trust_file};
use serde_json::json;
use swarm_test_postgres::Server;

#[test]
fn a_backup_of_a_running_registry_on_postgresql_comes_back_whole() {
    let server = Server::shared().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (data, new, place) =
        (folder.path().join("data"), folder.path().join("new"), folder.path().join("backups"));
    let trust = trust_file(folder.path());
    let on =
        |address: &str, data: &Path| Setup { database_url: address.to_owned(), ..Setup::local(data) }.start();
    let csactl_on = |address: &str, data: &Path, registry: &str| {
        Csactl::at(registry)
            .with("DATABASE_URL", address)
            .with("REGISTRY_DATA_PATH", text(data))
            .with("BACKUP_PLACE", text(&place))
    };
    let old = server.database().unwrap();
    let registry = on(&old, &data);
    let csactl = csactl_on(&old, &data, &registry.address);
    csactl.json(&["upload", text(&artifact(folder.path(), "1.0.0"))]);
    csactl.json(&["upload", text(&artifact(folder.path(), "1.1.0"))]);
    csactl.json(&["quarantine", "2", "--reason", "drops the peg"]);
    // The same place, named by its parts as the registry may be told it.
    let (user, rest) = old.strip_prefix("postgresql://").unwrap().split_once('@').unwrap();
    let ((user, password), (host, name)) = (user.split_once(':').unwrap(), rest.split_once('/').unwrap());
    let parts = Csactl::at(&registry.address)
        .with("DATABASE_HOST", host.split(':').next().unwrap())
        .with("DATABASE_PORT", host.split(':').nth(1).unwrap())
        .with("DATABASE_NAME", name)
        .with("DATABASE_USER", user)
        .with("DATABASE_PASSWORD", password.replace("%20", " "))
        .with("REGISTRY_DATA_PATH", text(&data))
        .with("BACKUP_PLACE", text(&folder.path().join("by_parts")));
    assert_eq!(parts.json(&["backup"])["artifacts"], 2);
    let (list, audit) = (csactl.json(&["list"]), csactl.json(&["audit", "verify"]));
    let taken = csactl.json(&["backup"]);
    assert_eq!(taken["artifacts"], 2);
    csactl.json(&["upload", text(&artifact(folder.path(), "1.2.0"))]);
    csactl.run(&["restore"]).says(2, &["has tables already", "not overwritten"]);
    drop(registry);

    let address = server.database().unwrap();
    let csactl = csactl_on(&address, &new, "http://127.0.0.1:1");
    let restored = csactl.json(&["restore", "--trust", text(&trust)]);
    assert_eq!((&restored["rows_lost"], &restored["artifacts_lost"]), (&json!(0), &json!(0)));
    let registry = on(&address, &new);
    let csactl = csactl_on(&address, &new, &registry.address);
    assert_eq!(csactl.json(&["list"]), list);
    assert_eq!(csactl.json(&["audit", "verify"])["head"], audit["head"]);
    // It goes on: numbers are not used again.
    assert_eq!(csactl.json(&["upload", text(&artifact(folder.path(), "1.3.0"))])["id"], 3);
    // A backup of PostgreSQL is none of SQLite.
    let sqlite = format!("sqlite:{}", folder.path().join("x.db").display());
    csactl_on(&sqlite, &folder.path().join("x"), "http://127.0.0.1:1")
        .run(&["restore"])
        .says(2, &["is of a postgresql database"]);
    // The password was on no command line, and is in nothing that was printed.
    let wrong = address.replace("correct%20horse", "hunter2");
    let ended = csactl_on(&wrong, &new, "http://127.0.0.1:1").run(&["backup"]).expect(2);
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("hunter2"), "{ended:?}");
}
