//! Conversions of other libraries' errors with `?`.
//!
//! The effect is always unknown. An operating system error proves at most that *this* step did nothing, but `?` may
//! follow a step that has already changed the target. "Not applied" would then be wrong, and the runtime would repeat
//! the work or mistake the result of the first step for another client's.

use std::io::ErrorKind;

use crate::{Code, Effect, Error, NetworkError, PayloadError, Retry, SettingsError, Subject};

/// Allows `?` on I/O errors when the connector knows nothing more specific.
///
/// | the kind of the error | code | effect | retry | subject |
/// |---|---|---|---|---|
/// | the connection was refused, reset, broken, or never established | `TIMEOUT` | unknown | backoff | connection |
/// | timed out | `TIMEOUT` | unknown | backoff | account |
/// | permission denied | `PERMISSION_DENIED` | unknown | never | account |
/// | ended early, interrupted, busy, or no space left | `INTERNAL_ERROR` | unknown | backoff | account |
/// | any other, including "not found": a missing file is not a missing account | `INTERNAL_ERROR` | unknown | never | account |
///
/// The message contains only the kind of the error: its own text may include a path, or a response of the target. The error itself is kept
/// as the source, for the daemon's log.
///
/// ```
/// use bridgehead_sdk::{Code, Effect, Error};
///
/// fn read() -> Result<String, Error> {
///     Ok(std::fs::read_to_string("/not/there")?)
/// }
///
/// let error = read().unwrap_err();
/// assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::Unknown));
/// assert!(!error.message().contains("/not/there"));
/// ```
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        from_kind(error.kind()).with_source(error)
    }
}

fn from_kind(kind: ErrorKind) -> Error {
    let message = format!("reading or writing failed in the connector: {kind}");
    let (code, retry, subject) = match kind {
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::NotConnected
        | ErrorKind::BrokenPipe
        | ErrorKind::AddrNotAvailable
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown => (Code::Timeout, Retry::Backoff, Subject::Connection),
        ErrorKind::TimedOut => (Code::Timeout, Retry::Backoff, Subject::Account),
        ErrorKind::PermissionDenied => (Code::PermissionDenied, Retry::Never, Subject::Account),
        ErrorKind::UnexpectedEof
        | ErrorKind::WriteZero
        | ErrorKind::Interrupted
        | ErrorKind::WouldBlock
        | ErrorKind::ResourceBusy
        | ErrorKind::ExecutableFileBusy
        | ErrorKind::Deadlock
        | ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::OutOfMemory => (Code::InternalError, Retry::Backoff, Subject::Account),
        _ => (Code::InternalError, Retry::Never, Subject::Account),
    };
    Error::new(code, message).with_effect(Effect::Unknown).with_retry(retry).with_subject(subject)
}

/// Allows `?` after a JSON parser. The parser's own message may quote a value, so neither the message nor the source
/// includes it; the message gives the line and column of the error. If the input could not be read at all, the error is
/// converted like an I/O error, as above.
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        if let Some(kind) = error.io_error_kind() {
            return from_kind(kind);
        }
        let what = if error.is_data() { "JSON in an unexpected form" } else { "invalid JSON" };
        // A value that was built in memory has no line numbers.
        let place = match error.line() {
            0 => String::new(),
            line => format!(" (line {line}, column {})", error.column()),
        };
        Self::new(Code::InternalError, format!("the connector received {what}{place}"))
    }
}

/// Allows `?` after the readers of this crate. The message names the field, but never contains its value.
impl From<PayloadError> for Error {
    fn from(error: PayloadError) -> Self {
        Self::new(Code::InternalError, error.to_string()).with_source(error)
    }
}

/// Allows `?` in the function that creates a connector. The message itself names the key of `[network]`.
impl From<NetworkError> for SettingsError {
    fn from(error: NetworkError) -> Self {
        Self::new("", error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io;

    use super::*;

    #[test]
    fn io_error_kind_sets_code_and_subject_with_unknown_effect() {
        let cases = [
            (ErrorKind::ConnectionRefused, Code::Timeout, Retry::Backoff, Subject::Connection),
            (ErrorKind::ConnectionReset, Code::Timeout, Retry::Backoff, Subject::Connection),
            (ErrorKind::BrokenPipe, Code::Timeout, Retry::Backoff, Subject::Connection),
            (ErrorKind::TimedOut, Code::Timeout, Retry::Backoff, Subject::Account),
            (ErrorKind::PermissionDenied, Code::PermissionDenied, Retry::Never, Subject::Account),
            (ErrorKind::UnexpectedEof, Code::InternalError, Retry::Backoff, Subject::Account),
            (ErrorKind::StorageFull, Code::InternalError, Retry::Backoff, Subject::Account),
            // A missing file must never look like a missing account, which would be reported as deleted.
            (ErrorKind::NotFound, Code::InternalError, Retry::Never, Subject::Account),
            (ErrorKind::AlreadyExists, Code::InternalError, Retry::Never, Subject::Account),
            (ErrorKind::InvalidData, Code::InternalError, Retry::Never, Subject::Account),
            (ErrorKind::Other, Code::InternalError, Retry::Never, Subject::Account),
        ];
        for (kind, code, retry, subject) in cases {
            let error = Error::from(io::Error::from(kind));
            assert_eq!((error.code(), error.retry(), error.subject()), (code, retry, subject), "{kind:?}");
            assert_eq!(error.effect(), Effect::Unknown, "{kind:?}");
            assert!(error.source().is_some(), "{kind:?}");
        }
    }

    #[test]
    fn io_error_text_is_not_in_the_message() {
        let error = Error::from(io::Error::other("/home/ann/hunter2: refused"));
        assert_eq!(error.message(), "reading or writing failed in the connector: other error");
        let error = Error::from(std::fs::read("/not/there/hunter2").unwrap_err());
        assert_eq!(error.message(), "reading or writing failed in the connector: entity not found");
    }

    #[test]
    fn parse_error_does_not_quote_the_value() {
        fn number() -> Result<u32, Error> {
            Ok(serde_json::from_str("\n\"hunter2\"")?)
        }
        let error = number().unwrap_err();
        assert_eq!(error.message(), "the connector received JSON in an unexpected form (line 2, column 9)");
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::Unknown));
        assert!(error.source().is_none() && !format!("{error:?}").contains("hunter2"), "{error:?}");
        let cut = Error::from(serde_json::from_str::<u32>("").unwrap_err());
        assert!(cut.message().contains("invalid JSON"), "{cut}");
    }

    #[test]
    fn io_error_during_json_parsing_stays_an_io_error() {
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(ErrorKind::ConnectionReset.into())
            }
        }
        let error = Error::from(serde_json::from_reader::<_, u32>(Broken).unwrap_err());
        assert_eq!((error.code(), error.subject()), (Code::Timeout, Subject::Connection));
    }

    #[test]
    fn invalid_field_is_named() {
        fn read() -> Result<crate::Memberships, Error> {
            Ok(crate::Memberships::from_json("memberships", serde_json::json!("hunter2"))?)
        }
        let error = read().unwrap_err();
        assert!(
            error.message().starts_with("memberships must be ") && !error.message().contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn invalid_network_setting_names_its_key() {
        let error = SettingsError::from(NetworkError::Proxy("no host".to_owned()));
        assert_eq!(error.to_string(), "network.proxy is not valid: no host");
    }
}
