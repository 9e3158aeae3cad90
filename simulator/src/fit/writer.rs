//! The binary form of a FIT file, after the public FIT protocol: a header of 14 bytes, the messages, a checksum.
//!
//! A message's shape (which fields, of which type) is defined once under a local number; data messages of that number
//! hold values only. A value that is missing is written as the one value of its type that means so.

/// Second 0 of FIT, 1989-12-31T00:00:00Z, in Unix seconds.
pub(super) const EPOCH: i64 = 631_065_600;

/// Bytes of the header with its own checksum.
const HEADER_BYTES: u8 = 14;

/// Version 2.0 of the protocol: the major number in the upper four bits.
const PROTOCOL_VERSION: u8 = 0x20;

/// Version 21.32 of the profile, which numbers the messages and their fields.
const PROFILE_VERSION: u16 = 2132;

/// The bit of a message's first byte that tells a definition from data.
const DEFINITION: u8 = 0x40;

/// A kind of message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Its number within this file, below 16.
    pub(super) local: u8,
    /// Its number in the profile.
    pub(super) global: u16,
}

/// A field's value, by its type in the file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    Enum(u8),
    Int8(Option<i8>),
    Uint8(Option<u8>),
    Uint16(Option<u16>),
    Int32(Option<i32>),
    Uint32(Option<u32>),
    /// Without a zero, which means that it is missing.
    Uint32z(u32),
}

impl Value {
    /// A moment in Unix seconds; what FIT cannot tell is the nearest that it can.
    pub(super) fn moment(unix_seconds: i64) -> Self {
        let seconds = (unix_seconds - EPOCH).clamp(0, i64::from(u32::MAX - 1));
        Self::Uint32(u32::try_from(seconds).ok())
    }

    /// The number of its type in the protocol.
    const fn base_type(self) -> u8 {
        match self {
            Self::Enum(_) => 0x00,
            Self::Int8(_) => 0x01,
            Self::Uint8(_) => 0x02,
            Self::Uint16(_) => 0x84,
            Self::Int32(_) => 0x85,
            Self::Uint32(_) => 0x86,
            Self::Uint32z(_) => 0x8c,
        }
    }

    fn write(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Enum(value) => bytes.push(value),
            Self::Int8(value) => bytes.extend(value.unwrap_or(i8::MAX).to_le_bytes()),
            Self::Uint8(value) => bytes.push(value.unwrap_or(u8::MAX)),
            Self::Uint16(value) => bytes.extend(value.unwrap_or(u16::MAX).to_le_bytes()),
            Self::Int32(value) => bytes.extend(value.unwrap_or(i32::MAX).to_le_bytes()),
            Self::Uint32(value) => bytes.extend(value.unwrap_or(u32::MAX).to_le_bytes()),
            Self::Uint32z(value) => bytes.extend(value.to_le_bytes()),
        }
    }

    const fn size(self) -> u8 {
        match self {
            Self::Enum(_) | Self::Int8(_) | Self::Uint8(_) => 1,
            Self::Uint16(_) => 2,
            Self::Int32(_) | Self::Uint32(_) | Self::Uint32z(_) => 4,
        }
    }
}

/// A field of a message: its number in the profile, and its value.
pub(super) type Field = (u8, Value);

/// Writes messages behind each other.
#[derive(Debug, Default)]
pub(super) struct Writer {
    messages: Vec<u8>,
    defined: [Vec<u8>; 16],
}

impl Writer {
    /// Appends a message, and its definition where the last of its kind had another shape.
    pub(super) fn message(&mut self, kind: Kind, fields: &[Field]) {
        let definition = definition(kind, fields);
        let defined = &mut self.defined[usize::from(kind.local)];
        if *defined != definition {
            self.messages.extend(&definition);
            *defined = definition;
        }
        self.messages.push(kind.local);
        fields.iter().for_each(|(_, value)| value.write(&mut self.messages));
    }

    /// The whole file.
    pub(super) fn finish(self) -> Vec<u8> {
        let size = u32::try_from(self.messages.len()).unwrap_or(u32::MAX);
        let mut file = vec![HEADER_BYTES, PROTOCOL_VERSION];
        file.extend(PROFILE_VERSION.to_le_bytes());
        file.extend(size.to_le_bytes());
        file.extend(b".FIT");
        file.extend(checksum(&file).to_le_bytes());
        file.extend(&self.messages);
        file.extend(checksum(&file).to_le_bytes());
        file
    }
}

fn definition(kind: Kind, fields: &[Field]) -> Vec<u8> {
    const RESERVED: u8 = 0;
    const LITTLE_ENDIAN: u8 = 0;
    let mut definition = vec![DEFINITION | kind.local, RESERVED, LITTLE_ENDIAN];
    definition.extend(kind.global.to_le_bytes());
    definition.push(fields.len() as u8);
    definition.extend(fields.iter().flat_map(|(number, value)| [*number, value.size(), value.base_type()]));
    definition
}

/// CRC-16 with the reflected polynomial 0xA001 that begins with 0. That of a header followed by its own checksum is
/// 0, so the file's may be taken over everything before it.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |checksum, byte| {
        (0..8).fold(checksum ^ u16::from(*byte), |sum, _| (sum >> 1) ^ (0xa001 * (sum & 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn the_checksum_is_that_of_the_catalogue_of_crcs() {
        assert_eq!(checksum(b"123456789"), 0xbb3d, "CRC-16/ARC");
    }
}
