//! The server: one port, one mount point for each stream, a thread for its connections.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;

use gstreamer::Bin;
use gstreamer::glib::{MainContext, MainLoop};
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use gstreamer_rtsp_server::prelude::*;
use gstreamer_rtsp_server::{RTSPFilterResult, RTSPMedia, RTSPMediaFactory, RTSPServer, RTSPSuspendMode};

use crate::coding::{ELEMENTS, SOURCE, line};
use crate::{Feed, Stream};

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("GStreamer does not start: {0}")]
    Gstreamer(String),
    #[error(
        "GStreamer has no {}; install {}",
        .0.iter().map(|(element, _)| *element).collect::<Vec<_>>().join(", "),
        .0.iter().map(|(_, package)| *package).collect::<Vec<_>>().join(" ")
    )]
    Missing(Vec<(&'static str, &'static str)>),
    #[error(
        "the stream '{name}' cannot be {width}x{height} at {rate_hz} Hz: a name of letters, digits, _ and - was expected, even \
         sizes from 16 to 4096, and 1 to 120 Hz"
    )]
    Stream { name: String, width: u32, height: u32, rate_hz: u32 },
    #[error("two streams are called '{0}'")]
    Twice(String),
    #[error("cannot listen at {address}: {reason}")]
    Listen { address: SocketAddr, reason: String },
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// A running server; connections end with it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    main_loop: MainLoop,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `streams` at `address`, whose port 0 is a free one. Feeds come in the order of the streams.
    pub fn start(address: SocketAddr, streams: &[Stream]) -> Result<(Self, Vec<Feed>), ServeError> {
        check(streams)?;
        gstreamer::init().map_err(|error| ServeError::Gstreamer(error.to_string()))?;
        let missing: Vec<_> = ELEMENTS
            .into_iter()
            .filter(|(element, _)| gstreamer::ElementFactory::find(element).is_none())
            .collect();
        if !missing.is_empty() {
            return Err(ServeError::Missing(missing));
        }

        let server = RTSPServer::new();
        server.set_address(&address.ip().to_string());
        server.set_service(&address.port().to_string());
        let mounts = server.mount_points().unwrap_or_default();
        let feeds: Vec<Feed> = streams.iter().cloned().map(Feed::new).collect();
        for feed in &feeds {
            mounts.add_factory(&format!("/{}", feed.stream().name), factory(feed));
        }
        server.set_mount_points(Some(&mounts));

        let context = MainContext::new();
        let main_loop = MainLoop::new(Some(&context), false);
        let (started, port) = mpsc::channel();
        let run = main_loop.clone();
        let serve = move || {
            // Its sources belong to the thread that runs the loop.
            let attached = context.with_thread_default(|| server.attach(Some(&context)));
            let source = match attached {
                Ok(Ok(source)) => source,
                Ok(Err(error)) | Err(error) => {
                    let _ = started.send(Err(error.to_string())); // the starter waits for it
                    return;
                }
            };
            let _ = started.send(Ok(server.bound_port()));
            run.run();
            server.client_filter(Some(&mut |_, _| RTSPFilterResult::Remove));
            if let Some(source) = context.find_source_by_id(&source) {
                source.destroy(); // it stops to listen
            }
        };
        let thread =
            std::thread::Builder::new().name("rtsp".to_owned()).spawn(serve).map_err(ServeError::Thread)?;
        let bound = port.recv().unwrap_or_else(|_| Err("its thread ended".to_owned()));
        let port = bound.and_then(|port| u16::try_from(port).map_err(|_| format!("it has the port {port}")));
        match port {
            Ok(port) => {
                let address = SocketAddr::new(address.ip(), port);
                Ok((Self { address, main_loop, thread: Some(thread) }, feeds))
            }
            Err(reason) => Err(ServeError::Listen { address, reason }),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a stream is found.
    pub fn url(&self, stream: &Stream) -> String {
        format!("rtsp://{}/{}", self.address, stream.name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.main_loop.quit();
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed where it happened.
            let _ = thread.join();
        }
    }
}

fn check(streams: &[Stream]) -> Result<(), ServeError> {
    for (index, stream) in streams.iter().enumerate() {
        let Stream { name, width, height, rate_hz } = stream;
        let named = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        let sized = [width, height].into_iter().all(|size| (16..=4096).contains(size) && size % 2 == 0);
        if !named || !sized || !(1..=120).contains(rate_hz) {
            return Err(ServeError::Stream {
                name: name.clone(),
                width: *width,
                height: *height,
                rate_hz: *rate_hz,
            });
        }
        if streams[..index].iter().any(|other| other.name == *name) {
            return Err(ServeError::Twice(name.clone()));
        }
    }
    Ok(())
}

/// All viewers of a stream share one pipeline, which is there while somebody watches.
fn factory(feed: &Feed) -> RTSPMediaFactory {
    let factory = RTSPMediaFactory::new();
    factory.set_launch(&line(feed.stream()));
    factory.set_shared(true);
    // The line begins anew when the viewer says PLAY. Else the first frames would be those of DESCRIBE, which have waited since,
    // and a recorder takes what is seconds old for a clock that jumps.
    factory.set_suspend_mode(RTSPSuspendMode::Reset);
    let feed = feed.clone();
    factory.connect_media_configure(move |_, media| configure(media, &feed));
    factory
}

fn configure(media: &RTSPMedia, feed: &Feed) {
    let line = media.element();
    let source = line.downcast_ref::<Bin>().and_then(|bin| bin.by_name(SOURCE));
    let Some(source) = source.and_then(|source| source.downcast::<AppSrc>().ok()) else {
        tracing::error!("the stream {} has no inlet", feed.stream().name);
        return;
    };
    feed.connect(Some(source.clone()));
    let feed = feed.clone();
    media.connect_unprepared(move |_| feed.disconnect(&source));
}
