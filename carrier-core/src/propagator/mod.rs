//! Layer 3: propagators over carriers, and the bridges to OpenTelemetry's interfaces.

mod extractor;
mod formats;
mod from_extractor;
mod injector;
mod inspect;
mod renamed;
mod w3c;

pub use self::extractor::AsExtractor;
pub use self::formats::Formats;
pub use self::from_extractor::FromExtractor;
pub use self::injector::AsInjector;
pub use self::renamed::Renamed;
pub use self::w3c::{W3c, w3c};
