//! Bounded reading and writing of fixed-width big-endian fields. In: received bytes. Out: values.
//! Invariant: a reader never looks past its slice, never allocates by a received number alone, and
//! a complete decode refuses trailing bytes.
//! Specification: protocol/SPEC.md, "Encoding of bodies".

/// Why bytes could not be decoded; names the element, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end inside an element.
    #[error("the data end inside {0}")]
    Short(&'static str),
    /// Bytes are left after the last element.
    #[error("unexpected bytes after {0}")]
    Trailing(&'static str),
    /// A length or count is over its limit.
    #[error("{0} is over its limit")]
    OverLimit(&'static str),
    /// An element has a value outside its set.
    #[error("{0} has a value outside its set")]
    BadValue(&'static str),
}

/// Reads a slice from front to back.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], CodecError> {
        let (head, tail) = self
            .0
            .split_at_checked(len)
            .ok_or(CodecError::Short(what))?;
        self.0 = tail;
        Ok(head)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CodecError> {
        let (head, tail) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(CodecError::Short(what))?;
        self.0 = tail;
        Ok(*head)
    }

    /// A byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, CodecError> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    /// A big-endian 16-bit number.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, CodecError> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    /// A big-endian 32-bit number.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, CodecError> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    /// A big-endian 64-bit number.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, CodecError> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    /// `u16 length ‖ bytes`.
    pub fn short_bytes(&mut self, what: &'static str) -> Result<&'a [u8], CodecError> {
        let len = self.u16(what)?;
        self.take(usize::from(len), what)
    }

    /// `u16 length ‖ UTF-8 text`.
    pub fn short_text(&mut self, what: &'static str) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.short_bytes(what)?).map_err(|_| CodecError::BadValue(what))
    }

    /// Bytes not yet read.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Ends the decode: no byte may be left.
    pub fn finish(self, what: &'static str) -> Result<(), CodecError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(CodecError::Trailing(what))
        }
    }
}

/// Appends `u16 length ‖ bytes`; refuses more than 65,535 bytes.
pub fn put_short_bytes(
    out: &mut Vec<u8>,
    bytes: &[u8],
    what: &'static str,
) -> Result<(), CodecError> {
    let len = u16::try_from(bytes.len()).map_err(|_| CodecError::OverLimit(what))?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_written_and_nothing_more() {
        let mut bytes = Vec::new();
        put_short_bytes(&mut bytes, b"ab", "t").unwrap();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.short_text("t").unwrap(), "ab");
        assert_eq!(reader.u8("t"), Err(CodecError::Short("t")));
        let mut reader = Reader::new(&bytes);
        reader.u8("t").unwrap();
        assert_eq!(reader.finish("t"), Err(CodecError::Trailing("t")));
        assert_eq!(
            Reader::new(&[0, 9, 1]).short_bytes("t"),
            Err(CodecError::Short("t"))
        );
    }
}
