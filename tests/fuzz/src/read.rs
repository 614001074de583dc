//! Any headers are read the same through every carrier, and no carrier contradicts itself.

use carrier_core::Extraction;

use crate::compare::carried;
use crate::input::{Input, Plain};
use crate::message::{Message, with_message};

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    with_message!(input.byte(), read(input));
}

fn read<M: Message>(mut input: Input<'_>) {
    let (propagation, _) = input.propagation();
    let mut message = M::of(&input.headers());
    message.assert_consistent();
    let plain = Plain(message.readable());
    let found = message.inspect(&propagation);
    assert_eq!(seen(&found), seen(&propagation.inspect(&plain)), "{plain:?}");
    assert_eq!(carried(&message.extract(&propagation)), carried(found.context()), "{plain:?}");
}

/// The status without the protocol's name of a type, the context, and the contexts to link.
fn seen(found: &Extraction) -> String {
    let (status, cx) = (found.status(), carried(found.context()));
    format!("{} {:?} {cx} {:?}", status.label(), status.field(), found.links())
}
