//! Failures between this connector and a server.

use ldap3::{LdapError, LdapResult};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Not connected: nothing was sent. The operator checks the network, or waits for the server.
    #[error("is unreachable: {0}")]
    Unreachable(String),
    /// TLS failed. The operator fixes the certificate, or adds the CA.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The server rejects the bind. The operator fixes `bind_dn` or `bind_password`.
    #[error("rejected the bind: {0}")]
    Bind(Refusal),
    /// The server has not received all of its data yet, so an entry that it does not show may still exist. Use another server, or retry
    /// later.
    #[error("is incomplete: {0}")]
    Incomplete(&'static str),
    /// The server accepts the bind, but refuses to show the accounts: it is disabled, or bridgehead's account must change its password. The
    /// operator fixes that.
    #[error("accepts the bind but rejects every operation: {0}")]
    Restricted(Refusal),
    /// The server refers to another one for a part of the request. The contents of that part are unknown.
    #[error("refers to {0}")]
    Reference(String),
    /// The connection was lost before the request was sent.
    #[error("closed the connection before the request was sent")]
    NotSent,
    /// The connection broke when the request may already have been sent.
    #[error("dropped the connection")]
    Cut,
    /// No response in time.
    #[error("did not respond in time")]
    Silent,
    /// The server refused the request.
    #[error("{0}")]
    Refused(Refusal),
    /// The response is not LDAP, or does not match the request.
    #[error("sent an invalid response: {0}")]
    Garbled(&'static str),
}

/// A result code other than success, with its details.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u32,
    /// The name of the nearest existing parent of an entry that does not exist.
    pub(crate) matched: String,
    /// The server's message, sanitized for display.
    pub(crate) text: String,
}

/// The maximum length of a server's message in errors.
const LONGEST_TEXT: usize = 200;

impl Failure {
    /// The failure of a request on an open connection.
    pub(crate) fn of_request(error: &LdapError) -> Self {
        match error {
            LdapError::OpSend { .. } => Self::NotSent,
            LdapError::LdapResult { result } => Self::Refused(Refusal::of(result)),
            LdapError::FilterParsing => Self::Garbled("a filter that the client cannot parse"),
            LdapError::AddNoValues => Self::Garbled("an attribute without a value"),
            LdapError::Timeout { .. } => Self::Silent,
            _ => Self::Cut,
        }
    }

    /// The failure of a connection attempt.
    pub(crate) fn of_connecting(error: &LdapError) -> Self {
        match error {
            LdapError::Io { source } => {
                match source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                    Some(tls) => Self::Tls(tls.to_string()),
                    None => Self::Unreachable(source.to_string()),
                }
            }
            LdapError::Rustls { source } => Self::Tls(source.to_string()),
            LdapError::DNSName { .. } => {
                Self::Tls("the host of the url is not a valid name for certificate verification".to_owned())
            }
            LdapError::LdapResult { result } => {
                let refusal = Refusal::of(result);
                Self::Tls(format!("the server does not offer StartTLS ({refusal})"))
            }
            LdapError::Timeout { .. } => {
                Self::Unreachable("no response in time (connect_timeout)".to_owned())
            }
            other => Self::Unreachable(other.to_string()),
        }
    }

    /// The result code, if the server returned one.
    pub(crate) fn code(&self) -> Option<u32> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            _ => None,
        }
    }

    /// Whether another server of the same directory may succeed.
    pub(crate) fn is_of_server(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::Tls(_)
            | Self::Incomplete(_)
            | Self::Restricted(_)
            | Self::NotSent
            | Self::Cut
            | Self::Silent => true,
            Self::Refused(refusal) => matches!(refusal.code, 51 | 52),
            Self::Bind(_) | Self::Garbled(_) | Self::Reference(_) => false,
        }
    }

    /// Whether the connection is unusable.
    pub(crate) fn ends_connection(&self) -> bool {
        // 51 and 52: the server is shutting down, or refuses further requests.
        !matches!(self, Self::Refused(refusal) if !matches!(refusal.code, 51 | 52))
            && !matches!(self, Self::Reference(_))
    }
}

impl Refusal {
    pub(crate) fn of(result: &LdapResult) -> Self {
        let mut text: String = result.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
            text.truncate(end);
            text.push('…');
        }
        Self { code: result.rc, matched: result.matched.clone(), text: text.trim().to_owned() }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", code_name(self.code), self.code)?;
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        Ok(())
    }
}

/// The name of a result code in RFC 4511.
pub(crate) fn code_name(code: u32) -> &'static str {
    match code {
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        7 => "authMethodNotSupported",
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        12 => "unavailableCriticalExtension",
        13 => "confidentialityRequired",
        16 => "noSuchAttribute",
        17 => "undefinedAttributeType",
        18 => "inappropriateMatching",
        19 => "constraintViolation",
        20 => "attributeOrValueExists",
        21 => "invalidAttributeSyntax",
        32 => "noSuchObject",
        33 => "aliasProblem",
        34 => "invalidDNSyntax",
        36 => "aliasDereferencingProblem",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        54 => "loopDetect",
        64 => "namingViolation",
        65 => "objectClassViolation",
        66 => "notAllowedOnNonLeaf",
        67 => "notAllowedOnRDN",
        68 => "entryAlreadyExists",
        69 => "objectClassModsProhibited",
        71 => "affectsMultipleDSAs",
        80 => "other",
        122 => "assertionFailed",
        _ => "a result code without a name",
    }
}
