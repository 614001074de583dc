//! `error.type` of lapin's errors: a fixed set of names, AMQP's constants if there is one.

use carrier_core::instrumentation::Failure;
use lapin::message::BasicReturnMessage;
use lapin::{Error, ErrorKind};

/// The broker refused the message: `basic.nack`.
pub(super) fn refused() -> Failure {
    Failure::new("nack", "the broker did not take the message")
}

/// The broker returned the message as unroutable. The description is the broker's text.
pub(super) fn returned(message: &BasicReturnMessage) -> Failure {
    Failure::new(constant(message.reply_code), message.reply_text.as_str().to_owned())
}

/// The message was published in a transaction that was rolled back.
pub(super) fn rolled_back() -> Failure {
    Failure::new("rolled_back", "the transaction was rolled back")
}

/// The channel was closed before lapin answered.
pub(super) fn channel_closed() -> Failure {
    Failure::new("channel_closed", "the channel was closed before the message was settled")
}

pub(super) fn of(error: &Error) -> Failure {
    Failure::new(error_type(error.kind()), error.to_string())
}

fn error_type(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ProtocolError(error) => constant(error.get_id()),
        ErrorKind::ChannelsLimitReached => "channels-limit-reached",
        ErrorKind::InvalidProtocolVersion(_) => "invalid-protocol-version",
        ErrorKind::InvalidChannel(_) => "invalid-channel",
        ErrorKind::InvalidChannelState(..) => "invalid-channel-state",
        ErrorKind::InvalidConnectionState(_) => "invalid-connection-state",
        ErrorKind::IOError(_) | ErrorKind::RuntimeShutdownError(_) => "io-error",
        ErrorKind::ParsingError(_) => "parsing-error",
        ErrorKind::SerialisationError(_) => "serialisation-error",
        ErrorKind::MissingHeartbeatError => "missing-heartbeat",
        // The conventions' value for an error without a name.
        _ => "_OTHER",
    }
}

/// The constants of AMQP 0-9-1, section 1.2.
fn constant(reply_code: u16) -> &'static str {
    match reply_code {
        311 => "content-too-large",
        312 => "no-route",
        313 => "no-consumers",
        320 => "connection-forced",
        402 => "invalid-path",
        403 => "access-refused",
        404 => "not-found",
        405 => "resource-locked",
        406 => "precondition-failed",
        501 => "frame-error",
        502 => "syntax-error",
        503 => "command-invalid",
        504 => "channel-error",
        505 => "unexpected-frame",
        506 => "resource-error",
        530 => "not-allowed",
        540 => "not-implemented",
        541 => "internal-error",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPHardError, AMQPSoftError};

    use super::*;

    fn closed_with(kind: AMQPErrorKind) -> Failure {
        of(&ErrorKind::ProtocolError(AMQPError::new(kind, "the broker's words".into())).into())
    }

    #[test]
    fn a_broker_error_has_the_name_of_its_constant() {
        let not_found = closed_with(AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND));
        assert_eq!(not_found.error_type(), "not-found");
        assert!(not_found.description().contains("the broker's words"), "{not_found:?}");
        let forced = closed_with(AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED));
        assert_eq!(forced.error_type(), "connection-forced");
    }

    #[test]
    fn every_constant_that_lapin_knows_has_a_name() {
        use AMQPHardError::*;
        let hard = [
            CONNECTIONFORCED,
            INVALIDPATH,
            FRAMEERROR,
            SYNTAXERROR,
            COMMANDINVALID,
            CHANNELERROR,
            UNEXPECTEDFRAME,
            RESOURCEERROR,
            NOTALLOWED,
            NOTIMPLEMENTED,
            INTERNALERROR,
        ];
        use AMQPSoftError::*;
        let soft = [
            CONTENTTOOLARGE,
            NOROUTE,
            NOCONSUMERS,
            ACCESSREFUSED,
            NOTFOUND,
            RESOURCELOCKED,
            PRECONDITIONFAILED,
        ];
        let codes = hard.iter().map(AMQPHardError::get_id).chain(soft.iter().map(AMQPSoftError::get_id));
        assert!(codes.into_iter().all(|code| constant(code) != "_OTHER"));
        assert_eq!(constant(999), "_OTHER");
    }
}
