//! Any context is written into any headers: the fields are replaced at once and everything else stays.

use carrier_core::InjectionOutcome;

use crate::compare::carried;
use crate::input::{Header, Input, Value};
use crate::message::{Message, with_message};

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    with_message!(input.byte(), write(input));
}

fn write<M: Message>(mut input: Input<'_>) {
    let (propagation, fields) = input.propagation();
    let cx = input.context();
    let headers = input.headers();
    let mut message = M::of(&headers);
    let before = message.list();
    // A context that came with headers keeps more than OpenTelemetry's types hold.
    let cx = if headers.len() % 4 == 3 { message.extract(&propagation) } else { cx };
    let report = message.inject(&propagation, &cx);
    if matches!(report.outcome(), InjectionOutcome::Kept | InjectionOutcome::LeftAlone) {
        assert!(before.iter().any(|(name, _)| M::is_one_of(fields, name)));
        assert_eq!(message.list(), before);
        return;
    }

    // What is written does not depend on what the message held.
    let mut empty = M::of(&[]);
    let in_empty = empty.inject(&propagation, &cx);
    assert_eq!((report.bytes(), report.dropped()), (in_empty.bytes(), in_empty.dropped()));
    let added = empty.list();
    assert!(report.fields().eq(in_empty.fields()) && report.fields().len() == added.len());
    for (name, value) in &added {
        let Value::Bytes(value) = value else { panic!("{name:?} is not text") };
        assert!(
            !value.is_empty() && value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')),
            "{value:?}"
        );
    }
    let kept = before.into_iter().filter(|(name, _)| !M::is_one_of(fields, name));
    let expected = ordered::<M>(kept.chain(added).collect());
    assert_eq!(ordered::<M>(message.list()), expected);
    assert_eq!(carried(&message.extract(&propagation)), carried(&empty.extract(&propagation)));
    message.assert_consistent();
}

fn ordered<M: Message>(mut headers: Vec<Header>) -> Vec<Header> {
    if !M::IS_LIST {
        headers.sort();
    }
    headers
}
