//! Small group calls: who is in, how they find each other, who hears whom, and who helps whom. No I/O.
//!
//! A group call is a full mesh of pairwise calls, each of them one of the [`Switchboard`](crate::call::Switchboard)'s,
//! and no server. What makes them a group is in here:
//!
//! | file | concern |
//! |---|---|
//! | [`entry`], [`roster`] | who belongs to the group: signed adds and removals, merged as a set |
//! | [`invitation`] | links with which people join |
//! | [`membership`] | one member's machine: invited, joining, in, left; who is here; which links to make |
//! | [`report`], [`hearing`] | what members tell each other each second: whom they hear, what they have to spare |
//! | [`plan`] | the one decision that follows from the reports: who forwards whose packets to whom |
//! | [`message`] | what goes over the wire |
//!
//! # Who says what to whom
//!
//! ```text
//! inviter                              invitee                                   other members
//!   │ add to the roster ──── ROSTER ─────────────────────────────────────────────▶ │
//!   │ pairwise INVITE + group INVITE ──▶ │ the human reads who is there             │
//!   │ ◀───────────── pairwise ANSWER ────│ and wants to join                        │
//!   │ ═══════════════ link ════════════  │ pairwise INVITE + group RING ──────────▶ │ all at once,
//!   │                                    │ ◀────────────────────── pairwise ANSWER  │ nobody is asked
//!   │                                    │ ════════════════ link ═══════════════════│
//!   │ ◀──────── REPORTS each second over every link; ROSTER when digests differ ───▶ │
//! ```
//!
//! - An invitation is a pairwise call: its RING, ANSWER, DECLINE, CANCEL mean what they always do. Over a call that runs
//!   already (1:1 that grows), the group's INVITE goes over its data channel, and its link becomes one of the mesh.
//! - No address leaves anybody before their human has answered, and the human is told before who the members are.
//! - Whoever comes rings everybody; when two members have lost each other, the lower person key rings.
//! - Nobody has a special part in the mesh. The creator can remove anybody; its absence changes nothing else.
//! - A member that crashes stays on the roster and comes back by [`GroupCall::resume`] without being asked again, and the
//!   two halves of a group that was cut in two become one as soon as one pair reaches each other.
//!
//! # How to drive it
//!
//! The contract is that of the room: one `handle`-like method, then drain [`GroupCall::poll_transmit`] first (what is
//! said to somebody whose link is closed must go out before), then [`GroupCall::poll_event`], and call
//! [`GroupCall::handle_timeout`] at [`GroupCall::poll_timeout`]. The owner
//!
//! 1. puts messages of [`GroupRoute::Call`] into the INVITE of a new pairwise call, those of [`GroupRoute::Link`] on the
//!    data channel, and those of [`GroupRoute::Session`] into a signalling session;
//! 2. hands INVITEs with a group message to [`GroupCall::handle_ring`] and does what the [`RingReply`] says; for a group
//!    that it does not have it makes a [`GroupCall::invited`] first;
//! 3. tells by [`GroupCall::handle_link`] how the latest pairwise call with each member goes, from the INVITE on;
//! 4. tells by [`GroupCall::heard`], [`GroupCall::heard_via`], [`GroupCall::measured`] and [`GroupCall::set_resources`]
//!    what it measures, and forwards packets as [`HearingEvent`]s say;
//! 5. stores the roster's [entries](Roster::entries) on [`GroupEvent::RosterChanged`].
//!
//! All that other people send is hostile until shown otherwise: sizes and counts are bounded when a message is parsed,
//! signatures are checked before anything is taken, only members are listened to, and each of them only so often.

pub mod entry;
pub mod hearing;
pub mod invitation;
pub mod membership;
pub mod message;
pub mod plan;
pub mod report;
pub mod roster;
#[cfg(test)]
mod tests;
mod wire;

pub use entry::{Add, Entry, GroupKey, Removal, Revocation};
pub use hearing::{Hearing, HearingEvent, Path, Rules};
pub use invitation::{ParseTicketError, Ticket, TicketRefused};
pub use membership::{
    GroupCall, GroupEvent, GroupLimits, GroupRefusal, GroupRoute, GroupState, GroupTransmit, LeftReason, MemberView,
    MeshLink, Presence, RingReply,
};
pub use message::{Body, GroupMessage, GroupMessageError, Hello, MAX_GROUP_MESSAGE_BYTES, roster_messages};
pub use plan::{Plan, STREAM_KBPS};
pub use report::{Report, Resources, Tag};
pub use roster::{AddRefused, Forged, Member, Merged, RemoveRefused, Roster, RosterDigest};
