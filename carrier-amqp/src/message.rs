//! Everything of lapin's that brings headers.

use lapin::BasicProperties;
use lapin::message::{BasicGetMessage, BasicReturnMessage, Delivery};
use lapin::types::FieldTable;

use crate::FieldTableReader;

/// What a context can be extracted from: a message of lapin's, its properties, or its headers.
///
/// A type of your own that holds a delivery can implement it too.
#[diagnostic::on_unimplemented(
    message = "a context cannot be extracted from `{Self}`",
    note = "it can from `Delivery`, `BasicGetMessage`, `BasicReturnMessage`, `BasicProperties` and `FieldTable`"
)]
pub trait ExtractFrom {
    /// The headers, as a carrier.
    fn reader(&self) -> FieldTableReader<'_>;
}

impl ExtractFrom for FieldTable {
    fn reader(&self) -> FieldTableReader<'_> {
        FieldTableReader(Some(self))
    }
}

impl ExtractFrom for BasicProperties {
    fn reader(&self) -> FieldTableReader<'_> {
        FieldTableReader(self.headers().as_ref())
    }
}

impl ExtractFrom for Delivery {
    fn reader(&self) -> FieldTableReader<'_> {
        self.properties.reader()
    }
}

impl ExtractFrom for BasicGetMessage {
    fn reader(&self) -> FieldTableReader<'_> {
        self.delivery.reader()
    }
}

impl ExtractFrom for BasicReturnMessage {
    fn reader(&self) -> FieldTableReader<'_> {
        self.delivery.reader()
    }
}

impl<T: ExtractFrom + ?Sized> ExtractFrom for &T {
    fn reader(&self) -> FieldTableReader<'_> {
        (**self).reader()
    }
}
