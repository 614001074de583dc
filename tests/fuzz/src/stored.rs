//! Stored contexts: any text is parsed, and what is serialised is parsed back.

use carrier_core::StoredContext;

use crate::compare::carried;
use crate::input::Input;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let format = input.byte() % 6;
    let stored = match format {
        0 => Some(StoredContext::from_properties(&String::from_utf8_lossy(input.0))),
        1 => Some(StoredContext::capture(&input.context())),
        2 => serde_json::from_slice(input.0).ok(),
        3 => ciborium::from_reader(input.0).ok(),
        4 => rmp_serde::from_slice(input.0).ok(),
        _ => postcard::from_bytes(input.0).ok(),
    };
    let Some(stored) = stored else { return };
    let parsed = match format {
        0 | 1 => StoredContext::from_properties(&stored.to_properties()),
        2 => serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap(),
        3 => {
            let mut bytes = Vec::new();
            ciborium::into_writer(&stored, &mut bytes).unwrap();
            ciborium::from_reader(&bytes[..]).unwrap()
        }
        4 => rmp_serde::from_slice(&rmp_serde::to_vec(&stored).unwrap()).unwrap(),
        _ => postcard::from_bytes(&postcard::to_allocvec(&stored).unwrap()).unwrap(),
    };
    assert_eq!(parsed, stored);
    let cx = stored.extract();
    assert_eq!(carried(&StoredContext::capture(&cx).extract()), carried(&cx));
}
