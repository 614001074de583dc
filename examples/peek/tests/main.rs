//! `peek`: what it says of messages, and that it leaves a queue and a topic as they were.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod amqp;
#[path = "../../tests/common/mod.rs"]
mod common;
mod kafka;
mod move_amqp;
mod move_kafka;
mod queues;
mod stall;

use common::{Ended, run};
use serde_json::Value as Json;

/// What a terminal acts on: a colour, a title, a C1 control, a change of direction, a beep.
const HOSTILE: &str = "\u{1b}[31m\u{1b}]0;title\u{7}\u{9b}2J\u{202e}\u{7f}\r\n";

/// Runs `peek` to its end, on a thread that may block.
fn peek(arguments: &[&str], variable: (&str, &str)) -> Ended {
    tokio::task::block_in_place(|| run(env!("CARGO_BIN_EXE_carrier-peek"), arguments, &[variable]))
}

/// The objects that `--json` prints, one in each line.
#[track_caller]
fn objects(ended: &Ended) -> Vec<Json> {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Status and reason of each object.
fn verdicts(objects: &[Json]) -> Vec<(&str, &str)> {
    objects.iter().map(|object| (text(&object["status"]), text(&object["reason"]))).collect()
}

#[track_caller]
fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_else(|| panic!("no text: {json}"))
}

/// Fails where something in the output would be more than text to a terminal.
#[track_caller]
fn assert_harmless(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for text in [&ended.stdout, &ended.stderr] {
        let harmful = |char: &char| *char != '\n' && (char.is_control() || *char == '\u{202e}');
        assert_eq!(text.chars().find(harmful), None, "{ended:?}");
    }
}

/// Fails unless the object has exactly these keys, which tools rely on.
#[track_caller]
fn assert_keys(object: &Json, of_transport: &[&str]) {
    let common = [
        "transport",
        "status",
        "reason",
        "field",
        "trace_id",
        "span_id",
        "sampled",
        "links",
        "bytes",
        "baggage_members",
        "timestamp_ms",
        "age_ms",
        "clock_ahead_ms",
        "fields",
        "unread",
    ];
    let mut expected: Vec<&str> = common.iter().chain(of_transport).copied().collect();
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    expected.sort_unstable();
    keys.sort_unstable();
    assert_eq!(keys, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_is_one_line_with_its_address() {
    let dead = ("AMQP_URL", "amqp://user:secret@127.0.0.1:1/%2f");
    peek(&["amqp", "orders"], dead).assert_refuses(1, "amqp://127.0.0.1:1/%2f");
    peek(&["kafka", "orders"], ("KAFKA_BROKERS", "127.0.0.1:1")).assert_refuses(1, "127.0.0.1:1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_command_line_is_one_line_and_help_names_every_key() {
    let nowhere = ("AMQP_URL", "");
    for wrong in [
        &[][..],
        &["amqp"],
        &["amqp", "a", "b"],
        &["http", "orders"],
        &["amqp", "orders", "-n", "0"],
        &["amqp", "orders", "--from", "end"],
        &["kafka", "orders", "--from", "-1"],
        &["kafka", "orders", "--yes"],
        &["kafka", "orders", "--loud\u{1b}[31m"],
        &["move"],
        &["move", "amqp", "--from", "a"],
        &["move", "amqp", "--from", "a", "--to", "b", "--to-exchange", "c"],
        &["move", "kafka", "--from", "a"],
        &["completions", "ksh"],
    ] {
        let ended = peek(wrong, nowhere);
        ended.assert_refuses(2, "--help");
        assert!(!ended.stderr.contains('\u{1b}'), "{ended:?}");
    }
    let help = peek(&["--help"], nowhere);
    assert_eq!(help.code, Some(0), "{help:?}");
    for key in ["delivery_count", "partition", "clock_ahead_ms", "unread", "wrong_type", "--from", "--yes"] {
        assert!(help.stdout.contains(key), "{key}");
    }
    for exit_code in ["0", "1", "2", "130"] {
        assert!(help.stdout.contains(&format!("\n  {exit_code} ")), "{exit_code}");
        assert!(include_str!("../README.md").contains(&format!("\n| {exit_code} | ")), "{exit_code}");
    }
    let version = peek(&["--version"], nowhere);
    assert_eq!(
        (version.code, version.stdout.trim()),
        (Some(0), concat!("carrier-peek ", env!("CARGO_PKG_VERSION")))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_complete_commands_and_options() {
    for shell in ["bash", "zsh", "fish"] {
        let script = peek(&["completions", shell], ("AMQP_URL", ""));
        assert_eq!(script.code, Some(0), "{script:?}");
        for word in ["completions", "kafka", "dry-run", "to-exchange", "keep-deaths"] {
            assert!(script.stdout.contains(word), "{shell}: {word}");
        }
    }
    let script = peek(&["completions", "bash"], ("AMQP_URL", "")).stdout;
    let complete = "COMP_WORDS=(carrier-peek move amqp --dr) COMP_CWORD=3\n\
                    _carrier__peek carrier-peek --dr amqp\necho \"${COMPREPLY[@]}\"";
    let bash =
        std::process::Command::new("bash").args(["-c", &format!("{script}\n{complete}")]).output().unwrap();
    assert_eq!(String::from_utf8(bash.stdout).unwrap().trim(), "--dry-run");
}
