//! Everything of rdkafka's that brings headers.

use rdkafka::Message;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, OwnedHeaders, OwnedMessage, ToBytes};
use rdkafka::producer::{BaseRecord, FutureRecord};
use rdkafka::util::IntoOpaque;

use crate::HeadersReader;

/// What a context can be extracted from: a message of rdkafka's, or its headers.
///
/// A type of your own that holds a message can implement it too.
#[diagnostic::on_unimplemented(
    message = "a context cannot be extracted from `{Self}`",
    note = "it can from `BorrowedMessage`, `OwnedMessage`, `BorrowedHeaders` and `OwnedHeaders`"
)]
pub trait ExtractFrom {
    /// The headers, as a carrier.
    fn reader(&self) -> HeadersReader<'_>;
}

impl ExtractFrom for BorrowedHeaders {
    fn reader(&self) -> HeadersReader<'_> {
        HeadersReader(Some(self))
    }
}

impl ExtractFrom for OwnedHeaders {
    fn reader(&self) -> HeadersReader<'_> {
        HeadersReader(Some(self.as_borrowed()))
    }
}

impl ExtractFrom for BorrowedMessage<'_> {
    fn reader(&self) -> HeadersReader<'_> {
        HeadersReader(self.headers())
    }
}

impl ExtractFrom for OwnedMessage {
    fn reader(&self) -> HeadersReader<'_> {
        HeadersReader(self.headers().map(OwnedHeaders::as_borrowed))
    }
}

/// For tests, and for a record that comes back unsent.
impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized> ExtractFrom for FutureRecord<'_, K, P> {
    fn reader(&self) -> HeadersReader<'_> {
        HeadersReader(self.headers.as_ref().map(OwnedHeaders::as_borrowed))
    }
}

/// For tests, and for a record that comes back unsent.
impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized, D: IntoOpaque> ExtractFrom for BaseRecord<'_, K, P, D> {
    fn reader(&self) -> HeadersReader<'_> {
        HeadersReader(self.headers.as_ref().map(OwnedHeaders::as_borrowed))
    }
}

impl<T: ExtractFrom + ?Sized> ExtractFrom for &T {
    fn reader(&self) -> HeadersReader<'_> {
        (**self).reader()
    }
}
