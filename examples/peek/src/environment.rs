//! Addresses from environment variables, and errors as text.

use std::env;

/// Returns an environment variable that is set to something, or the default.
pub(crate) fn variable(name: &str, default: &str) -> String {
    env::var(name).ok().filter(|value| !value.trim().is_empty()).unwrap_or_else(|| default.to_owned())
}

/// Returns an address without user and password, for a terminal.
pub(crate) fn without_password(address: &str) -> String {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}{host}")
}

/// Returns an error with its causes, each once: many clients repeat the cause in their own text.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        match text.as_str() {
            "" => cause,
            _ if text.contains(&cause) => text,
            _ => format!("{text}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(without_password("amqp://guest:se@ret@host:5672/%2f"), "amqp://host:5672/%2f");
        assert_eq!(without_password("amqp://host"), "amqp://host");
        assert_eq!(without_password("user:secret@host"), "host");
        assert_eq!(without_password("nonsense"), "nonsense");
    }
}
