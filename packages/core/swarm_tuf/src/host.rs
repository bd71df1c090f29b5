//! The loop over a client's steps, for hosts that wait for each of them.

use crate::client::{Answer, Client, Fetch, Step};
use crate::names::TargetPath;
use crate::refusal::Refusal;
use crate::target::Target;

/// Where a client's steps are carried out. [`refresh`] and [`find`] are the loop; an asynchronous host writes it with [`Client::step`].
pub trait Host {
    type Error: From<Refusal>;

    /// A file of the local folder, if it is there.
    fn load(&mut self, file: &str) -> Result<Option<Vec<u8>>, Self::Error>;

    /// A file of the server, if it says that it has it.
    fn fetch(&mut self, fetch: &Fetch) -> Result<Option<Vec<u8>>, Self::Error>;

    fn store(&mut self, file: &str, bytes: &[u8]) -> Result<(), Self::Error>;

    fn remove(&mut self, file: &str) -> Result<(), Self::Error>;
}

/// Brings the top-level roles up to date.
pub fn refresh<H: Host>(client: &mut Client, host: &mut H) -> Result<(), H::Error> {
    run(client, host).map(|_| ())
}

/// Looks for a target after [`refresh`].
pub fn find<H: Host>(client: &mut Client, host: &mut H, path: &TargetPath) -> Result<Target, H::Error> {
    client.search(path);
    match run(client, host)? {
        Some(target) => Ok(target),
        None => Err(Refusal::NoSuchTarget { path: path.to_string() }.into()),
    }
}

fn run<H: Host>(client: &mut Client, host: &mut H) -> Result<Option<Target>, H::Error> {
    let answered = |bytes: Option<Vec<u8>>| bytes.map_or(Answer::Missing, Answer::Bytes);
    let mut answer = Answer::Done;
    loop {
        answer = match client.step(answer)? {
            Step::Load { file } => answered(host.load(&file)?),
            Step::Fetch(fetch) => answered(host.fetch(&fetch)?),
            Step::Store { file, bytes } => {
                host.store(&file, &bytes)?;
                Answer::Done
            }
            Step::Remove { file } => {
                host.remove(&file)?;
                Answer::Done
            }
            Step::Refreshed => return Ok(None),
            Step::Found(target) => return Ok(Some(*target)),
        };
    }
}
