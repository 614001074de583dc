//! `error.type` of what rdkafka reports.

use std::borrow::Cow;

use carrier_core::instrumentation::Failure;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

/// What librdkafka's names of errors begin with.
const PREFIX: &str = "RD_KAFKA_RESP_ERR_";

/// The conventions' value for an error without a name.
const OTHER: &str = "_OTHER";

/// What failed, by the error's name, of which there are a fixed number.
pub(super) fn failure(error: &KafkaError) -> Failure {
    let name = match error.rdkafka_error_code() {
        Some(code) => name(code),
        // A topic with a NUL: librdkafka would call it so.
        None if matches!(error, KafkaError::Nul(_)) => "_INVALID_ARG".into(),
        None => OTHER.into(),
    };
    Failure::new(name, error.to_string())
}

/// An error's name: Kafka's where a broker sent it (`NOT_ENOUGH_REPLICAS`), librdkafka's, which begins with `_`, where it is
/// the client's own (`_MSG_TIMED_OUT`).
fn name(code: RDKafkaErrorCode) -> Cow<'static, str> {
    // librdkafka's names of these are not the protocol's.
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
    // The binding's variants have librdkafka's names, which `rd_kafka_err2name` would give only through unsafe code.
    let Ok(native) = RDKafkaRespErr::try_from(code as i32) else { return OTHER.into() };
    let native = format!("{native:?}");
    native.strip_prefix(PREFIX).map_or_else(|| OTHER.into(), |name| name.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_type(code: RDKafkaErrorCode) -> String {
        failure(&KafkaError::MessageProduction(code)).error_type().to_owned()
    }

    #[test]
    fn a_brokers_error_has_kafkas_name() {
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
    fn the_clients_own_error_has_librdkafkas_name() {
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
        let failed = failure(&KafkaError::Canceled);
        assert_eq!((failed.error_type(), failed.description()), ("_OTHER", "KafkaError (Client dropped)"));
        let nul = std::ffi::CString::new("a\0b").unwrap_err();
        assert_eq!(failure(&KafkaError::Nul(nul)).error_type(), "_INVALID_ARG");
    }
}
