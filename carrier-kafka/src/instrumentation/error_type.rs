//! `error.type` of rdkafka's errors: a fixed set of names, Kafka's if there is one.

use std::borrow::Cow;

use carrier_core::instrumentation::Failure;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

/// The prefix of librdkafka's names of errors.
const PREFIX: &str = "RD_KAFKA_RESP_ERR_";

/// The conventions' value for an error without a name.
const OTHER: &str = "_OTHER";

pub(super) fn of(error: &KafkaError) -> Failure {
    let name = match error.rdkafka_error_code() {
        Some(code) => name(code),
        // A topic with a NUL: librdkafka uses this name for it.
        None if matches!(error, KafkaError::Nul(_)) => "_INVALID_ARG".into(),
        None => OTHER.into(),
    };
    Failure::new(name, error.to_string())
}

/// The name of an error: Kafka's for a broker's error (`NOT_ENOUGH_REPLICAS`), and librdkafka's, which begins with `_`, for
/// the client's own error (`_MSG_TIMED_OUT`).
fn name(code: RDKafkaErrorCode) -> Cow<'static, str> {
    // For these, librdkafka's names differ from the protocol's.
    let kafkas = match code {
        RDKafkaErrorCode::Unknown => "UNKNOWN_SERVER_ERROR",
        RDKafkaErrorCode::InvalidMessage => "CORRUPT_MESSAGE",
        RDKafkaErrorCode::UnknownTopicOrPartition => "UNKNOWN_TOPIC_OR_PARTITION",
        RDKafkaErrorCode::InvalidMessageSize => "INVALID_FETCH_SIZE",
        RDKafkaErrorCode::NotLeaderForPartition => "NOT_LEADER_OR_FOLLOWER",
        RDKafkaErrorCode::MessageSizeTooLarge => "MESSAGE_TOO_LARGE",
        RDKafkaErrorCode::StaleControllerEpoch => "STALE_CONTROLLER_EPOCH",
        RDKafkaErrorCode::InvalidTopic => "INVALID_TOPIC_EXCEPTION",
        _ => "",
    };
    if !kafkas.is_empty() {
        return kafkas.into();
    }
    // The binding's variants have librdkafka's names; `rd_kafka_err2name` would need unsafe code.
    let Ok(native) = RDKafkaRespErr::try_from(code as i32) else { return OTHER.into() };
    let native = format!("{native:?}");
    native.strip_prefix(PREFIX).map_or_else(|| OTHER.into(), |name| name.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_type(code: RDKafkaErrorCode) -> String {
        of(&KafkaError::MessageProduction(code)).error_type().to_owned()
    }

    #[test]
    fn a_broker_error_has_kafkas_name() {
        use RDKafkaErrorCode::*;
        for (code, name) in [
            (UnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PARTITION"),
            (NotEnoughReplicas, "NOT_ENOUGH_REPLICAS"),
            (KafkaStorageError, "KAFKA_STORAGE_ERROR"),
            (MessageSizeTooLarge, "MESSAGE_TOO_LARGE"),
            (TopicAuthorizationFailed, "TOPIC_AUTHORIZATION_FAILED"),
            (IllegalGeneration, "ILLEGAL_GENERATION"),
            (RebalanceInProgress, "REBALANCE_IN_PROGRESS"),
        ] {
            assert_eq!(error_type(code), name);
        }
    }

    #[test]
    fn a_client_error_has_librdkafkas_name() {
        use RDKafkaErrorCode::*;
        for (code, name) in [
            (QueueFull, "_QUEUE_FULL"),
            (MessageTimedOut, "_MSG_TIMED_OUT"),
            (PurgeQueue, "_PURGE_QUEUE"),
            (PurgeInflight, "_PURGE_INFLIGHT"),
            (UnknownPartition, "_UNKNOWN_PARTITION"),
            (NoOffset, "_NO_OFFSET"),
        ] {
            assert_eq!(error_type(code), name);
        }
    }

    #[test]
    fn an_error_without_a_code_has_the_conventions_fallback() {
        let failed = of(&KafkaError::Canceled);
        assert_eq!((failed.error_type(), failed.description()), ("_OTHER", "KafkaError (Client dropped)"));
        let nul = std::ffi::CString::new("a\0b").unwrap_err();
        assert_eq!(of(&KafkaError::Nul(nul)).error_type(), "_INVALID_ARG");
    }
}
