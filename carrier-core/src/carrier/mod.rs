//! Layer 2: what headers can be read from and written to.

pub(crate) mod bounded;
mod env;
mod field;
mod fields;
#[cfg(feature = "http")]
mod http;
mod map;
mod status;
mod text_map;

pub use self::env::Environment;
pub use self::field::{FieldNames, FieldValue};
pub use self::fields::{FieldText, Fields, MessageSize};
pub use self::status::ExtractionStatus;
pub use self::text_map::{Conflict, TextMapCarrier, TextMapReader};
