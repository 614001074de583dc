//! The attribute of a message's key.

use carrier_core::instrumentation::{Details, attribute};
use sha2::{Digest as _, Sha256};

/// Bytes of the hash that are kept: 128 bits, which makes a collision unlikely.
const KEPT: usize = 16;

/// What spans contain of a message's key: `messaging.kafka.message.key`.
///
/// A key is often the id of a person or a customer, so the default is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MessageKey {
    /// Nothing.
    #[default]
    Off,
    /// The first 128 bits of its SHA-256, as 32 lower-case hexadecimal digits. It is the same in every program and release.
    ///
    /// Equal keys have equal hashes. If there are few possible keys, for example numbers, they can be guessed from the hash.
    Hashed,
    /// The key itself if it is UTF-8; nothing otherwise, because there is no common text form of bytes.
    Plain,
}

impl MessageKey {
    /// The attribute's value; `None` if the key is null.
    pub(super) fn text(self, key: Option<&[u8]>) -> Option<String> {
        let key = key?;
        match self {
            Self::Off => None,
            Self::Hashed => Some(hex(&Sha256::digest(key)[..KEPT])),
            Self::Plain => std::str::from_utf8(key).ok().map(str::to_owned),
        }
    }

    pub(super) fn describe(self, key: Option<&[u8]>, details: &mut Details<'_>) {
        if let Some(text) = self.text(key) {
            details.set(attribute::MESSAGING_KAFKA_MESSAGE_KEY, text);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hashed_key_is_the_start_of_its_sha_256() {
        // As `printf 17 | sha256sum` has it.
        let expected = "4523540f1504cd17100c4835e85b7eef";
        assert_eq!(MessageKey::Hashed.text(Some(b"17")).as_deref(), Some(expected));
        assert_eq!(MessageKey::Hashed.text(Some(b"\xff")).map(|text| text.len()), Some(32));
    }

    #[test]
    fn a_plain_key_is_there_if_it_is_text() {
        assert_eq!(MessageKey::Plain.text(Some("Zoë".as_bytes())).as_deref(), Some("Zoë"));
        assert_eq!(MessageKey::Plain.text(Some(b"")).as_deref(), Some(""));
        assert_eq!(MessageKey::Plain.text(Some(b"a\xff")), None);
    }

    #[test]
    fn no_key_is_never_an_attribute() {
        for choice in [MessageKey::Off, MessageKey::Hashed, MessageKey::Plain] {
            assert_eq!(choice.text(None), None);
        }
        assert_eq!(MessageKey::default().text(Some(b"17")), None);
    }
}
