//! The loop: views and keys in, the screen or lines out.

use std::io::{IsTerminal as _, Write};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use crate::app::{App, Key};
use crate::client::{Client, ClientError};
use crate::{draw, text};

/// Longest time for connecting, and for the first view.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time between two looks at the keyboard.
const GLANCE: Duration = Duration::from_millis(30);

/// Time between two tries to connect again.
const RECONNECT: Duration = Duration::from_secs(1);

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The screen on a terminal; elsewhere lines, once.
    Screen,
    /// One view as lines.
    Once,
    /// One view as JSON.
    OnceJson,
    /// Every view as a line of JSON, until the connection or the reader ends.
    Json,
}

/// Why watching ended.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{address} has sent no view within {} s", PATIENCE.as_secs())]
    Silent { address: String },
    #[error("the terminal cannot be used: {0}")]
    Terminal(std::io::Error),
}

/// Watches the runtime at `host:port` until it is told to stop.
pub fn watch(address: &str, output: Output) -> Result<(), WatchError> {
    let mut client = Client::connect(address, PATIENCE)?;
    let mut out = std::io::stdout();
    match output {
        Output::Screen if out.is_terminal() => screen(address, client),
        Output::Screen | Output::Once => {
            let view = first(&mut client, address)?;
            finish(write!(out, "{}", text::lines(&view)))
        }
        Output::OnceJson => {
            let view = first(&mut client, address)?;
            finish(writeln!(out, "{}", as_json(&view)))
        }
        Output::Json => loop {
            if let Some(view) = client.next(PATIENCE)?
                && let Err(error) = writeln!(out, "{}", as_json(&view))
            {
                return finish(Err(error));
            }
        },
    }
}

fn as_json(view: &swarm_view::CellView) -> String {
    // Numbers that are not finite are absent from a view; there is nothing else that JSON cannot say.
    serde_json::to_string(view).unwrap_or_default()
}

/// A reader that has had enough (`| head`) is no error.
fn finish(written: std::io::Result<()>) -> Result<(), WatchError> {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(WatchError::Terminal(error)),
        _ => Ok(()),
    }
}

fn first(client: &mut Client, address: &str) -> Result<swarm_view::CellView, WatchError> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(view) = client.next(GLANCE)? {
            return Ok(view);
        }
    }
    Err(WatchError::Silent { address: address.to_owned() })
}

/// Draws until `q`. A runtime that goes away is waited for.
fn screen(address: &str, client: Client) -> Result<(), WatchError> {
    let mut terminal = ratatui::try_init().map_err(WatchError::Terminal)?;
    let result = follow(&mut terminal, address, client);
    ratatui::restore();
    result
}

fn follow(terminal: &mut ratatui::DefaultTerminal, address: &str, client: Client) -> Result<(), WatchError> {
    let mut app = App::default();
    let mut client = Some(client);
    let mut tried = Instant::now();
    while !app.wants_to_quit() {
        match &mut client {
            Some(connected) => match connected.next(GLANCE) {
                Ok(view) => view.into_iter().for_each(|view| app.timeline.add(view)),
                Err(error) => {
                    app.trouble = error.to_string();
                    client = None;
                }
            },
            None if tried.elapsed() >= RECONNECT => {
                tried = Instant::now();
                client = Client::connect(address, RECONNECT).ok();
                if client.is_some() {
                    app.trouble.clear();
                }
            }
            None => std::thread::sleep(GLANCE),
        }
        terminal.draw(|frame| draw::draw(frame, &app)).map_err(WatchError::Terminal)?;
        while event::poll(Duration::ZERO).map_err(WatchError::Terminal)? {
            if let Some(key) = meaning(&event::read().map_err(WatchError::Terminal)?) {
                app.press(key);
            }
        }
    }
    Ok(())
}

/// What a key means; most mean nothing.
fn meaning(event: &Event) -> Option<Key> {
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    Some(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::Quit,
        KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
        KeyCode::Char(' ' | 'p') => Key::Pause,
        KeyCode::Left | KeyCode::Char('h') => Key::Earlier,
        KeyCode::Right | KeyCode::Char('l') => Key::Later,
        KeyCode::End => Key::Now,
        KeyCode::Char('+') => Key::ZoomIn,
        KeyCode::Char('-') => Key::ZoomOut,
        _ => return None,
    })
}
