//! `cell watch` as a script sees it, against the server that the runtime has.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use swarm_foxglove::Server;
use swarm_view::{Activity, CellView, RoleView, SafetyView};

fn view() -> CellView {
    let role = RoleView {
        role: "leader".into(),
        robot: "ur5e_left".into(),
        phase: "fetch".into(),
        activity: Activity::Running,
        leaves: vec!["Leader/move to peg".into()],
        ..RoleView::default()
    };
    CellView {
        skill: "assembly@1.0.0".into(),
        run: "r1".into(),
        running: true,
        roles: vec![role],
        safety: SafetyView { state: "RUN".into(), epoch: 3, age_s: Some(0.0), ..SafetyView::default() },
        ..CellView::default()
    }
}

/// Runs `cell watch` beside a server that goes on showing the view.
fn watch(options: &[&str]) -> Output {
    let server = Server::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "test").unwrap();
    let address = server.address().to_string();
    let (done, output) = channel();
    std::thread::scope(|threads| {
        threads.spawn(move || done.send(cell(&address, options)));
        loop {
            server.show(&view());
            match output.recv_timeout(Duration::from_millis(5)) {
                Ok(output) => return output,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("`cell watch` could not be run"),
            }
        }
    })
}

fn cell(address: &str, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
    command.args(["watch", "--at", address]).args(options).output().unwrap()
}

#[test]
fn without_a_terminal_one_view_is_printed() {
    for options in [&[][..], &["--once"]] {
        let output = watch(options);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "skill assembly@1.0.0, run r1 is on\n\
             leader    ur5e_left    running      0 %  [fetch] Leader/move to peg\n\
             safety RUN epoch 3\n"
        );
    }
}

#[test]
fn json_is_the_view_itself() {
    let output = watch(&["--once", "--json"]);
    assert_eq!(serde_json::from_slice::<CellView>(&output.stdout).unwrap(), view());
}

#[test]
fn nobody_there_is_said_with_what_to_do() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = cell(&port.to_string(), &["--once"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with(&format!("error: cannot connect to {port}; the skill runtime serves there if")),
        "{said}"
    );
}
