//! The newest value, from one thread to another: sensor values, where only the last one counts.

/// A cell that holds `first` until something is written.
pub fn newest<T: Clone + Send>(first: &T) -> (Writer<T>, Reader<T>) {
    let (input, output) = triple_buffer::TripleBuffer::new(first).split();
    (Writer { input }, Reader { output })
}

/// The end that writes.
#[derive(Debug)]
pub struct Writer<T: Send> {
    input: triple_buffer::Input<T>,
}

/// The end that reads.
#[derive(Debug)]
pub struct Reader<T: Send> {
    output: triple_buffer::Output<T>,
}

impl<T: Send> Writer<T> {
    /// Replaces the value; an older one that was never read is dropped here.
    pub fn write(&mut self, value: T) {
        self.input.write(value);
    }
}

impl<T: Send> Reader<T> {
    /// The newest value.
    pub fn read(&mut self) -> &T {
        self.output.read()
    }

    /// The newest value, if it was written since the last look.
    pub fn fresh(&mut self) -> Option<&T> {
        self.output.update().then(|| self.output.output_buffer())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn only_the_newest_counts_and_is_fresh_once() {
        let (mut writer, mut reader) = newest(&0);
        assert_eq!(*reader.read(), 0);
        assert_eq!(reader.fresh(), None);
        writer.write(1);
        writer.write(2);
        assert_eq!(reader.fresh(), Some(&2));
        assert_eq!(reader.fresh(), None);
        assert_eq!(*reader.read(), 2);
    }

    #[test]
    fn a_reader_never_sees_a_torn_or_an_older_value() {
        let (mut writer, mut reader) = newest(&[0u64; 32]);
        let writing = thread::spawn(move || (1..=200_000).for_each(|n| writer.write([n; 32])));
        let mut last = 0;
        while last < 200_000 {
            let value = reader.read();
            assert!(value.iter().all(|part| *part == value[0]) && value[0] >= last, "{value:?} after {last}");
            last = value[0];
        }
        writing.join().unwrap();
    }
}
