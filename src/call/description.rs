//! An SDP whose certificate is signed by the person who sent it.

use crate::base::{CallId, Person};
use crate::identity::{Binding, PersonKey, Role, binding};

/// One half of offer/answer (RFC 3264), with the signer's word for the DTLS certificate and the ICE session in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub sdp: String,
    /// SHA-256 of the DTLS certificate.
    pub fingerprint: [u8; 32],
    /// ICE user fragment.
    pub ufrag: String,
    /// [`binding::sign`] over what stands before it, but for the SDP, which must agree with it.
    pub signature: [u8; 64],
    /// Of which restart of the link this is; 0 for the call's first descriptions. An answer repeats its offer's.
    pub generation: u32,
}

impl Description {
    pub(super) fn sign(
        me: &PersonKey,
        call: CallId,
        to: Person,
        role: Role,
        sdp: String,
        fingerprint: [u8; 32],
        ufrag: String,
    ) -> Self {
        let signature = binding::sign(me, &Binding { call, from: me.person(), to, role, fingerprint, ufrag: &ufrag });
        Self { sdp, fingerprint, ufrag, signature, generation: 0 }
    }

    /// Whether `from` signed this for `to`, and the SDP uses what was signed and nothing else.
    pub(super) fn verify(&self, call: CallId, from: Person, to: Person, role: Role) -> bool {
        let binding = Binding { call, from, to, role, fingerprint: self.fingerprint, ufrag: &self.ufrag };
        binding::verify(from, &binding, &self.signature) && self.sdp_agrees()
    }

    /// Every line about fingerprints or user fragments, in the session and in each media section, must say what was
    /// signed, in exactly the form we write. Being stricter than any SDP parser leaves nothing to interpret differently.
    fn sdp_agrees(&self) -> bool {
        let fingerprint = self.fingerprint.map(|byte| format!("{byte:02X}")).join(":");
        let fingerprint = format!("a=fingerprint:sha-256 {fingerprint}");
        let ufrag = format!("a=ice-ufrag:{}", self.ufrag);
        let all_say = |word: &str, expected: &str, ignore_case: bool| {
            let mut lines =
                self.sdp.split(['\r', '\n']).filter(|line| line.to_ascii_lowercase().contains(word)).peekable();
            lines.peek().is_some()
                && lines.all(|line| if ignore_case { line.eq_ignore_ascii_case(expected) } else { line == expected })
        };
        all_say("fingerprint", &fingerprint, true) && all_say("ice-ufrag", &ufrag, false)
    }
}
