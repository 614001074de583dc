//! Queue names that the broker or a framework generates, so that there are many of them.

/// Prefixes of generated names: RabbitMQ's for queues without a name and for direct reply-to, Spring AMQP's `AnonymousQueue`,
/// and EasyNetQ's response queues.
const PREFIXES: [&str; 4] = ["amq.gen-", "amq.rabbitmq.reply-to", "spring.gen-", "easynetq.response."];

/// The length of a UUID as text.
const UUID: usize = 36;

/// Whether a name was generated. Only forms that a framework documents or has in its source count.
pub(super) fn is_generated(queue: &str) -> bool {
    PREFIXES.iter().any(|prefix| queue.starts_with(prefix))
        || is_uuid(queue)
        || is_spring_cloud_streams(queue)
        || is_mass_transits(queue)
        || is_celerys(queue)
        || is_namekos(queue)
}

/// A group without a name: `{destination}.anonymous.{UUID in base 64}`.
fn is_spring_cloud_streams(queue: &str) -> bool {
    let is_id =
        |id: &str| id.len() == 22 && id.bytes().all(|byte| is_alphanumeric(byte) || b"-_".contains(&byte));
    queue.rsplit_once(".anonymous.").is_some_and(|(_, id)| is_id(id))
}

/// A temporary endpoint: `{machine}_{process}_bus_{NewId}` or `…_endpoint_{NewId}`; of older versions
/// `bus-{machine}-{process}-{NewId}`. The id has 26 characters of base 32.
fn is_mass_transits(queue: &str) -> bool {
    let is_id = |id: &str| {
        id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let now = queue
        .rsplit_once('_')
        .is_some_and(|(rest, id)| is_id(id) && (rest.ends_with("_bus") || rest.ends_with("_endpoint")));
    now || (queue.starts_with("bus-") && queue.rsplit_once('-').is_some_and(|(_, id)| is_id(id)))
}

/// Replies to remote control, `{UUID}.reply.celery.pidbox`, and events, `celeryev.{UUID}`.
fn is_celerys(queue: &str) -> bool {
    let replies =
        || queue.ends_with(".pidbox") && queue.split_once(".reply.").is_some_and(|(id, _)| is_uuid(id));
    replies() || queue.strip_prefix("celeryev.").is_some_and(is_uuid)
}

/// Replies to calls: `rpc.reply-{service}-{UUID}`.
fn is_namekos(queue: &str) -> bool {
    let rest = queue.strip_prefix("rpc.reply-");
    rest.and_then(|rest| rest.get(rest.len().checked_sub(UUID)?..)).is_some_and(is_uuid)
}

/// The whole text is a UUID: Celery's results, Spring AMQP's `UUIDNamingStrategy`.
fn is_uuid(text: &str) -> bool {
    let at = |(place, byte): (usize, u8)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == UUID && text.bytes().enumerate().all(at)
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_brokers_and_frameworks_are_recognised() {
        for name in [
            "amq.gen-JzTY20BRgKO-HjmUJj0wLg",
            "amq.rabbitmq.reply-to.g1h2AA5yZXBseUAx",
            "spring.gen-MRBv9sqISkuCiPfOYfpo4g",
            "orders.anonymous.MRBv9sqISkuCiPfOYfpo4g",
            "LAPTOP7_dotnet_bus_qryyyyf3omyy8qyobdrcmunpud",
            "LAPTOP7_dotnet_endpoint_qryyyyf3omyy8qyobdrcmunpud",
            "bus-LAPTOP7-dotnet-qryyyyf3omyy8qyobdrcmunpud",
            "easynetq.response.0ccf1b9d-6ad5-4c5b-8a2d-d3e2cb6a9d3c",
            "0ccf1b9d-6ad5-4c5b-8a2d-d3e2cb6a9d3c.reply.celery.pidbox",
            "celeryev.0ccf1b9d-6ad5-4c5b-8a2d-d3e2cb6a9d3c",
            "rpc.reply-billing-0ccf1b9d-6ad5-4c5b-8a2d-d3e2cb6a9d3c",
            "f20c818a-006b-4416-bf91-643590fedb0e",
        ] {
            assert!(is_generated(name), "{name}");
        }
    }

    #[test]
    fn names_that_a_person_chose_are_not() {
        for name in [
            "",
            "orders",
            "amq.topic",
            "spring.orders",
            "orders.anonymous.clients",
            "warehouse_bus_orders",
            "orders_bus_qryyyyf3omyy8qyobdrcmunpu",
            "bus-orders",
            "celery@worker1.celery.pidbox",
            "rpc.reply-billing",
            "rpc.reply-é",
            "orders-f20c818a-006b-4416-bf91-643590fedb0e",
            "f20c818a_006b_4416_bf91_643590fedb0e",
        ] {
            assert!(!is_generated(name), "{name}");
        }
    }
}
