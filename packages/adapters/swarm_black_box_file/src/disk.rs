//! The folder that recordings lie in, as far as the recorder needs one; a trait, so that tests can let it fail.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

/// A folder of files.
pub trait Disk: Send + fmt::Debug {
    /// Tries whether a file of a segment's size can be made, written and kept; leaves nothing behind.
    fn probe(&mut self) -> io::Result<()>;
    /// Makes a file that is not there yet.
    fn create(&mut self, name: &str) -> io::Result<Box<dyn Output>>;
    /// Names and sizes of all files.
    fn list(&mut self) -> io::Result<Vec<(String, u64)>>;
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>>;
    /// The first bytes of a file, at most so many.
    fn read_start(&mut self, name: &str, most: usize) -> io::Result<Vec<u8>>;
    /// Gives a file another name, which no file has yet, and which survives the computer.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A file that is being written.
pub trait Output: Send + fmt::Debug {
    /// Hands bytes to the system: they survive the process.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Waits until the disk has them: they survive the computer.
    fn sync(&mut self) -> io::Result<()>;
}

/// About what a segment of three arms takes up.
const PROBE_BYTES: usize = 256 << 10;

/// A folder of the file system, made if it is missing.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Disk for Folder {
    fn probe(&mut self) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let path = self.0.join(".probe");
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&vec![0; PROBE_BYTES])?;
            // Before that only memory was written.
            file.sync_data()
        });
        // One that could not be written whole may still be there.
        let removed = fs::remove_file(&path);
        written.and(removed)
    }

    fn create(&mut self, name: &str) -> io::Result<Box<dyn Output>> {
        fs::create_dir_all(&self.0)?;
        Ok(Box::new(FileOutput(File::create_new(self.0.join(name))?)))
    }

    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let data = entry.metadata()?;
            if data.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                files.push((name, data.len()));
            }
        }
        Ok(files)
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.0.join(name))?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read_start(&mut self, name: &str, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.0.join(name))?.take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let to = self.0.join(to);
        // Two recorders in one folder are a mistake; neither may destroy what the other one has.
        if to.try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(self.0.join(from), to)?;
        File::open(&self.0)?.sync_all()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }
}

#[derive(Debug)]
struct FileOutput(File);

impl Output for FileOutput {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
