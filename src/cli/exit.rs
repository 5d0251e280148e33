//! Exit codes, and the sentences for calls that did not work.

use std::process::ExitCode;

use crate::engine::{Cause, EndReason, Failure, FailureKind, Retry};

/// How the process ends. The numbers are a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything went as asked: any hang-up, Ctrl-C, `--seconds`.
    Fine = 0,
    Other = 1,
    Usage = 2,
    NotFound = 3,
    Unreachable = 4,
    /// Declined or busy.
    Declined = 5,
    NoAnswer = 6,
    Device = 7,
    ConnectionLost = 8,
    /// In use or damaged.
    Profile = 9,
    /// Somebody may be sitting in the middle.
    FingerprintAlarm = 10,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

impl From<FailureKind> for Exit {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::NotFound => Self::NotFound,
            FailureKind::Unreachable | FailureKind::RelayRefused => Self::Unreachable,
            FailureKind::Declined | FailureKind::Busy => Self::Declined,
            FailureKind::NoAnswer => Self::NoAnswer,
            FailureKind::Device => Self::Device,
            FailureKind::ProfileInUse | FailureKind::ProfileDamaged => Self::Profile,
            FailureKind::Usage => Self::Usage,
            FailureKind::ConnectionLost => Self::ConnectionLost,
            FailureKind::FingerprintMismatch => Self::FingerprintAlarm,
            FailureKind::Internal => Self::Other,
        }
    }
}

/// What a call that ended for `reason` means for the one who dialled `peer`, with the `cause` if it is known; `None`
/// when it ended as calls should.
pub fn failure_of(reason: EndReason, peer: &str, cause: Option<Cause>) -> Option<Failure> {
    use EndReason as R;
    let (kind, retry, detail) = match reason {
        R::HangUp | R::RemoteHangUp | R::TimeLimit | R::Cancelled | R::Shutdown => return None,
        R::Declined => (FailureKind::Declined, Retry::Later, format!("{peer} declined the call.")),
        R::Busy => (FailureKind::Busy, Retry::Later, format!("{peer} is in another call; try again later.")),
        R::NoAnswer => (FailureKind::NoAnswer, Retry::Later, format!("{peer} did not answer; try again later.")),
        R::NotFound => (
            FailureKind::NotFound,
            Retry::Later,
            format!(
                "{peer} was not found: no node knows where they are. They may be offline; ask them to start twocans."
            ),
        ),
        R::Unreachable => (
            FailureKind::Unreachable,
            Retry::Later,
            match cause {
                Some(cause) => format!("{peer} could not be reached: {cause}; `twocans doctor` says more."),
                None => format!(
                    "{peer} could not be reached: they may just have gone offline, or no node answers over your \
                     network. Try again in a minute."
                ),
            },
        ),
        R::ConnectionLost => (
            FailureKind::ConnectionLost,
            Retry::Later,
            format!("The connection to {peer} was lost and did not come back; check your network and call again."),
        ),
        R::FingerprintMismatch => (
            FailureKind::FingerprintMismatch,
            Retry::AfterUserAction,
            format!(
                "ALARM: the encryption of this call was not set up by {peer}; somebody may sit in the middle. \
                 The call was cut. Do not call again over this network before you have asked them another way."
            ),
        ),
        R::Device => (
            FailureKind::Device,
            Retry::AfterUserAction,
            "A sound device stopped working; `twocans devices` lists what there is.".to_owned(),
        ),
    };
    Some(Failure { kind, retry, detail })
}

/// A [`FailureKind::Usage`] failure: the command has to be changed.
pub fn usage(detail: impl Into<String>) -> Failure {
    Failure::usage(detail)
}

/// A [`FailureKind::Internal`] failure.
pub fn internal(detail: impl Into<String>) -> Failure {
    Failure { kind: FailureKind::Internal, retry: Retry::Later, detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit_of(reason: EndReason) -> u8 {
        failure_of(reason, "Alice", None).map_or(Exit::Fine, |failure| failure.kind.into()) as u8
    }

    #[test]
    fn a_known_cause_is_told() {
        let failure = failure_of(EndReason::Unreachable, "Alice", Some(Cause::UdpBlocked)).unwrap();
        assert!(
            failure
                .detail
                .starts_with("Alice could not be reached: this network blocks UDP, and no relay could be used;"),
            "{}",
            failure.detail
        );
    }

    #[test]
    fn every_end_has_the_exit_code_of_the_contract() {
        use EndReason as R;
        for (reason, code) in [
            (R::HangUp, 0),
            (R::RemoteHangUp, 0),
            (R::TimeLimit, 0),
            (R::Cancelled, 0),
            (R::Shutdown, 0),
            (R::NotFound, 3),
            (R::Unreachable, 4),
            (R::Declined, 5),
            (R::Busy, 5),
            (R::NoAnswer, 6),
            (R::Device, 7),
            (R::ConnectionLost, 8),
            (R::FingerprintMismatch, 10),
        ] {
            assert_eq!(exit_of(reason), code, "{reason:?}");
        }
        assert_eq!(Exit::from(FailureKind::ProfileInUse) as u8, 9);
        assert_eq!(Exit::from(FailureKind::ProfileDamaged) as u8, 9);
        assert_eq!(Exit::from(FailureKind::Usage) as u8, 2);
        assert_eq!(Exit::from(FailureKind::Internal) as u8, 1);
    }
}
